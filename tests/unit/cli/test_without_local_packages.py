"""The command line where the packages of the local stack are not installed."""

from __future__ import annotations

import subprocess
import sys

import pytest

_START = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"psutil", "supervisor", "matplotlib"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocked())
from reclens.cli.main import main
main(sys.argv[1:])
"""


def reclens(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", _START, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_help_loads_every_command():
    done = reclens("--help")
    assert done.returncode == 0, done.stderr
    assert "deploy" in done.stdout
    assert "reproduce" in done.stdout


@pytest.mark.parametrize("command", ["status", "demo", "reproduce"])
def test_commands_of_the_local_stack_say_what_to_install(command: str):
    done = reclens(command)
    assert done.returncode == 3
    assert "is not installed" in done.stderr
    assert "pip install --require-hashes -r locks/runtime.txt" in done.stderr
    assert "Traceback" not in done.stderr
