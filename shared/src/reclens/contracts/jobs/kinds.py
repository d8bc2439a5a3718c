"""Kinds of job, each declared once: routes, registration in its worker, `reclens submit`, the
reference, and rights in Redis and the object store are all derived from the declarations here.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from reclens.contracts.artifacts import ArtifactKind
from reclens.contracts.base import ADDED_LATER, Contract, canonical_json, sha256_hex
from reclens.errors import InvalidInput
from reclens.extensions import ExtensionPoint, instance_of

MAX_SPEC_BYTES = 16 * 1024
"""Largest job specification; larger payloads belong in the object store."""


class QueueName(StrEnum):
    """Queues. They are declared explicitly; others are refused."""

    CAPTURE = "capture"
    TRAIN = "train"
    LABEL = "label"
    PIPELINE = "pipeline"


class WorkerName(StrEnum):
    """The services that take jobs. Each has an account of its own in Redis and in the store."""

    RECOMMENDER = "recommender"
    TRAINER = "trainer"
    LABELER = "labeler"


class StageOptions(Contract):
    """What all jobs that make an artifact can be told."""

    remake: Annotated[int, ADDED_LATER] = Field(default=0, ge=0)
    """How often the artifact was made anew: another number is another artifact, with another id.
    `reclens submit --force` counts it up."""


class JobSpec(StageOptions):
    """Specification of a job that makes one artifact.

    The artifact's id is the hash of the task, the algorithm's version and the canonical
    specification. References inside the specification are such hashes themselves, so an id pins
    everything upstream, and all ids of a pipeline are known before anything runs.
    """

    JOB: ClassVar[JobKind]
    """The kind of job that makes the artifact; set by its declaration."""
    ALGORITHM: ClassVar[int] = 1
    """Raised whenever the code makes other bytes from the same specification."""

    def artifact_ref(self) -> str:
        """``kind/id`` of the artifact that this specification makes."""
        identity = {"task": self.JOB.task, "algorithm": self.ALGORITHM, "spec": self.canonical()}
        return f"{self.JOB.makes}/{sha256_hex(canonical_json(identity))[:16]}"

    def input_refs(self) -> dict[str, str]:
        """Artifacts that the job reads, by role."""
        return {}


@dataclass(frozen=True, kw_only=True)
class JobKind:
    """One kind of job. A package offers it as an entry point of the group ``reclens.jobs``, whose
    name is the task.

    Functions are named as ``package.module:function`` and are imported by the worker at its first
    job: whoever submits jobs need not have them.

    Raises:
        InvalidInput: what is declared does not fit together.
    """

    task: str
    """Public name for ``send_task``. The version is part of the name."""
    queue: QueueName
    """Queue that the task is sent to. All tasks of a queue have the same owner."""
    spec: type[Contract]
    """What the payload must be. A `JobSpec` where an artifact is made."""
    makes: ArtifactKind | None = None
    """Kind of artifact that ``stage`` makes; None where the job makes none."""
    stage: str | None = None
    """Function ``run(spec, job) -> metrics`` that makes the artifact, see `reclens.platform.jobs`.
    What is around it (reuse, lease, checkpoints, retries, commit) is the same for all stages."""
    check_reuse: str | None = None
    """Function ``check(spec, metrics)`` that raises where an artifact that exists is not to be
    taken for what would be made now."""
    action: str | None = None
    """Function ``run(spec, task, runner) -> result`` that answers the message where more is to do
    than to make the artifact: it may replace the task by others. None: the stage is run."""
    owner: WorkerName
    """The worker that runs it."""
    writes: tuple[str, ...] = ()
    """Prefixes in the object store below which it adds objects besides its artifact."""
    internal: bool = False
    """Whether only other tasks send it; such a job cannot be submitted."""
    in_chord: bool = False
    """Whether it is part of a chord's header. One that fails would break the chord, so it returns
    ``{"failed": FailureReport}``, for the body to see."""
    about: str = ""
    """What the reference says of it. Empty: the first line of the specification's docstring."""

    def __post_init__(self) -> None:
        if (self.makes is None) != (self.stage is None):
            raise InvalidInput(f"{self.task}: a stage makes an artifact of a kind.", field="makes")
        if self.stage is None and self.action is None:
            raise InvalidInput(f"{self.task} has neither stage nor action.", field="stage")
        if self.makes is None:
            return
        if not issubclass(self.spec, JobSpec):
            raise InvalidInput(f"{self.task} makes an artifact of no JobSpec.", field="spec")
        other = vars(self.spec).get("JOB")
        if other is not None and other.task != self.task:
            raise InvalidInput(
                f"{self.spec.__name__} is the specification of {other.task}; ids of two kinds of "
                f"job would be the same.",
                field="spec",
            )
        self.spec.JOB = self


JOBS: ExtensionPoint[JobKind] = ExtensionPoint(
    "reclens.jobs",
    noun="job",
    field="task",
    page="docs/how-to/extend/job.md",
    flaw=instance_of(JobKind, "reclens.contracts.JobKind"),
)
"""Each a `JobKind`, under the name of its task."""


def job_kinds() -> dict[str, JobKind]:
    """Every kind of job that is installed, by task, in alphabetical order.

    Raises:
        InvalidInput: a package declares one that cannot be imported, under another name than its
            task, or for a queue that another worker consumes.
    """
    kinds = JOBS.load_all()
    owners: dict[QueueName, JobKind] = {}
    for name, kind in kinds.items():
        if kind.task != name:
            raise InvalidInput(
                f"the entry point {name!r} is of the task {kind.task!r}.",
                field="task",
                remedy="give the entry point the name of the task.",
            )
        first = owners.setdefault(kind.queue, kind)
        if first.owner is not kind.owner:
            raise InvalidInput(
                f"{kind.task} and {first.task} share the queue {kind.queue}, and {kind.owner} and "
                f"{first.owner} would both consume it.",
                field="queue",
                remedy="send the jobs of one worker to queues of its own.",
            )
    return kinds
