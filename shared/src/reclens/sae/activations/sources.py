"""Where activations come from: anything that gives blocks of rows by number, as often as asked."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np

from reclens.errors import InvalidInput

ARRAY_NDIM = 2
_HALF = 2
"""Bytes of a half-precision number."""


@runtime_checkable
class ActivationSource(Protocol):
    """Activations in numbered shards, of which one is in memory at a time."""

    def __len__(self) -> int:
        """Number of shards."""
        ...

    def load(self, i: int) -> np.ndarray:
        """Shard ``i`` [rows, d_model]; the same rows at every call. It is not written to."""
        ...


class SequenceSource:
    """Shards that are in memory already; a whole array is one shard."""

    def __init__(self, shards: Sequence[Any]) -> None:
        self._shards = shards

    def __len__(self) -> int:
        return len(self._shards)

    def load(self, i: int) -> np.ndarray:
        return _as_array(self._shards[i])


class SpooledSource(SequenceSource):
    """Shards of an iterator that passes only once, kept in a temporary folder."""

    def __init__(self, shards: Iterable[Any]) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="reclens-activations-")
        mapped: list[np.ndarray] = []
        for i, shard in enumerate(shards):
            path = Path(self._folder.name) / f"{i}.npy"
            np.save(path, _as_array(shard), allow_pickle=False)
            mapped.append(np.load(path, mmap_mode="r"))
        super().__init__(mapped)


class RowShare:
    """Part of each shard's rows, chosen by seed: ``keep`` and ``drop`` of one seed are disjoint."""

    def __init__(
        self, source: ActivationSource, *, share: float, seed: int, side: Literal["keep", "drop"]
    ) -> None:
        self._source = source
        self._share = share
        self._seed = seed
        self._side = side

    def __len__(self) -> int:
        return len(self._source)

    def load(self, i: int) -> np.ndarray:
        x = self._source.load(i)
        order = np.random.default_rng([self._seed, i]).permutation(len(x))
        n_kept = round(self._share * len(x))
        chosen = order[:n_kept] if self._side == "keep" else order[n_kept:]
        return x[np.sort(chosen)]


def as_source(x: Any) -> ActivationSource:
    """Make a source of an array, a tensor, a sequence or iterator of shards, or a source.

    Raises:
        InvalidInput: ``x`` is none of these.
    """
    if isinstance(x, ActivationSource):
        return x
    if hasattr(x, "__array__") or hasattr(x, "detach"):
        return SequenceSource([x])
    if isinstance(x, Sequence) and not isinstance(x, str | bytes):
        return SequenceSource(x)
    if isinstance(x, Iterable):
        return SpooledSource(x)
    raise InvalidInput(
        f"cannot read activations from a {type(x).__name__}.",
        field="x",
        remedy="pass an array or tensor [rows, d_model], or an iterable of such shards.",
    )


def load_shard(source: ActivationSource, i: int, d_model: int | None) -> np.ndarray:
    """Shard ``i`` as float32 [rows, d_model], every value finite.

    Raises:
        InvalidInput: it has another shape or type, or a NaN or infinity; names shard and row.
    """
    x = _as_array(source.load(i))
    if x.ndim != ARRAY_NDIM or x.dtype.kind not in "fiu":
        raise InvalidInput(
            f"expected numbers of shape [rows, d_model], got {x.dtype} of shape {list(x.shape)}.",
            field=f"x[{i}]",
            remedy="pass one row per activation.",
        )
    if d_model is not None and x.shape[1] != d_model:
        raise InvalidInput(
            f"activations are {x.shape[1]} wide, expected d_model = {d_model}.",
            field="d_model",
            remedy="set d_model to the width of the activations, or leave it out; "
            "all shards must be of one width.",
        )
    x = x.astype(np.float32, copy=False)
    row = first_bad_row(x)
    if row is not None:
        dimension = int(np.argmin(np.isfinite(x[row])))
        raise InvalidInput(
            f"shard {i}, row {row} has a NaN or an infinity in dimension {dimension}.",
            field=f"x[{i}][{row}]",
            remedy="capture the activations again, or leave the row out.",
        )
    return x


def first_bad_row(x: np.ndarray) -> int | None:
    """Index of the first row with a NaN or an infinity; None where all are finite."""
    finite = np.isfinite(x)
    return None if finite.all() else int(np.argmin(finite.all(1)))


def iterate_shards(source: ActivationSource, d_model: int | None) -> Iterator[np.ndarray]:
    """All shards in order, checked as by `load_shard`, empty ones left out."""
    for i in range(len(source)):
        x = load_shard(source, i, d_model)
        if len(x):
            yield x


def _as_array(x: Any) -> np.ndarray:
    # A tensor may require gradients or live on an accelerator; numpy takes neither.
    if hasattr(x, "detach"):
        x = x.detach().cpu()
        # As it has no bfloat16 and nothing smaller.
        x = x.float() if x.is_floating_point() and x.itemsize <= _HALF else x
    return np.asarray(x)
