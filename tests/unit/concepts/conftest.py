"""The planted world, made once."""

from __future__ import annotations

import pytest
from planted_world import World, planted_world


@pytest.fixture(scope="session")
def world() -> World:
    return planted_world()
