"""The Python examples of the README, run as they stand."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from documented import examples

_BLOCKS = examples("README.md", "python")
_LIBRARIES = ("celery", "grpc", "reclens.client", "reclens.sae")

PYTHON_EXAMPLES = {
    next(library for library in _LIBRARIES if library in block): block for block in _BLOCKS
}
"""By the library that each shows."""

assert len(PYTHON_EXAMPLES) == len(_BLOCKS), "two examples of one library: one would not be run"


def run_example(example: str, environment: Mapping[str, str], folder: Path) -> str:
    """Run an example in ``folder``; what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", example],
        env={**os.environ, **environment},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    return done.stdout.strip()
