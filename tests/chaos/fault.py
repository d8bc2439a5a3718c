"""What every fault does: strike, and be mended."""

from __future__ import annotations

from typing import ClassVar

from chaos.programs import Program
from chaos.schedule import OWNER, Plan
from chaos.wires import StoreRequest
from chaos.world import World


class Fault:
    """A fault of one round.

    Args:
        world: to break.
        plan: of the round.
    """

    explains: ClassVar[tuple[str, ...]] = ()
    """Names of errors with which a job may fail for it."""

    def __init__(self, world: World, plan: Plan) -> None:
        self.world = world
        self.plan = plan
        self.victim: Program = world.programs[OWNER[plan.job]]
        """The worker that is hit: whoever asks the store at the moment that was drawn."""

    @classmethod
    def possible(cls, world: World) -> str:
        """Empty, or why this machine cannot do it."""
        return ""

    def prepare(self) -> None:
        """Before the job is submitted."""

    def hit(self, request: StoreRequest | None, job_ids: list[str]) -> None:
        """Strike at a request, or at submission."""
        if request is not None:
            self.victim = self.world.programs[request.client]
        self.strike(job_ids)

    def strike(self, job_ids: list[str]) -> None:
        """Break it."""
        raise NotImplementedError

    def heal(self) -> None:
        """Mend it, when its time is over."""

    def afterwards(self, job_ids: list[str]) -> None:
        """When all jobs have ended."""
