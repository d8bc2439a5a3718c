"""A running stack and the ways to it, for tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from celery import Celery

from reclens.ops.local.state import StateFolder
from reclens.platform.jobs.log import JobLog
from reclens.platform.store.artifacts import ArtifactStore

PIPELINE = {
    "release": "default",
    "recommender": {"model": {"kind": "sasrec", "d_model": 32, "max_epochs": 3}},
    "activations": {"shard_rows": 20_000},
    "autoencoder": {"config": {"n_latents": 256, "k": 8, "n_epochs": 4}},
}


@dataclass
class Stack:
    """A running stack and the ways to it."""

    state: StateFolder
    store: ArtifactStore
    joblog: JobLog
    celery: Celery

    def send(self, task: str, spec: dict[str, Any]) -> Any:
        """Submit with nothing but Celery."""
        queue = {"pipeline": "pipeline", "dataset": "capture", "autoencoder": "train"}
        return self.celery.send_task(task, kwargs={"spec": spec}, queue=queue[task.split(".")[1]])

    def cli(self, *arguments: str, seconds: float = 120) -> subprocess.CompletedProcess[str]:
        """Run the command line as a user does."""
        return subprocess.run(
            [str(Path(sys.executable).parent / "reclens"), *arguments],
            env={**os.environ, "RECLENS_STATE_DIR": str(self.state.root)},
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )

    def cli_json(self, *arguments: str) -> Any:
        """Run a command with ``--json`` and read what it prints."""
        done = self.cli(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


def wait_for(condition: Callable[[], bool], what: str, seconds: float = 60) -> None:
    """Return as soon as ``condition`` holds; fail after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.05)
