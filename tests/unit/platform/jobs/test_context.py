"""Rate and time left, from hand-worked clocks, and the peak of memory."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from reclens.contracts import Progress
from reclens.errors import Unavailable
from reclens.platform.jobs.context import JobContext, RateEstimator


def at(step: int, stage: str = "train", total: int | None = 100) -> Progress:
    return Progress(stage=stage, step=step, total=total)


def test_the_first_report_of_a_stage_has_no_rate():
    assert RateEstimator().measured(at(5), 10.0).rate is None


def test_a_steady_pace_gives_rate_and_time_left():
    rates = RateEstimator()
    rates.measured(at(0), 10.0)
    seen = rates.measured(at(20), 14.0)
    assert seen.rate == pytest.approx(5)
    assert seen.eta_seconds == pytest.approx(16)


def test_a_change_of_rates_is_followed_smoothly():
    rates = RateEstimator()
    rates.measured(at(0), 0.0)
    rates.measured(at(10), 1.0)
    assert rates.measured(at(10), 2.0).rate == pytest.approx(0.7 * 10)


def test_a_new_stage_starts_anew():
    rates = RateEstimator()
    rates.measured(at(0), 0.0)
    rates.measured(at(10), 1.0)
    assert rates.measured(at(20, stage="encode"), 2.0).rate is None


def test_what_the_stage_says_itself_stands():
    rates = RateEstimator()
    rates.measured(at(0), 0.0)
    own = Progress(stage="train", step=10, total=20, rate=2.0, eta_seconds=5.0)
    assert rates.measured(own, 1.0) == own


def test_without_a_total_there_is_no_time_left():
    rates = RateEstimator()
    rates.measured(at(0, total=None), 0.0)
    assert rates.measured(at(10, total=None), 1.0).eta_seconds is None


BYTES = 300_000_000


def in_a_process_of_its_own(*lines: str) -> list[int]:
    """The numbers that a program prints. Here, other threads may take memory or give it back."""
    start = (
        "import numpy as np",
        "from reclens.platform.jobs.context import PeakMemory",
        f"def hold(): return np.ones({BYTES}, dtype=np.uint8)",
    )
    program = "\n".join((*start, *lines))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    return [int(number) for number in done.stdout.split()]


def test_the_peak_is_what_was_held_and_given_back() -> None:
    before, after = in_a_process_of_its_own(
        "memory = PeakMemory()",
        "before = memory.read()",
        "hold()",
        "print(before, memory.read())",
    )
    assert before + 0.9 * BYTES < after < before + 1.5 * BYTES


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can set the mark back")
def test_what_was_before_does_not_count() -> None:
    before, after = in_a_process_of_its_own(
        "held = hold()",
        "before = PeakMemory().read()",
        "del held",
        "print(before, PeakMemory().read())",
    )
    assert after < before - 0.9 * BYTES


class Saved:
    """A checkpoint, and a writer to which the store does not answer."""

    def __init__(self) -> None:
        self.cleared = False

    def load(self) -> tuple[dict[str, np.ndarray], dict[str, object]]:
        return {}, {"trainer": {}}

    def clear(self) -> None:
        self.cleared = True

    def take_over(self, _parts: object) -> bool:
        raise Unavailable("the store does not answer.")


def test_an_outage_removes_no_checkpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    saved, job = Saved(), JobContext.__new__(JobContext)
    monkeypatch.setattr(job, "_checkpoints", saved, raising=False)
    monkeypatch.setattr(job, "_writer", saved, raising=False)
    with pytest.raises(Unavailable):
        job._resume(None)  # type: ignore[arg-type]
    assert not saved.cleared
