"""Workers of the counting stage, see `counting_worker`, and a client."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from running_stack import wait_for

from reclens.contracts import DatasetSpec
from reclens.contracts.specs.dataset import DATASET_IMPORT
from reclens.platform.jobs.log import JobLog
from reclens.platform.jobs.view import JobView
from reclens.platform.settings.models import RedisSettings, S3Settings

_WORKER = Path(__file__).parents[1] / "integration" / "counting_worker.py"

STEPS = 200
TIMEOUT = 60


def expected_value() -> str:
    value = hashlib.sha256(b"start").digest()
    for _ in range(STEPS):
        value = hashlib.sha256(value).digest()
    return value.hex()


def spec(name: str) -> DatasetSpec:
    return DatasetSpec.parse({"name": name, "source": {"format": "table", "path": "unused"}})


def children(pid: int) -> list[int]:
    """Processes that ``pid`` has started."""
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


class CountingStack:
    """Workers of the counting stage, and a client."""

    def __init__(
        self,
        redis_url: str,
        s3: S3Settings,
        folder: Path,
        *,
        worker: Path = _WORKER,
        **settings: str,
    ) -> None:
        self.folder = folder
        self._worker = worker
        self.joblog = JobLog(RedisSettings.model_validate({"url": redis_url}))
        self.pool = settings.get("COUNTING_POOL", "prefork")
        self.workers: list[subprocess.Popen[bytes]] = []
        self._environment = {
            **os.environ,
            "COUNTING_FOLDER": str(folder),
            "PYTHONPATH": os.pathsep.join([str(_WORKER.parent), os.environ.get("PYTHONPATH", "")]),
            "RECLENS_REDIS__URL": redis_url,
            "RECLENS_S3__ENDPOINT": s3.endpoint,
            "RECLENS_S3__ACCESS_KEY": s3.access_key.get_secret_value(),
            "RECLENS_S3__SECRET_KEY": s3.secret_key.get_secret_value(),
            "RECLENS_S3__BUCKET": s3.bucket,
            "RECLENS_CACHE_DIR": str(folder / "cache"),
            "RECLENS_CHECKPOINT_SECONDS": "0.001",
            "RECLENS_LEASE_SECONDS": "2",
            "RECLENS_HEARTBEAT__FILE": str(folder / "heartbeat"),
            **settings,
        }

    def start_worker(self) -> subprocess.Popen[bytes]:
        with (self.folder / "worker.log").open("ab") as log:
            worker = subprocess.Popen(
                [sys.executable, str(self._worker)],
                env=self._environment,
                stdout=log,
                stderr=log,
            )
        self.workers.append(worker)
        return worker

    def submit(self, name: str) -> str:
        return self.joblog.submit(DATASET_IMPORT.task, spec(name).canonical())

    def begin(self, name: str) -> str:
        """Submit a job whose name tells it to wait, and return once it runs."""
        job_id = self.submit(name)
        wait_for((self.folder / f"{name}.waiting").exists, "the job to run")
        return job_id

    def finish(self, job_id: str) -> JobView:
        wait_for(lambda: self.joblog.show(job_id).state.final, f"job {job_id}")
        return self.joblog.show(job_id)

    def runs(self, name: str) -> int:
        path = self.folder / f"{name}.runs"
        return len(path.read_text().splitlines()) if path.exists() else 0

    def heartbeat(self) -> dict[str, Any]:
        """What the worker last told; empty where it has not told anything."""
        path = self.folder / "heartbeat"
        return json.loads(path.read_text()) if path.exists() else {}

    def stop(self) -> None:
        """Stop all workers at once."""
        for worker in self.workers:
            if worker.poll() is None:
                worker.kill()
            worker.wait(30)
