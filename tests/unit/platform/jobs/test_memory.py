from __future__ import annotations

import sys

import numpy as np
import pytest

from reclens.platform.jobs.memory import PeakMemory

BYTES = 300_000_000


def test_the_peak_is_what_was_held_and_given_back() -> None:
    memory = PeakMemory()
    before = memory.read()
    held = np.ones(BYTES, dtype=np.uint8)
    del held
    assert before + 0.9 * BYTES < memory.read() < before + 1.5 * BYTES


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can set the mark back")
def test_what_was_before_does_not_count() -> None:
    held = np.ones(BYTES, dtype=np.uint8)
    before = PeakMemory().read()
    del held
    assert PeakMemory().read() < before - 0.9 * BYTES
