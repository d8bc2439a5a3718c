"""Every Python example of the README runs as it stands."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from running_stack import Stack, wait_for

from reclens.client import SteeringClient

ROOT = Path(__file__).parents[2]
BLOCKS = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S)


def named(block: str) -> str:
    return next(
        name for name in ("celery", "grpc", "reclens.client", "reclens.sae") if name in block
    )


@pytest.mark.parametrize("block", BLOCKS, ids=named)
def test_example(block: str, stack: Stack, pipeline_job: str, tmp_path: Path):
    with SteeringClient(stack.state.endpoints()["gateway"]) as client:
        wait_for(lambda: client.release("default").serving, "the release to be served")
    done = subprocess.run(
        [sys.executable, "-c", block],
        env={**os.environ, **stack.state.environment()},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    if "celery" in block:
        # It asks for the real thing, minutes of training; that it was taken is enough here.
        job_id = done.stdout.strip()
        wait_for(lambda: bool(stack.joblog.show(job_id).stages), "the pipeline to be planned")
        stack.joblog.cancel(job_id)
        wait_for(lambda: stack.joblog.show(job_id).state.final, "the pipeline to stop")
