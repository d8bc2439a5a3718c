"""The demo stops all that it started, whenever it is told to end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from reclens.ops.local.processes import owner_of


@pytest.fixture(autouse=True)
def heeds_ctrl_c() -> Iterator[None]:
    """A background job of a shell ignores Ctrl-C, and would hand that on to the demo."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(
    ("number", "line"),
    [
        pytest.param(signal.SIGINT, "redis answers", id="Ctrl-C while the stack starts"),
        pytest.param(signal.SIGTERM, "recommender: running", id="SIGTERM while a job runs"),
    ],
)
def test_an_interrupted_demo_leaves_no_process(
    number: signal.Signals, line: str, tmp_path: Path, ml_100k_folder: Path
):
    state = tmp_path / "state"
    demo = subprocess.Popen(
        [sys.executable, "-m", "reclens.cli", "demo", "--out", str(tmp_path / "out")],
        env=os.environ
        | {
            "RECLENS_STATE_DIR": str(state),
            "RECLENS_DATA__ML_100K": str(ml_100k_folder.absolute()),
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert demo.stderr is not None
    for told in demo.stderr:
        if line in told:
            break
    else:
        pytest.fail("it ended before it was told to")
    supervisor = owner_of(state / "run" / "supervisord.pid")
    assert supervisor is not None
    family = [supervisor, *supervisor.children(recursive=True)]
    demo.send_signal(number)
    rest = demo.stderr.read()
    demo.stderr.close()
    assert demo.wait(timeout=120) == 130, rest
    assert "Traceback" not in rest
    assert not [process for process in family if process.is_running()]
    assert not (state / "endpoints.json").exists()
