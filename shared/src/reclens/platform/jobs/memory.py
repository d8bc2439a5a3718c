"""How much memory a job needs at its worst."""

from __future__ import annotations

import contextlib
import resource
import sys
from pathlib import Path

_STATUS = Path("/proc/self/status")
_CLEAR_REFS = Path("/proc/self/clear_refs")
_RESET_PEAK = "5"


class PeakMemory:
    """Highest resident memory of this process since it was made, in bytes.

    Linux keeps a mark that can be set back (proc(5), ``clear_refs`` and ``VmHWM``). Where it cannot
    be, the peak is that of the whole life of the process.
    """

    def __init__(self) -> None:
        with contextlib.suppress(OSError):
            _CLEAR_REFS.write_text(_RESET_PEAK)

    def read(self) -> int:
        """The peak so far, in bytes."""
        with contextlib.suppress(OSError):
            for line in _STATUS.read_text().splitlines():
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
