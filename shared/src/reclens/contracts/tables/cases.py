# pyright: basic
"""Tables of cases: shards of `activations/{id}/`, and of `autoencoders/{id}/` those of codes,
beside its table of latents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final

import pyarrow as pa

from reclens.contracts.tables.table import Table
from reclens.errors import CorruptArtifact

_Single = Annotated[float, pa.float32()]
_Singles = Annotated[tuple[float, ...], pa.list_(pa.float32())]


@dataclass(frozen=True)
class _Case:
    user_id: str
    """Id of the user."""
    split: str
    """Division of users: ``train``, ``construct``, ``verify`` or ``test``; the codes of train users
    are not stored."""
    origin: str
    """``history``: the representation was computed from the context. ``learned``: it is the vector
    that the model learned for this user, and the context is the user's whole history. ``folded``:
    the context, a random part of the user's history, was folded in as if the user were unknown."""
    context: tuple[str, ...]
    """Item ids, oldest first."""


@dataclass(frozen=True)
class ActivationRow(_Case):
    """A case that the recommender was asked, and what passed its probe site."""

    representation: Annotated[tuple[float, ...], "fixed_size_list<float32 or float16>[d]"]
    """What passed the site."""
    top_items: tuple[str, ...]
    """Ids of the recommender's best items that are not in the context, best first."""
    top_scores: _Singles
    """Their scores."""


@dataclass(frozen=True)
class CodeRow(_Case):
    """A case of a user that was not trained on, and the latents that it fires."""

    top_items: tuple[str, ...]
    """Ids of the recommender's best items that are not in the context, best first."""
    latents: Annotated[tuple[int, ...], pa.list_(pa.int32())]
    """Latents that fire, at most k, strongest first."""
    values: _Singles
    """How strongly each fires, falling."""


@dataclass(frozen=True)
class LatentRow:
    """Row j is latent j, over the train users."""

    latent: int
    """Index of the latent."""
    density: float
    """Share of cases that fire it."""
    mean: _Single
    """Mean over firing cases."""
    p99: _Single
    """99th percentile over firing cases; 0 when it never fires."""
    maximum: _Single
    """Greatest over all cases."""


ACTIVATION_SHARD: Final = Table(
    # Representations do not compress; ids repeat.
    "shard-{:05d}.parquet",
    ActivationRow,
    compression="zstd",
    row_group_size=8192,
)
CODE_SHARD: Final = Table("codes-{:05d}.parquet", CodeRow)
LATENTS: Final = Table("latents.parquet", LatentRow, not_null=False)


def representation_width(column: pa.DataType) -> int:
    """Width d of the representations of a shard, from the type of their column.

    Raises:
        CorruptArtifact: it holds no vectors of floats.
    """
    if pa.types.is_fixed_size_list(column) and pa.types.is_floating(column.value_type):
        return column.list_size
    raise CorruptArtifact(
        f"representations are {column}, not vectors of floats.",
        field="representation",
        remedy="capture the activations again.",
    )


SERVED_SPLITS: Final = ("construct", "verify", "test")
"""Users whose latents are stored with the autoencoder."""
