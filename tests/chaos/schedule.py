"""What happens in a round, drawn from its seed and from nothing else."""

from __future__ import annotations

import random
from dataclasses import asdict, dataclass

WORKERS = ("capture", "train", "label")
SERVING = ("inference", "gateway")

REQUESTS = {
    "pipeline": 80,
    "import": 6,
    "recommender": 12,
    "capture": 16,
    "autoencoder": 24,
    "labelling": 30,
    "evaluation": 20,
    "correction": 5,
    "release": 4,
}
"""Kinds of job, and requests to the store that each makes at least, undisturbed."""
OWNER = {
    "import": "capture",
    "recommender": "capture",
    "capture": "capture",
    "evaluation": "capture",
    "autoencoder": "train",
    "labelling": "label",
    "correction": "label",
    "release": "label",
    "pipeline": "label",
}
"""The worker that takes each kind of job first."""
_STAGES = ("import", "recommender", "capture", "evaluation", "autoencoder", "correction")
_ALL = tuple(REQUESTS)


@dataclass(frozen=True)
class FaultKind:
    """How a kind of fault is drawn."""

    jobs: tuple[str, ...] = _ALL
    """Kinds of job that it meets."""
    seconds: tuple[float, ...] = (3.0,)
    """How long it may last."""
    at_submission: bool = False
    """It strikes as the job is sent, not at a request to the store."""
    standby: bool = False
    """A second worker stands by."""
    copies: int = 1
    """How often the job is submitted."""
    variants: tuple[str, ...] = ("",)
    """Ways in which it may come."""


FAULTS: dict[str, FaultKind] = {
    "worker-killed": FaultKind(seconds=(0.2, 2.0, 6.0), variants=("whole", "main")),
    "redis-killed": FaultKind(seconds=(0.5, 4.0)),
    "store-down": FaultKind(seconds=(2.0, 6.0, 20.0)),
    "pool-killed": FaultKind(seconds=(0.2,)),
    "worker-terminated": FaultKind(seconds=(0.2,)),
    "store-5xx": FaultKind(seconds=(3.0, 8.0), variants=("some", "all")),
    "worker-stopped": FaultKind(jobs=_STAGES, seconds=(12.0,), standby=True),
    "redis-full": FaultKind(seconds=(2.0, 6.0)),
    "store-cut": FaultKind(seconds=(3.0,), variants=("half", "unanswered")),
    "message-twice": FaultKind(
        seconds=(0.2,), at_submission=True, standby=True, variants=("at-once", "afterwards")
    ),
    "release-swapped": FaultKind(jobs=("release", "pipeline", "labelling"), seconds=(6.0,)),
    "disk-full": FaultKind(seconds=(3.0, 8.0)),
    "serving-killed": FaultKind(
        jobs=("release", "import", "correction"), seconds=(0.2,), variants=SERVING
    ),
    "redis-read-only": FaultKind(seconds=(2.0, 6.0), variants=("replica", "no-replicas")),
    "store-409": FaultKind(seconds=(4.0,), variants=("1", "3", "all")),
    "worker-cut-off": FaultKind(
        jobs=_STAGES, seconds=(18.0,), standby=True, variants=("manifest", "upload")
    ),
    "store-killed": FaultKind(seconds=(0.5, 4.0)),
    "message-poisoned": FaultKind(
        seconds=(0.2,),
        at_submission=True,
        variants=("no-json", "no-envelope", "unknown-task", "bad-spec", "no-spec", "large"),
    ),
    "two-workers": FaultKind(
        jobs=(*_STAGES, "labelling"), seconds=(0.2,), at_submission=True, standby=True, copies=2
    ),
    "redis-rolled-back": FaultKind(seconds=(0.5,)),
    "store-slow": FaultKind(seconds=(8.0,), variants=("0.3", "1", "2.5")),
    "messages-reordered": FaultKind(seconds=(0.2,), at_submission=True, copies=3),
    "clock-off": FaultKind(
        jobs=(*_STAGES, "labelling"), seconds=(0.2,), at_submission=True, variants=("+1h", "-1h")
    ),
    "store-late": FaultKind(seconds=(8.0,)),
    "memory-short": FaultKind(seconds=(6.0,)),
    "redis-forgets": FaultKind(seconds=(0.5,), at_submission=True),
}
"""Kinds of fault; a round takes its own from its seed by their order, so that neighbours differ."""


@dataclass(frozen=True)
class Plan:
    """One round."""

    seed: int
    fault: str
    variant: str
    """Way in which the fault comes; empty where there is but one."""
    job: str
    request: int
    """Strikes at this request of a worker to the store, counted from submission; 0: at
    submission."""
    phase: str
    """``before`` the request is passed on, or ``after`` the store has answered it."""
    seconds: float
    """How long the fault lasts."""

    def __str__(self) -> str:
        when = f"{self.phase} request {self.request}" if self.request else "at submission"
        variant = f" ({self.variant})" if self.variant else ""
        return f"{self.fault}{variant} on {self.job}, {when}, {self.seconds:g} s"

    def canonical(self) -> dict[str, object]:
        """As JSON."""
        return asdict(self)


def draw(seed: int, fault: str | None = None) -> Plan:
    """The round of ``seed``.

    Args:
        seed: of the round.
        fault: its kind, instead of the one that follows from the seed.
    """
    chance = random.Random(seed)
    cycle, position = divmod(seed - 1, len(FAULTS))
    name = fault or list(FAULTS)[position]
    kind = FAULTS[name]
    # Each time that a kind comes round, it comes in another way.
    turn = seed if fault else cycle + position
    job = chance.choice(kind.jobs)
    at = chance.randint(1, REQUESTS[job])
    return Plan(
        seed=seed,
        fault=name,
        variant=kind.variants[turn % len(kind.variants)],
        job=job,
        request=0 if kind.at_submission else at,
        phase=chance.choice(("before", "after")),
        seconds=chance.choice(kind.seconds),
    )
