"""What is measured of a running job: how fast its steps advance, and how much memory it needs."""

from __future__ import annotations

import contextlib
import resource
import sys
from pathlib import Path

from reclens.contracts import Progress

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


class RateEstimator:
    """Adds rate and time left to progress that has neither, from how its steps advance."""

    _SMOOTHING = 0.3

    def __init__(self) -> None:
        self._stage = ""
        self._step = 0
        self._time = 0.0
        self._rate: float | None = None

    def measured(self, progress: Progress, now: float) -> Progress:
        """``progress`` at time ``now`` in seconds, with ``rate`` and ``eta_seconds``."""
        if progress.stage != self._stage or progress.step < self._step:
            self._rate = None
        elif now > self._time:
            rate = (progress.step - self._step) / (now - self._time)
            share = self._SMOOTHING if self._rate is not None else 1.0
            self._rate = share * rate + (1 - share) * (self._rate or 0.0)
        self._stage, self._step, self._time = progress.stage, progress.step, now
        rate = progress.rate if progress.rate is not None else self._rate
        eta = progress.eta_seconds
        if eta is None and rate and progress.total is not None:
            eta = max(0, progress.total - progress.step) / rate
        return progress.model_copy(update={"rate": rate, "eta_seconds": eta})
