"""One round: a job, a fault at the moment drawn, the mending, and the verdict."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field

from chaos.fault import Fault
from chaos.faults import CLASSES, standby
from chaos.oracle import Watched, collected_faults, snapshot, strays, verdict
from chaos.programs import repeated, until
from chaos.schedule import FAULTS, Plan
from chaos.serving import Probe
from chaos.wires import StoreRequest
from chaos.world import World
from reclens.errors import RecLensError
from reclens.platform.jobs.view import JobState

STRIKE_SECONDS = 60.0
"""A moment that has not come by then does not come."""
PATIENCE_SECONDS = 90.0
"""A job that has not ended so long after everything was mended never will."""
SETTLE_SECONDS = 60.0
"""For messages and leases to go, once the jobs have ended: a worker that has stalled ends itself
after 40."""
_QUIET_SECONDS = 3.0
"""Without any of them for so long, nothing comes of what went before."""
_LOOK_SECONDS = 0.05


@dataclass
class Result:
    """What came of a round."""

    plan: Plan
    outcome: str = ""
    """``held``: nothing was noticed but time. ``failed``: a job failed for a reason that the fault
    explains, and went well when it was submitted again. ``missed``: the moment never came.
    ``left out``: this machine cannot do it. ``BROKEN``: something is wrong."""
    faults: list[str] = field(default_factory=list)
    victim: str = ""
    states: list[list[str]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    exits: dict[str, list[int]] = field(default_factory=dict)
    strays: list[str] = field(default_factory=list)
    collected: int = 0
    """Artifacts, attempts and so on that a garbage collection has then removed."""
    answers: int = 0
    refusals: int = 0
    recovery_seconds: float | None = None
    """From the mending until all jobs had ended."""
    seconds: float = 0.0
    logs: dict[str, str] = field(default_factory=dict)

    def canonical(self) -> dict[str, object]:
        """As JSON."""
        return asdict(self)


class Round:
    """Plays one plan.

    Args:
        world: open.
        probe: that knows the answers.
        plan: of the round.
    """

    def __init__(self, world: World, probe: Probe, plan: Plan) -> None:
        self.world = world
        self.probe = probe
        self.plan = plan
        self.result = Result(plan)
        self.jobs: list[Watched] = []
        self._struck = threading.Event()
        self._error: BaseException | None = None

    def play(self) -> Result:
        """From clean to verdict."""
        started, result = time.monotonic(), self.result
        cls, kind = CLASSES[self.plan.fault], FAULTS[self.plan.fault]
        if problem := cls.possible(self.world):
            result.outcome, result.faults = "left out", [problem]
            return result
        world = self.world
        world.traffic.reset()
        world.clean(self.plan.job)
        for program in world.programs.values():
            program.exits.clear()
        if kind.standby:
            standby(world, self.plan)
        fault = cls(world, self.plan)
        self._break(fault)
        self._judge(fault)
        result.seconds = round(time.monotonic() - started, 1)
        result.exits = {name: one.exits[:] for name, one in world.programs.items() if one.exits}
        if result.outcome == "BROKEN":
            concerned = {*result.exits, fault.victim.name} - {"redis", "s3"}
            result.logs = {name: world.programs[name].tail() for name in sorted(concerned)}
        return result

    # --- the course of it ------------------------------------------------------------------------

    def _break(self, fault: Fault) -> None:
        plan, world, result = self.plan, self.world, self.result
        fault.prepare()
        self.probe.begin()
        if plan.request:
            world.traffic.hook = self._hook(fault)
        for _ in range(FAULTS[plan.fault].copies):
            self.jobs.append(Watched(world.submit(plan.job)))
        with self._watched():
            if not plan.request:
                self._strike(fault, None)
            until(lambda: self._struck.is_set() or self._ended(), STRIKE_SECONDS)
            world.traffic.hook = None
            struck = self._struck.is_set()
            if struck:
                time.sleep(plan.seconds)
                fault.heal()
            result.victim = fault.victim.name if struck else ""
            healed = time.monotonic()
            if until(self._ended, PATIENCE_SECONDS):
                result.recovery_seconds = round(time.monotonic() - healed, 1)
            fault.afterwards([job.job_id for job in self.jobs])
            self._settle()
            result.outcome = "held" if struck else "missed"
        if not self.probe.serves():
            result.faults.append("the gateway does not serve again")
        result.faults += self.probe.end()
        result.answers, result.refusals = self.probe.answers, self.probe.refusals
        if self._error is not None:
            result.faults.append(f"the fault itself failed: {self._error!r}")

    def _judge(self, fault: Fault) -> None:
        world, result = self.world, self.result
        expected = world.expected(self.plan.job)
        objects = snapshot(world.objects)
        result.faults += verdict(objects, expected, self.jobs, fault.explains)
        result.faults += [f"left in Redis: {one}" for one in self._left()]
        result.states = [[str(state) for state in job.states] for job in self.jobs]
        views = [job.view for job in self.jobs if job.view is not None]
        result.errors = [f"{v.error.type}: {v.error.message[:400]}" for v in views if v.error]
        failed = [v for v in views if v.state.final and v.state is not JobState.SUCCEEDED]
        if failed and not result.faults:
            self._submit_again()
            objects = snapshot(world.objects)
            if result.outcome == "held":
                result.outcome = "failed"
        result.strays = strays(objects, expected).accounted
        if not result.faults:
            result.collected = world.collect()
            result.faults += collected_faults(snapshot(world.objects), world.served)
        if result.faults:
            result.outcome = "BROKEN"

    def _submit_again(self) -> None:
        """What failed for the fault's sake must go well without it."""
        again = self.jobs = [Watched(self.world.submit(self.plan.job))]
        with self._watched():
            until(self._ended, PATIENCE_SECONDS)
            self._settle()
        objects = snapshot(self.world.objects)
        found = verdict(objects, self.world.expected(self.plan.job), again, ())
        self.result.faults += [f"submitted again: {one}" for one in found]

    def _hook(self, fault: Fault) -> object:
        def hook(request: StoreRequest, phase: str) -> None:
            if request.number >= self.plan.request and phase == self.plan.phase:
                self._strike(fault, request)

        return hook

    def _strike(self, fault: Fault, request: StoreRequest | None) -> None:
        if self._struck.is_set():
            return
        self._struck.set()
        try:
            fault.hit(request, [job.job_id for job in self.jobs])
        except Exception as error:  # noqa: BLE001 - told as a fault of the round
            self._error = error

    # --- looking ---------------------------------------------------------------------------------

    def _ended(self) -> bool:
        return all(job.final for job in self.jobs)

    def _settle(self) -> None:
        """Return when nothing has been under way for a while."""
        quiet_since = time.monotonic()

        def quiet() -> bool:
            nonlocal quiet_since
            if self._left() or not self._ended():
                quiet_since = time.monotonic()
            return time.monotonic() - quiet_since > _QUIET_SECONDS

        until(quiet, SETTLE_SECONDS)

    def _left(self) -> list[str]:
        try:
            return self.world.left_in_redis()
        except (RecLensError, OSError) as error:
            return [repr(error)]

    @contextlib.contextmanager
    def _watched(self) -> Iterator[None]:
        def look() -> None:
            for job in self.jobs:
                job.see(self.world.show(job.job_id))

        try:
            with repeated(look, _LOOK_SECONDS):
                yield
        finally:
            look()
