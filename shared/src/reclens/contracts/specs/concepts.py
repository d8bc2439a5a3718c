"""Specifications of labelling: how latents get concepts, who judges them, and the shards (ranges of
latents) that are labelled by one message each."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from reclens.contracts.artifacts import ArtifactKind, ArtifactRef
from reclens.contracts.base import Contract
from reclens.contracts.jobs.kinds import JobKind, JobSpec, QueueName, StageOptions, WorkerName
from reclens.errors import InvalidSpec

PAPER_CASES = 5
"""Positives, and negatives, of the published protocol (arXiv 2411.06112, code)."""
MAX_SHARDS = 4096
"""Shards of one labelling at most: each is a message, and a line of the job's view."""


def tokens_of_grades(n_cases: int) -> int:
    """Tokens that the grades of so many cases take at most: ``{"grades": [10, 10, ...]}``."""
    return 8 + 3 * n_cases


class LlmOptions(Contract):
    """What a language model is asked. Where it is reached is a setting of the labeler."""

    model: str = Field(default="default", min_length=1, max_length=200)
    """Model, as its server names it. TGI serves one model and takes any name; it is part of the
    artifact's identity all the same, so write which one it is."""
    n_examples: int = Field(default=12, ge=1, le=50)
    """Items of evidence shown per latent."""
    n_counter_examples: int = Field(default=6, ge=0, le=50)
    """Items shown that are recommended while the latent is silent."""
    n_judged: int = Field(default=10, ge=2, le=50)
    """Firing verification cases that the model judges per label, and as many silent ones."""
    temperature: float = Field(default=0.0, ge=0, le=2)
    """Of sampling; 0 takes the likeliest token."""
    max_tokens: int = Field(default=300, ge=16, le=8192)
    """Length of an answer at most."""

    @property
    def judging_tokens(self) -> int:
        """Length of an answer with all grades of a label: those judged, and ten cases of the
        published protocol."""
        return tokens_of_grades(2 * self.n_judged + 2 * PAPER_CASES)


JudgeName = Literal["keywords", "embedding", "llm"]
"""Who predicts from a label alone whether its latent fires: a matcher of the label's keywords, the
likeness of sentence embeddings, or a language model."""


class ConceptsOptions(StageOptions):
    """How latents are labelled."""

    source: Literal["keywords", "llm"] = "keywords"
    """Labeller. ``llm`` shows a language model the keywords with the evidence, and lets it name the
    latent or abstain."""
    judges: tuple[JudgeName, ...] = Field(default=("keywords",), min_length=1, max_length=3)
    """Judges of every label. The first one's verdict is the label's ``confidence``."""
    llm: LlmOptions = LlmOptions()
    """What the language model is asked, where it labels or judges."""
    shard_latents: int = Field(default=256, ge=1, le=1_000_000)
    """Latents labelled by one message, so that several workers share the work."""
    n_evidence: int = Field(default=60, ge=2, le=1000)
    """Strongest distinct items of a latent that its label is made from."""
    max_terms: int = Field(default=2, ge=1, le=10)
    """Terms in a label at most."""
    min_lift: float = Field(default=1.2, ge=1, le=1000)
    """A term must be this many times more frequent in the evidence than in the background."""
    min_support: float = Field(default=0.1, gt=0, le=1)
    """Share of the evidence that must carry a term."""
    min_items: int = Field(default=3, ge=1, le=1_000_000)
    """Items of the data set that must carry a term, for it to be one."""
    n_judged: int = Field(default=100, ge=10, le=100_000)
    """Firing verification cases that a label is judged on at most, and as many silent ones."""
    max_cases: int = Field(default=40_000, ge=100, le=10_000_000)
    """Cases read of the construct users, and of the verify users, at most."""
    seed: int = Field(default=0, ge=0)
    """Seed of the sampling of cases."""

    @property
    def asks_llm(self) -> bool:
        """Whether a language model labels or judges."""
        return self.source == "llm" or "llm" in self.judges

    @model_validator(mode="after")
    def _judges_are_sound(self) -> Self:
        if len(set(self.judges)) < len(self.judges):
            raise ValueError(f"name each judge once, got {', '.join(self.judges)}")
        if self.judges == ("llm",):
            # A concept of several latents is not what the model was asked about.
            raise ValueError("name keywords or embedding too: they measure concepts as a whole")
        return self

    @model_validator(mode="after")
    def _answers_have_room(self) -> Self:
        needed = self.llm.judging_tokens
        if "llm" in self.judges and self.llm.max_tokens < needed:
            raise ValueError(
                f"llm.max_tokens {self.llm.max_tokens} cannot hold the grades of llm.n_judged "
                f"{self.llm.n_judged} firing cases and as many silent ones; give at least {needed}"
            )
        return self


class ConceptsSpec(ConceptsOptions, JobSpec):
    """Label the latents of an autoencoder."""

    ALGORITHM: ClassVar[int] = 4

    autoencoder: ArtifactRef
    """Autoencoder whose latents to label."""
    dataset: ArtifactRef
    """Data set with the items' titles and tags."""

    def input_refs(self) -> dict[str, str]:
        return {"autoencoder": self.autoencoder, "dataset": self.dataset}


CONCEPTS_LABEL = JobKind(
    task="reclens.concepts.label.v1",
    queue=QueueName.LABEL,
    spec=ConceptsSpec,
    makes=ArtifactKind.CONCEPTS,
    stage="reclens_labeler.stages.join:run",
    # Once all shards are there: first it replaces itself by a chord of the two tasks below.
    action="reclens_labeler.fanout:plan",
    owner=WorkerName.LABELER,
)


class ConceptShardSpec(ConceptsSpec):
    """Label one range of latents. A labelling sends these itself."""

    first: int = Field(ge=0)
    """First latent of the range."""
    stop: int = Field(ge=1)
    """The latent after its last one."""

    @model_validator(mode="after")
    def _range_is_not_empty(self) -> Self:
        if self.stop <= self.first:
            raise ValueError(f"stop {self.stop} must be above first {self.first}")
        return self

    @property
    def latents(self) -> range:
        """The latents to label."""
        return range(self.first, self.stop)

    def labelling(self) -> ConceptsSpec:
        """The specification that this is a part of."""
        return ConceptsSpec(**{name: getattr(self, name) for name in ConceptsSpec.model_fields})

    @classmethod
    def of(cls, spec: ConceptsSpec, n_latents: int) -> list[Self]:
        """The shards that make up a labelling, in order.

        Args:
            spec: of the labelling.
            n_latents: of the dictionary.

        Raises:
            InvalidSpec: there would be too many.
        """
        size = spec.shard_latents
        n_shards = -(-n_latents // size)
        if n_shards > MAX_SHARDS:
            raise InvalidSpec(
                f"{n_latents} latents make {n_shards} shards of {size}, at most {MAX_SHARDS} are "
                "possible.",
                field="shard_latents",
                remedy=f"take at least {-(-n_latents // MAX_SHARDS)}.",
            )
        fields: dict[str, Any] = {name: getattr(spec, name) for name in ConceptsSpec.model_fields}
        return [
            cls(**fields, first=first, stop=min(first + size, n_latents))
            for first in range(0, n_latents, size)
        ]


CONCEPTS_SHARD = JobKind(
    task="reclens.concepts.shard.v1",
    queue=QueueName.LABEL,
    spec=ConceptShardSpec,
    makes=ArtifactKind.CONCEPT_SHARDS,
    stage="reclens_labeler.stages.label:run",
    owner=WorkerName.LABELER,
    writes=("llm-cache/",),
    internal=True,
    in_chord=True,
)

CONCEPTS_JOIN = JobKind(
    task="reclens.concepts.join.v1",
    queue=QueueName.LABEL,
    spec=ConceptsSpec,
    action="reclens_labeler.fanout:join",
    owner=WorkerName.LABELER,
    internal=True,
    about="Verify the shards and join them. It runs under the id of the labelling, whose `spec` it "
    "has. Where shards are missing the labelling ends `PARTIAL`, or sends them again.",
)
