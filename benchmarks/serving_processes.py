"""The servers under test as real processes, and the load as another one. Whatever happens, leaving
the block ends them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from serving_load import Job

from reclens.ops.local.health import s3_answers, wait_until
from reclens.ops.local.servers import (
    LOOPBACK,
    S3_PORTS,
    free_ports,
    remove_s3_sockets,
    s3_command,
    s3_settings,
    write_identity,
)
from reclens.platform.grpc.health_probe import grpc_status
from reclens.platform.settings.models import S3Settings

HERE = Path(__file__).parent
_START_SECONDS = 180
_STOP_SECONDS = 20


@contextmanager
def process(
    name: str, command: list[str], folder: Path, environment: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A child process with its output in ``folder``."""
    with (folder / f"{name}.log").open("ab") as log:
        child = subprocess.Popen(
            command,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield child
    finally:
        child.terminate()
        with suppress(subprocess.TimeoutExpired):
            child.wait(_STOP_SECONDS)
        with suppress(ProcessLookupError):
            # What it started itself is in its group.
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def wait_for(child: subprocess.Popen[bytes], address: str, log: Path) -> None:
    """Wait until ``address`` reports that it is serving.

    Raises:
        RuntimeError: the process ended, or it took too long; with the end of its log.
    """
    deadline = time.monotonic() + _START_SECONDS
    while grpc_status(address) != "SERVING":
        if child.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"{log.stem} does not serve:\n{tail(log)}")
        time.sleep(0.2)


def tail(log: Path) -> str:
    """The last lines of a log."""
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:])


@contextmanager
def echo_server(folder: Path, answer: bytes, uvloop: bool = False) -> Iterator[tuple[str, int]]:
    """The bare server: its address and process id."""
    (port,) = free_ports(1)
    (folder / "answer.bin").write_bytes(answer)
    command = [sys.executable, str(HERE / "serving_echo.py"), "--port", str(port)]
    command += ["--answer", str(folder / "answer.bin"), *(["--uvloop"] if uvloop else [])]
    with process("echo", command, folder) as child:
        # It has no health service: the load waits for its channels.
        yield f"{LOOPBACK}:{port}", child.pid


@contextmanager
def s3_server(folder: Path) -> Iterator[S3Settings]:
    """An S3 server with its data in ``folder``.

    Raises:
        Unavailable: it did not start; the message ends with its log.
    """
    data, identity = folder / "data", folder / "s3.json"
    data.mkdir(parents=True)
    write_identity(identity)
    ports: dict[str, int] = dict(zip(S3_PORTS, free_ports(len(S3_PORTS)), strict=True))
    settings = s3_settings(ports["s3"], identity)
    with process("s3", s3_command(ports, data, identity), folder) as child:
        wait_until(
            lambda: s3_answers(settings),
            alive=lambda: child.poll() is None,
            what="s3",
            log=folder / "s3.log",
            timeout_seconds=_START_SECONDS,
        )
        yield settings
    remove_s3_sockets(ports)


@contextmanager
def reclens_servers(
    folder: Path, s3: S3Settings, settings: dict[str, str]
) -> Iterator[tuple[str, dict[str, int]]]:
    """Inference service and gateway over one bucket: the gateway's address, process ids by name.

    Args:
        folder: logs and the servers' cache.
        s3: the bucket.
        settings: further environment variables of both.
    """
    inference_port, gateway_port = free_ports(2)
    inference, gateway = f"{LOOPBACK}:{inference_port}", f"{LOOPBACK}:{gateway_port}"
    environment = {
        "RECLENS_S3__ENDPOINT": s3.endpoint,
        "RECLENS_S3__ACCESS_KEY": s3.access_key.get_secret_value(),
        "RECLENS_S3__SECRET_KEY": s3.secret_key.get_secret_value(),
        "RECLENS_S3__BUCKET": s3.bucket,
        "RECLENS_CACHE_DIR": str(folder / "cache"),
        "RECLENS_DEVICE": "cpu",
        "RECLENS_INFERENCE__LISTEN": inference,
        "RECLENS_GATEWAY__LISTEN": gateway,
        "RECLENS_GATEWAY__INFERENCE": inference,
        **settings,
    }
    serve = [sys.executable, "-m", "reclens_recommender.main", "serve"]
    answer = [sys.executable, "-m", "reclens_gateway.main"]
    with process("inference", serve, folder, environment) as model:
        wait_for(model, inference, folder / "inference.log")
        with process("gateway", answer, folder, environment) as public:
            wait_for(public, gateway, folder / "gateway.log")
            yield gateway, {"gateway": public.pid, "inference": model.pid}


def run_load(job: Job) -> dict[str, Any]:
    """One window in a process of its own, see ``serving_load``.

    Raises:
        RuntimeError: it failed or did not end.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(asdict(job), file)
        file.flush()
        limit = job.warm_up + job.seconds + job.deadline + 60
        done = subprocess.run(
            [sys.executable, str(HERE / "serving_load.py"), file.name],
            capture_output=True,
            text=True,
            check=False,
            timeout=limit,
        )
    if done.returncode:
        raise RuntimeError(f"the load on {job.method} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout)
