"""The blocking client is what its generator makes of the one for asyncio."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

from reclens.client import AsyncSession, AsyncSteeringClient, Session, SteeringClient

GENERATOR = Path(__file__).parents[3] / "deploy" / "generate-sync-client.py"


def test_committed_file_is_what_is_generated() -> None:
    done = subprocess.run(
        [sys.executable, GENERATOR, "--check"], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("blocking", "other"), [(SteeringClient, AsyncSteeringClient), (Session, AsyncSession)]
)
def test_both_take_the_same_and_only_one_is_awaited(blocking: type, other: type) -> None:
    for name, method in vars(other).items():
        if name.startswith("_") or not callable(method):
            continue
        twin = getattr(blocking, name)
        assert not inspect.iscoroutinefunction(twin)
        assert not inspect.isasyncgenfunction(twin)
        assert inspect.signature(twin).parameters == inspect.signature(method).parameters
