"""Devices of a job: noted once each, kept over segments."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from reclens.platform.jobs.context import JobContext


class _Trainer:
    def restore(self, tensors: dict[str, Any], meta: dict[str, Any]) -> None:
        pass


def job_after(saved: dict[str, Any] | None, tmp_path: Path) -> JobContext:
    """A job that finds ``saved`` as its checkpoint."""
    nothing: Any = SimpleNamespace(
        store=SimpleNamespace(objects=None), settings=None, joblog=None, redis=None, stopping=None
    )
    writer: Any = SimpleNamespace(
        ref="autoencoders/0123456789abcdef", take_over=lambda _parts: True
    )
    task: Any = SimpleNamespace(request=SimpleNamespace(id="job", parent_id=None, root_id="job"))
    lease: Any = None
    job = JobContext(task, nothing, lease=lease, writer=writer, folder=tmp_path)
    meta = {"trainer": {}, "seconds": 1.0, "peak_memory_bytes": 1}
    found = None if saved is None else ({}, meta | saved)
    job._checkpoints = SimpleNamespace(load=lambda: found)  # type: ignore[assignment]
    return job


def test_a_run_that_moved_lists_both_in_order(tmp_path: Path) -> None:
    trainer: Any = _Trainer()
    for saved, expected in (
        (None, ["cpu"]),
        ({}, ["cpu"]),
        ({"devices": ["cpu"]}, ["cpu"]),
        ({"devices": ["cuda:0 (GPU)"]}, ["cuda:0 (GPU)", "cpu"]),
    ):
        job = job_after(saved, tmp_path)
        job.computes_on("cpu")
        job._resume(trainer)
        job.computes_on("cpu")
        assert job._devices == expected
