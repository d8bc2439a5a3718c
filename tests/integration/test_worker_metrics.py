"""A worker tells Prometheus what becomes of its jobs."""

from __future__ import annotations

import re
import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from counting_stack import CountingStack
from running_stack import wait_for
from servers import redis_server

from reclens.contracts.specs.dataset import DATASET_IMPORT
from reclens.platform.jobs.view import JobState
from reclens.platform.settings.models import S3Settings


class Worker(CountingStack):
    """One worker with figures."""

    address = ""

    def figures(self) -> dict[str, float]:
        """All series that it shows; none where it does not answer."""
        try:
            with urllib.request.urlopen(f"http://{self.address}/metrics", timeout=5) as answer:
                text = answer.read().decode()
        except OSError:
            return {}
        return {
            series: float(value)
            for series, value in re.findall(r"^(reclens_\S+) (\S+)$", text, re.MULTILINE)
        }

    def figure(self, name: str, **labels: str) -> float:
        told = ",".join(f'{label}="{value}"' for label, value in sorted(labels.items()))
        return self.figures().get(f"{name}{{{told}}}" if told else name, 0.0)


@pytest.fixture
def worker(own_bucket: S3Settings, tmp_path: Path) -> Iterator[Worker]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    with redis_server(tmp_path / "redis") as redis:
        # As the workers that compute: one job at a time, in a process of the pool.
        own = {"RECLENS_METRICS_LISTEN": address, "COUNTING_JOBS": "1"}
        stack = Worker(redis.url.get_secret_value(), own_bucket, tmp_path, **own)
        stack.address = address
        stack.start_worker()
        yield stack
        stack.stop()


def test_jobs_are_counted_by_kind_and_outcome_and_shown_while_they_run(worker: Worker):
    wait_for(lambda: bool(worker.figures()), "figures before the first job")
    assert worker.figure("reclens_disk_free_bytes", folder="cache") > 0
    assert worker.figure("reclens_jobs_running") == 0
    waiting = worker.submit("waits")
    wait_for((worker.folder / "waits.waiting").exists, "a job that runs")
    assert worker.figure("reclens_jobs_running") == 1
    assert worker.figure("reclens_job_advanced_timestamp_seconds") > 0
    assert worker.figure("reclens_job_checkpoint_timestamp_seconds") > 0
    (worker.folder / "waits.go").touch()
    assert worker.finish(waiting).state is JobState.SUCCEEDED
    assert worker.finish(worker.submit("fails")).state is JobState.FAILED
    task = DATASET_IMPORT.task
    for outcome in ("succeeded", "failed"):
        wait_for(
            lambda outcome=outcome: (
                worker.figure("reclens_job_seconds_count", outcome=outcome, task=task) == 1
            ),
            outcome,
        )
    assert worker.figure("reclens_job_faults_total", reason="INVALID_INPUT") == 1
    for name in ("reclens_jobs_running", "reclens_job_checkpoint_timestamp_seconds"):
        assert worker.figure(name) == 0


def test_a_job_that_kills_its_worker_is_counted_by_the_process_that_gives_it_up(worker: Worker):
    job = worker.finish(worker.submit("poison"))
    assert job.state is JobState.FAILED
    wait_for(lambda: worker.figure("reclens_dead_letters_total") == 1, "a dead letter")
