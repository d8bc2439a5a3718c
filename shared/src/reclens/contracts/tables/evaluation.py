# pyright: basic
"""Tables of ``evaluations/{id}/``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Final

import pyarrow as pa

from reclens.contracts.tables.table import Table

_Count = Annotated[int, pa.int64()]


@dataclass(frozen=True)
class FidelityRow:
    """A held-out user's list by one variant, of a representation of one origin."""

    user_id: str
    """Id of the user."""
    split: str
    """Division of users: ``construct``, ``verify`` or ``test``."""
    origin: str
    """``history``, ``learned`` or ``folded``."""
    variant: str
    """What stood at the probe site: ``base``, ``reconstruction``, ``random_sae`` or ``mean``."""
    hr_at_k: float = field(metadata={"name": "hr@k"})
    """Hit rate, a column for each k."""
    ndcg_at_k: float = field(metadata={"name": "ndcg@k"})
    """NDCG, a column for each k."""
    overlap_at_k: float = field(metadata={"name": "overlap@k"})
    """Share of the unchanged model's first k that are kept."""
    kendall: float
    """Kendall's tau with the unchanged model's ranking."""
    spearman: float
    """Spearman's rho with it."""


@dataclass(frozen=True)
class LatentQualityRow:
    """Row j is latent j, on test users. Those from ``intra`` to ``intruder_hard`` are by the
    recommender's item vectors, and with ``_text`` behind by item text; those from
    ``point_biserial`` on are of the label by tags, and with ``shuffled_`` before of another's."""

    latent: int
    """Index of the latent."""
    paper_p: float | None
    """P of the published protocol (arXiv 2411.06112)."""
    first_item: str | None
    """Item of its strongest case."""
    intra: float | None
    """Mean pairwise cosine of the items of its strongest cases."""
    intra_distinct: float | None
    """The same, each item once."""
    random_case: float | None
    """The same of random cases."""
    coherence: float | None
    """Mean pairwise cosine of its strongest items."""
    coherence_random: float | None
    """The same of random items as popular."""
    intruder: float | None
    """Share of draws in which a silent case is told from five firing ones."""
    intruder_hard: float | None
    """The same, of a silent case whose item is about as popular as theirs."""
    point_biserial: float | None
    """Correlation of its activation with the label."""
    purity_10: float | None
    """Share of its ten strongest items that have the label."""
    purity_20: float | None
    """Share of its twenty strongest items that have the label."""
    purity_50: float | None
    """Share of its fifty strongest items that have the label."""


@dataclass(frozen=True)
class LevelRow:
    """An activation level of a labelled latent that fires in enough test cases."""

    latent: int
    """Index of the latent."""
    level: int
    """From weak to strong; 0: silent."""
    cases: _Count
    """Cases of this level."""
    hits: _Count
    """Those whose first item carries the latent's concept."""
    exchanged_hits: _Count
    """Those whose first item carries the concept of another latent."""


@dataclass(frozen=True)
class ExampleRow:
    """A test case of an example latent."""

    latent: int
    """Index of the latent."""
    label: str
    """Its label."""
    activation: Annotated[float, pa.float32()]
    """How strongly it fires; 0 where it is silent."""
    with_concept: bool
    """Whether the first item carries the label."""


FIDELITY: Final = Table("fidelity.parquet", FidelityRow, compression="zstd")
LATENT_QUALITY: Final = Table("latent_quality.parquet", LatentQualityRow, compression="zstd")
LEVELS: Final = Table("levels.parquet", LevelRow, compression="zstd")
EXAMPLES: Final = Table("examples.parquet", ExampleRow, compression="zstd", not_null=False)
