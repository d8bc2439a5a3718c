"""The specification of a capture: which representations of a recommender are read, and where."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, get_args

from pydantic import AfterValidator, Field

from reclens.contracts.artifacts import ArtifactKind, ArtifactRef
from reclens.contracts.base import ADDED_LATER, Contract
from reclens.contracts.jobs.kinds import JobKind, JobSpec, QueueName, StageOptions, WorkerName


class SiteSpec(Contract):
    """The one place at which the recommender is opened."""

    module: str
    """Dotted path of a module of the recommender, e.g. ``encoder.norm``."""
    position: Literal["last", "all", "row"] = "last"
    """Which vector of the module's output: ``last`` of the sequence, ``all`` of it, or ``row``
    when the output is already one vector per case."""
    output: int | list[int] | None = None
    """Index into the module's output where that is a tuple; several where it is a tuple of tuples,
    as ``[1, 0]`` for the ``h_n`` of an ``nn.LSTM``."""
    batch_dim: Annotated[Literal[0, 1], ADDED_LATER] = 0
    """Dimension of the cases: 1 where the output is ``[length, batch, d_model]`` or ``h_n``."""
    call: Annotated[int | None, ADDED_LATER] = Field(default=None, ge=0)
    """Which call of a module that is called several times in one pass, from 0."""
    lengths: Annotated[str | None, ADDED_LATER] = None
    """For ``last`` of histories padded on the right: argument of the model, or of a module on the
    way to the site, that holds the length of each."""
    mask: Annotated[str | None, ADDED_LATER] = None
    """The same, where the argument is true, or not 0, at items."""
    padding_mask: Annotated[str | None, ADDED_LATER] = None
    """The same, where it is true at padding."""


UserSplit = Literal["train", "construct", "verify", "test"]
"""Division of users after capture: ``train`` trains the autoencoder, ``construct`` is the evidence
from which labels are made, ``verify`` judges the labels, ``test`` is held out from all of that."""


def _check_shares(shares: dict[UserSplit, float]) -> dict[UserSplit, float]:
    if set(shares) != set(get_args(UserSplit)):
        raise ValueError(f"give a share for each of {', '.join(get_args(UserSplit))}")
    if min(shares.values()) <= 0 or abs(sum(shares.values()) - 1) > 1e-6:
        raise ValueError(f"shares must be positive and sum to 1, got {shares}")
    return shares


UserShares = Annotated[dict[UserSplit, float], AfterValidator(_check_shares)]


class CaptureOptions(StageOptions):
    """Which representations to capture."""

    site: SiteSpec | None = None
    """Where to probe. None: the model's own site before its prediction layer."""
    cases: Literal["auto", "prefixes", "users", "folds"] = "auto"
    """``prefixes``: every prefix of a history is a case; ``users``: one case a user; ``folds``: the
    learned vector of each user, and ``folds`` parts of the user's history folded in as if the user
    were unknown; ``auto``: prefixes for models that read the history, folds for others."""
    folds: int = Field(default=16, ge=1, le=10_000)
    """Random parts of each user's history, for ``cases: folds``."""
    top_k: int = Field(default=50, ge=1, le=1000)
    """Items of the untouched answer kept with each case. Labels are read from them: on
    MovieLens-100K, 50 label 82 % of the latents that fire and 10 label 66 %."""
    shares: UserShares = Field(
        default={"train": 0.45, "construct": 0.3, "verify": 0.15, "test": 0.1}
    )
    """Disjoint shares of users, for everything after capture."""
    dtype: Literal["float32", "float16"] = "float32"
    """Storage type of the representation."""
    shard_rows: int = Field(default=32_768, ge=1, le=10_000_000)
    """Cases per Parquet shard."""
    seed: int = Field(default=0, ge=0)
    """Seed of the division of users, and of the parts of histories."""


class CaptureSpec(CaptureOptions, JobSpec):
    """Capture the representations of a recommender."""

    ALGORITHM: ClassVar[int] = 2

    recommender: ArtifactRef
    """Recommender to open."""

    def input_refs(self) -> dict[str, str]:
        return {"recommender": self.recommender}


ACTIVATIONS_CAPTURE = JobKind(
    task="reclens.activations.capture.v1",
    queue=QueueName.CAPTURE,
    spec=CaptureSpec,
    makes=ArtifactKind.ACTIVATIONS,
    stage="reclens_recommender.stages.capture:run",
    owner=WorkerName.RECOMMENDER,
)
