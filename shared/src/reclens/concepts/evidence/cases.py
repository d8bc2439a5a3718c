"""Cases of held-out users: what was recommended to them, and which latents fired meanwhile."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy import sparse

from reclens.contracts.tables import CODE_SHARD
from reclens.errors import MalformedData, MissingData

CaseSplit = Literal["construct", "verify", "test"]
"""Users that labels are made from, that they are judged on, and that are kept from both."""

_COLUMNS = ["user_id", "split", "top_items", "latents", "values"]
_NO_ITEM = -1


@dataclass(frozen=True, eq=False)
class Cases:
    """Cases in the order they were stored."""

    user_ids: np.ndarray
    """str [n_cases]: whose case each is."""
    top_items: np.ndarray
    """int32 [n_cases, depth]: item indices of the base model's answer, best first; -1 pads."""
    activations: sparse.csr_matrix
    """float32 [n_cases, n_latents], at least 0; stored entries are above 0."""

    def __len__(self) -> int:
        return len(self.user_ids)

    @property
    def n_latents(self) -> int:
        """Latents of the dictionary."""
        return self.activations.get_shape()[1]

    @cached_property
    def by_latent(self) -> sparse.csc_matrix:
        """``activations`` by column."""
        return sparse.csc_matrix(self.activations)

    def item_weights(self, n_items: int) -> sparse.csr_matrix:
        """What of the answer each item is: float64 [n_cases, n_items], rows sum to 1.

        The weight falls with the rank r as 1/log2(r + 1), the discount of NDCG, so that the whole
        answer speaks and its top speaks loudest.
        """
        n_cases, depth = self.top_items.shape
        discount = 1 / np.log2(np.arange(depth) + 2)
        present = self.top_items != _NO_ITEM
        weights = present * discount
        weights /= np.maximum(weights.sum(axis=1, keepdims=True), 1e-12)
        rows = np.repeat(np.arange(n_cases), depth)[present.ravel()]
        return sparse.csr_matrix(
            (weights[present], (rows, self.top_items[present])), shape=(n_cases, n_items)
        )


def firing_cases(by_latent: sparse.csc_matrix, latent: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the cases that fire a latent, int [n_firing], and its activation in each.

    Args:
        by_latent: [n_cases, n_latents], `Cases.by_latent`.
        latent: column.
    """
    inside = slice(by_latent.indptr[latent], by_latent.indptr[latent + 1])
    return by_latent.indices[inside], np.asarray(by_latent.data[inside])


def strongest_activation(
    by_latent: sparse.csc_matrix, latents: Sequence[int], scale: np.ndarray
) -> np.ndarray:
    """The strongest activation of any of some latents in each case, float64 [n_cases].

    Args:
        by_latent: [n_cases, n_latents], `Cases.by_latent`.
        latents: of one concept.
        scale: float [n_latents], above 0: unit of each latent's activation, in which they are
            compared.
    """
    strongest = np.zeros(by_latent.get_shape()[0])
    for latent in latents:
        rows, values = firing_cases(by_latent, latent)
        strongest[rows] = np.maximum(strongest[rows], values / scale[latent])
    return strongest


def read_cases(
    shards: Sequence[Path],
    split: CaseSplit,
    item_ids: Sequence[str],
    n_latents: int,
    *,
    max_cases: int,
    seed: int,
) -> Cases:
    """Read the cases of one division of users from an autoencoder's code shards.

    Args:
        shards: Parquet files of the layout ``CODE_SHARD``.
        split: which users.
        item_ids: external ids; position i is item index i.
        n_latents: latents of the dictionary.
        max_cases: beyond this many, as many are drawn without replacement.
        seed: of that draw.

    Raises:
        MissingData: the shards hold no case of ``split``.
        MalformedData: an item or latent is not of this data set and dictionary.
        CorruptArtifact: a shard cannot be read.
    """
    ids = pa.array(item_ids, pa.string())
    parts = []
    for path, rows in _chosen(shards, split, max_cases, seed):
        table = CODE_SHARD.read(path, _COLUMNS).take(pa.array(rows))
        parts.append(_cases(table, path.name, ids, n_latents))
    return _joined(parts)


def read_histories(
    shards: Sequence[Path], split: CaseSplit, *, last: int, max_cases: int, seed: int
) -> list[tuple[str, ...]]:
    """The histories behind the cases that `read_cases` reads with the same arguments, in its order.

    Args:
        shards: as for `read_cases`.
        split: likewise.
        last: ids kept of each history, the latest ones; oldest of them first.
        max_cases: likewise.
        seed: likewise.

    Raises:
        MissingData: the shards hold no case of ``split``.
        CorruptArtifact: a shard cannot be read.
    """
    histories: list[tuple[str, ...]] = []
    for path, rows in _chosen(shards, split, max_cases, seed):
        table = CODE_SHARD.read(path, ["context"]).take(pa.array(rows))
        items, lengths = _flat(table["context"])
        ends = np.cumsum(lengths)
        histories += [
            tuple(items[int(end - min(length, last)) : int(end)].to_pylist())
            for end, length in zip(ends, lengths, strict=True)
        ]
    return histories


def _chosen(
    shards: Sequence[Path], split: CaseSplit, max_cases: int, seed: int
) -> Iterator[tuple[Path, np.ndarray]]:
    """Each shard with the rows to read from it, where there are any."""
    counts = [_rows_of(path, split) for path in shards]
    total = sum(map(len, counts))
    if total == 0:
        raise MissingData(
            f"the autoencoder's codes hold no {split} user.",
            field="autoencoder",
            remedy=f"capture with a larger share of {split} users.",
        )
    chosen = np.arange(total)
    if total > max_cases:
        rng = np.random.default_rng(seed)
        chosen = np.sort(rng.choice(total, size=max_cases, replace=False))
    starts = np.cumsum([0, *map(len, counts)])
    for path, rows, start in zip(shards, counts, starts, strict=False):
        inside = chosen[(chosen >= start) & (chosen < start + len(rows))] - start
        if len(inside):
            yield path, rows[inside]


def _rows_of(path: Path, split: str) -> np.ndarray:
    column = CODE_SHARD.read(path, ["split"])["split"]
    return np.nonzero(column.to_numpy() == split)[0]


def _cases(table: pa.Table, file: str, ids: pa.Array, n_latents: int) -> Cases:
    users = table["user_id"].to_numpy()
    top, lengths = _flat(table["top_items"])
    index_in: Any = pc.index_in  # pyright: ignore[reportAttributeAccessIssue]
    found = index_in(top, ids).fill_null(_NO_ITEM).to_numpy()
    if (found == _NO_ITEM).any():
        stranger = top[int(np.argmax(found == _NO_ITEM))].as_py()
        raise MalformedData(
            f"{file}: item {stranger!r} is not in the data set.",
            field="dataset",
            remedy="name the data set that the recommender was trained on.",
        )
    top_items = np.full((len(users), int(lengths.max(initial=1))), _NO_ITEM, np.int32)
    top_items[np.arange(top_items.shape[1]) < lengths[:, None]] = found

    latents, n_firing = _flat(table["latents"])
    values, n_values = _flat(table["values"])
    # A gap would be no number, and scipy writes where a negative index leads.
    columns = latents.fill_null(-1).to_numpy()
    fits = (columns >= 0).all() and (columns < n_latents).all() and not values.null_count
    if not np.array_equal(n_firing, n_values) or not fits:
        raise MalformedData(
            f"{file}: latents and values do not fit a dictionary of {n_latents} latents.",
            field="autoencoder",
            remedy="train the autoencoder again.",
        )
    bounds = np.concatenate([[0], np.cumsum(n_firing)])
    activations = sparse.csr_matrix(
        (values.to_numpy().astype(np.float32), columns.copy(), bounds),
        shape=(len(users), n_latents),
    )
    activations.eliminate_zeros()
    return Cases(users, top_items, activations)


def _flat(column: pa.ChunkedArray) -> tuple[pa.Array, np.ndarray]:
    """All values in a row, and how many each case has."""
    lists = column.combine_chunks()
    if isinstance(lists, pa.ChunkedArray):
        lists = pa.concat_arrays(lists.chunks)
    return lists.flatten(), np.diff(lists.offsets.to_numpy())


def _joined(parts: list[Cases]) -> Cases:
    depth = max(part.top_items.shape[1] for part in parts)
    padded = [
        np.pad(
            part.top_items,
            ((0, 0), (0, depth - part.top_items.shape[1])),
            constant_values=_NO_ITEM,
        )
        for part in parts
    ]
    return Cases(
        user_ids=np.concatenate([part.user_ids for part in parts]),
        top_items=np.concatenate(padded),
        activations=sparse.csr_matrix(sparse.vstack([part.activations for part in parts])),
    )
