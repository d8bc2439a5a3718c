"""Gateway and inference as processes of their own, over a bucket with a release in it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from running_stack import wait_for

from reclens.platform.grpc.health_probe import is_serving
from reclens.platform.settings.models import S3Settings


@dataclass(frozen=True)
class Service:
    """A service as a process; it logs JSON lines to a file."""

    process: subprocess.Popen[bytes]
    log: Path

    def events(self, name: str) -> list[dict[str, object]]:
        """What it has logged under this name."""
        lines = self.log.read_text().splitlines()
        entries = [json.loads(line) for line in lines if line.startswith("{") and line[-1] == "}"]
        return [entry for entry in entries if entry.get("event") == name]

    @property
    def address(self) -> str:
        """``host:port`` that it listens on; waits until it does."""
        wait_for(lambda: bool(self.events("listening")), f"{self.log.name} to listen")
        return str(self.events("listening")[0]["address"])


@dataclass(frozen=True)
class ServingProcesses:
    """Both servers."""

    gateway: Service
    inference: Service


def environment(s3: S3Settings, cache: Path) -> dict[str, str]:
    """Where the store is, for a service."""
    return {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "RECLENS_S3__ENDPOINT": s3.endpoint,
        "RECLENS_S3__ACCESS_KEY": s3.access_key.get_secret_value(),
        "RECLENS_S3__SECRET_KEY": s3.secret_key.get_secret_value(),
        "RECLENS_S3__BUCKET": s3.bucket,
        "RECLENS_CACHE_DIR": str(cache),
    }


@contextmanager
def service(module: str, log: Path, env: dict[str, str], *arguments: str) -> Iterator[Service]:
    """A service for the life of the block."""
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments], env=env, stderr=stderr
        )
        try:
            yield Service(process, log)
        finally:
            process.kill()
            process.wait()


@contextmanager
def serving_processes(s3: S3Settings, folder: Path, **settings: str) -> Iterator[ServingProcesses]:
    """Both servers on free ports, once they serve what is in the bucket of ``s3``.

    Args:
        s3: store with a release.
        folder: for logs and caches.
        settings: environment variables of both.
    """
    env = {**environment(s3, folder / "cache"), **settings}
    inference_env = {**env, "RECLENS_INFERENCE__LISTEN": "127.0.0.1:0"}
    recommender = service(
        "reclens_recommender.main", folder / "inference.log", inference_env, "serve"
    )
    with recommender as inference:
        gateway_env = {
            **env,
            "RECLENS_GATEWAY__LISTEN": "127.0.0.1:0",
            "RECLENS_GATEWAY__INFERENCE": inference.address,
        }
        with service("reclens_gateway.main", folder / "gateway.log", gateway_env) as gateway:
            wait_for(lambda: is_serving(gateway.address), "the gateway to serve")
            yield ServingProcesses(gateway, inference)
