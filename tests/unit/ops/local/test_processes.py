"""Only processes that noted themselves are found and stopped."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil

from reclens.ops.local.processes import owner_of, stop

_SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]
# Ignores SIGTERM, and has a child in its group that does so too.
_STUBBORN = [
    sys.executable,
    "-c",
    "import signal, subprocess, sys, time\n"
    "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "child = subprocess.Popen([sys.executable, '-c', 'import signal, time;"
    "signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(600)'],"
    "stdout=subprocess.PIPE)\n"
    "child.stdout.readline(); print(child.pid, flush=True); time.sleep(600)",
]


def test_the_writer_of_a_pid_file_is_found_while_it_lives(tmp_path: Path):
    process = subprocess.Popen(_SLEEP, start_new_session=True)
    pid_file = tmp_path / "one.pid"
    pid_file.write_text(str(process.pid))
    owner = owner_of(pid_file)
    assert owner is not None
    assert owner.pid == process.pid
    stop([owner], patience_seconds=5)
    process.wait()
    assert owner_of(pid_file) is None


def test_a_process_that_got_an_old_id_is_not_taken_for_the_writer(tmp_path: Path):
    process = subprocess.Popen(_SLEEP, start_new_session=True)
    try:
        pid_file = tmp_path / "one.pid"
        pid_file.write_text(str(process.pid))
        long_ago = psutil.Process(process.pid).create_time() - 60
        os.utime(pid_file, (long_ago, long_ago))
        assert owner_of(pid_file) is None
    finally:
        process.kill()
        process.wait()


def test_garbage_and_absence_are_nobody(tmp_path: Path):
    (tmp_path / "one.pid").write_text("not a number")
    assert owner_of(tmp_path / "one.pid") is None
    assert owner_of(tmp_path / "absent.pid") is None


def test_a_stubborn_process_and_its_children_are_killed(tmp_path: Path):
    process = subprocess.Popen(_STUBBORN, start_new_session=True, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    child = psutil.Process(int(process.stdout.readline()))
    stop([psutil.Process(process.pid)], patience_seconds=0.2)
    process.wait()
    process.stdout.close()
    psutil.wait_procs([child], timeout=5)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
