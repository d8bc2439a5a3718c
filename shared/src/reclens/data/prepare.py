"""From raw files to a data set: read, filter, index, split.

External ids (text) become internal indices (integers) here and nowhere else. Indices follow the
natural order of ids ("2" before "10", "u2" before "u10"), so they depend on which ids there are,
and not on the order of rows.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from reclens.contracts import DatasetSpec
from reclens.contracts.account import TIME_OUTLIERS, DroppedRows, ImportAccount
from reclens.data.account import (
    Selection,
    account_of,
    exact_copies,
    refuse_warnings,
)
from reclens.data.dataset import Dataset, Interactions, Items, Split, Users
from reclens.data.reading import published_source, read_source
from reclens.data.sources.raw import ItemText, Order, RawData, hold_out_taggers
from reclens.data.splits import assign_splits
from reclens.errors import InvalidInput

_DIGITS = re.compile(r"([0-9]+)")
_SPLITS: dict[Order, tuple[tuple[str, ...], str]] = {
    "time": (("leave-one-out", "ratio", "global-time"), "the time"),
    "rows": (("leave-one-out", "ratio", "global-time"), "the order of all rows alone"),
    "sequence": (("leave-one-out", "ratio"), "the order of each user's interactions alone"),
    "none": (("ratio",), "no order of interactions"),
}
"""By what is known of the order: kinds of split that make sense, and how to call it."""


class Imported(NamedTuple):
    """A data set, and the account of how it came about."""

    dataset: Dataset
    account: ImportAccount


def prepare(spec: DatasetSpec, folder: Path) -> Dataset:
    """Read, filter, index and split; arguments and errors are those of `import_dataset`.

    Raises:
        InvalidInput: something is odd, which ``strict`` does not admit.
    """
    imported = import_dataset(spec, folder)
    if spec.strict:
        refuse_warnings(imported.account)
    return imported.dataset


def import_dataset(spec: DatasetSpec, folder: Path) -> Imported:
    """Read, filter, index and split, and say what was found and what was done. What is odd is told,
    and refused by no more than `check_account`.

    Args:
        spec: what to do.
        folder: folder or interactions file with the raw data; it stands for ``spec.source.path``.
            Of a published data set: the folder with its files.

    Raises:
        NotFound: no installed package reads the format, or declares the data set.
        MissingData: a file is not there.
        MalformedData: a row cannot be read.
        InvalidInput: nothing is left after filtering, or of a split by time (almost) nothing to
            train or to test on; or a rating, an order of interactions, times or taggers are asked
            for that the source does not have.
    """
    if spec.source is None:
        source = published_source(spec.name, folder)
    else:
        source = spec.source.model_copy(update={"path": str(folder)})
    return import_raw(read_source(source), spec)


def import_raw(raw: RawData, spec: DatasetSpec) -> Imported:
    """Filter, index and split what a reader returned, and say what was found and what was done.

    Raises:
        InvalidInput: as `import_dataset`.
    """
    if spec.held_out_taggers:
        raw = replace(raw, items=hold_out_taggers(raw.items, spec.held_out_taggers))
    _check_order(raw, spec)
    user_ids, user_index = index_ids(raw.user_ids)
    item_ids, item_index = index_ids(raw.item_ids)
    copies = exact_copies(raw, user_index, item_index)
    rows, dropped = _filtered(raw, user_index, item_index, copies, spec)
    # Stable, so that rows at the same time keep their order in the source.
    finest_first = [raw.timestamps, user_index]
    if raw.fractions is not None:
        finest_first.insert(0, raw.fractions)
    rows = rows[np.lexsort([key[rows] for key in finest_first])]
    selection = Selection(rows, dropped, int(copies.sum()), len(user_ids), len(item_ids))
    user_ids, user_index = compact(user_ids, user_index[rows])
    item_ids, item_index = compact(item_ids, item_index[rows])
    split = _divided(raw, rows, user_index, spec)
    seen = Interactions(
        user_index,
        item_index,
        raw.timestamps[rows],
        None if raw.ratings is None else raw.ratings[rows],
        split,
    )
    users = Users(user_ids, [dict(raw.users.get(user_id, {})) for user_id in user_ids])
    dataset = Dataset(seen, _items(raw, item_ids, seen, spec), users)
    return Imported(dataset, account_of(raw, selection, dataset, spec))


def index_and_split(raw: RawData, spec: DatasetSpec) -> Dataset:
    """The data set of `import_raw`. Repeated interactions are part of the sequence and kept, but
    for those that ``copies: drop`` takes for copies.

    Raises:
        InvalidInput: as `import_raw`.
    """
    return import_raw(raw, spec).dataset


def k_core(
    user_index: npt.NDArray[np.int32], item_index: npt.NDArray[np.int32], k: int
) -> npt.NDArray[np.bool_]:
    """Mask [n] of the largest part in which every user and item has at least ``k`` interactions.

    A repeated interaction counts each time.
    """
    kept = np.ones(len(user_index), dtype=bool)
    if k <= 1 or len(kept) == 0:
        return kept
    n_users, n_items = int(user_index.max()) + 1, int(item_index.max()) + 1
    while True:
        per_user = np.bincount(user_index[kept], minlength=n_users)
        per_item = np.bincount(item_index[kept], minlength=n_items)
        still = kept & (per_user[user_index] >= k) & (per_item[item_index] >= k)
        if still.sum() == kept.sum():
            return kept
        kept = still


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


# --- below ---------------------------------------------------------------------------------------


def _check_order(raw: RawData, spec: DatasetSpec) -> None:
    """Refuse a split by an order that the source does not have."""
    kinds, known = _SPLITS[raw.order]
    if spec.split.kind not in kinds:
        raise InvalidInput(
            f"{spec.split.kind} cannot divide a source that knows {known}.",
            field="split.kind",
            remedy=f"use {' or '.join(kinds)}.",
        )


def _filtered(
    raw: RawData,
    user_index: npt.NDArray[np.int32],
    item_index: npt.NDArray[np.int32],
    copies: npt.NDArray[np.bool_],
    spec: DatasetSpec,
) -> tuple[npt.NDArray[np.int64], DroppedRows]:
    """Numbers of the rows that are left, in order of the source, and how many are not, by why."""
    left = [np.arange(len(raw))]
    if spec.copies == "drop":
        _require_times(raw)
        left.append(np.flatnonzero(~copies))
    rated = left[-1][_rated(raw, spec.min_rating)[left[-1]]]
    core = rated[k_core(user_index[rated], item_index[rated], spec.k_core)]
    dropped = DroppedRows(
        copies=len(left[0]) - len(left[-1]),
        min_rating=len(left[-1]) - len(rated),
        k_core=len(rated) - len(core),
    )
    if len(core) == 0:
        told = ", ".join(f"{count} by {why}" for why, count in dropped if count)
        raise InvalidInput(
            f"no interaction is left of {len(raw)}{told and f': left out {told}'}.",
            field="k_core" if spec.k_core > 1 else "min_rating",
            remedy="lower k_core or min_rating, or check that the file has rows.",
        )
    return core, dropped


def _require_times(raw: RawData) -> None:
    if not raw.timed:
        raise InvalidInput(
            "the source has no times, by which copies are told from repeated interactions.",
            field="copies",
            remedy="leave copies out, or name the column of the times in source.columns.timestamp.",
        )


def _rated(raw: RawData, min_rating: float | None) -> npt.NDArray[np.bool_]:
    """Mask [n] of the rows whose rating is at least ``min_rating``; all where that is None."""
    if min_rating is None:
        return np.ones(len(raw), dtype=bool)
    if raw.ratings is None:
        raise InvalidInput(
            "the source has no ratings.",
            field="min_rating",
            remedy="leave min_rating out, or name the column in source.columns.rating.",
        )
    return raw.ratings >= np.float32(min_rating)


def _divided(
    raw: RawData,
    rows: npt.NDArray[np.int64],
    user_index: npt.NDArray[np.int32],
    spec: DatasetSpec,
) -> npt.NDArray[np.uint8]:
    """Codes of ``Split`` [n] of the rows; where they cannot be divided, a time that is far from
    the others may be why, and is named."""
    fraction = None if raw.fractions is None else raw.fractions[rows]
    try:
        return assign_splits(user_index, raw.timestamps[rows], spec.split, fraction)
    except InvalidInput as error:
        odd = [one for one in raw.findings if one.code == TIME_OUTLIERS]
        told = [error.message, *(f"{one.place}: {one.message}" for one in odd)]
        remedy = [*(one.remedy.rstrip(".") for one in odd), error.remedy]
        raise InvalidInput(
            " ".join(told), field=error.field, remedy="; or ".join(remedy)
        ) from error


def _items(raw: RawData, item_ids: list[str], seen: Interactions, spec: DatasetSpec) -> Items:
    trained = seen.item_index[seen.split == Split.TRAIN]
    texts = [raw.items.get(item_id, ItemText()) for item_id in item_ids]
    tells_tag_users = any(text.tag_users for text in texts)
    return Items(
        item_ids,
        [text.title for text in texts],
        [list(text.tags) for text in texts],
        [text.year for text in texts],
        np.bincount(trained, minlength=len(item_ids)).astype(np.int32),
        [dict(text.tag_users) for text in texts] if tells_tag_users else None,
        [dict(text.held_out_tag_users) for text in texts] if spec.held_out_taggers else None,
    )
