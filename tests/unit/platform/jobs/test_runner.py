"""What the runner takes for the end of a process."""

from __future__ import annotations

import errno

import pyarrow as pa
import pytest

from reclens.errors import Unavailable
from reclens.platform.jobs.runner import is_exhaustion


@pytest.mark.parametrize(
    ("error", "exhausted"),
    [
        (MemoryError(), True),
        (RuntimeError("can't start new thread"), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), True),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), True),
        (pa.lib.ArrowException("Unknown error: Failed to launch worker thread: try again"), True),
        (pa.lib.ArrowInvalid("Column 'x' is declared non-nullable but contains nulls"), False),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (OSError(errno.ENOSPC, "No space left on device"), False),
        (Unavailable("gone"), False),
    ],
)
def test_what_tells_of_a_process_that_is_short_of_something(error: Exception, exhausted: bool):
    assert is_exhaustion(error) is exhausted
