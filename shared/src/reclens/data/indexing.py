"""External ids (text) to internal indices (integers): the one place that converts.

Indices follow the natural order of ids ("2" before "10", "u2" before "u10"), so they depend on
which ids there are, and not on the order of rows.
"""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt
import pyarrow as pa

_DIGITS = re.compile(r"([0-9]+)")


def natural_key(text: str) -> tuple[tuple[str | tuple[int, str], ...], str]:
    """Sort key by which runs of digits compare as numbers; equal numbers ("1", "01") by text."""
    parts = _DIGITS.split(text)
    # Digits stay text, compared by length first: no limit on the size of a number.
    numbers = [part.lstrip("0") for part in parts[1::2]]
    key: list[str | tuple[int, str]] = list(parts)
    key[1::2] = [(len(number), number) for number in numbers]
    return tuple(key), text


def index_ids(ids: pa.StringArray) -> tuple[list[str], npt.NDArray[np.int32]]:
    """Distinct ids [m] in natural order, and the position of each id [n] among them."""
    encoded = ids.dictionary_encode()
    found: list[str] = encoded.dictionary.to_pylist()
    order = sorted(range(len(found)), key=lambda code: natural_key(found[code]))
    rank = np.empty(len(found), dtype=np.int32)
    rank[order] = np.arange(len(found))
    return [found[code] for code in order], rank[encoded.indices.to_numpy()]


def compact(
    ids: list[str], index: npt.NDArray[np.int32]
) -> tuple[list[str], npt.NDArray[np.int32]]:
    """Drop the ids that ``index`` no longer mentions; the order of the others stays."""
    used, compacted = np.unique(index, return_inverse=True)
    return [ids[i] for i in used], compacted.astype(np.int32)
