"""From raw files to a data set: read, filter, index, split."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np

from reclens.contracts import DatasetSpec, SourceSpec
from reclens.data.built_in import built_in_source
from reclens.data.dataset import Dataset, Interactions, Items, Split, Users
from reclens.data.filters import k_core
from reclens.data.indexing import compact, index_ids
from reclens.data.raw import ItemText, Order, RawData
from reclens.data.readers import READERS, SourceFiles
from reclens.data.splits import assign_splits
from reclens.data.tagging import hold_out_taggers
from reclens.errors import InvalidInput, MissingData

_SPLITS: dict[Order, tuple[tuple[str, ...], str]] = {
    "time": (("leave-one-out", "ratio", "global-time"), "the time"),
    "sequence": (("leave-one-out", "ratio"), "the order of each user's interactions alone"),
    "none": (("ratio",), "no order of interactions"),
}
"""By what is known of the order: kinds of split that make sense, and how to call it."""


def prepare(spec: DatasetSpec, folder: Path) -> Dataset:
    """Read, filter, index and split.

    Args:
        spec: what to do.
        folder: folder or interactions file with the raw data; it stands for ``spec.source.path``.
            Of a built-in data set: the folder with its files.

    Raises:
        MissingData: a file is not there.
        MalformedData: a row cannot be read.
        InvalidInput: nothing is left after filtering or for training, or a rating, an order of
            interactions or taggers are asked for that the source does not have.
    """
    if spec.source is None:
        source = built_in_source(spec.name, folder)
    else:
        source = spec.source.model_copy(update={"path": str(folder)})
    raw = READERS[source.format].read(source_files(source), source.columns)
    if spec.held_out_taggers:
        raw = replace(raw, items=hold_out_taggers(raw.items, spec.held_out_taggers))
    return index_and_split(raw, spec)


def index_and_split(raw: RawData, spec: DatasetSpec) -> Dataset:
    """Filter, index and split what a reader returned. Repeated interactions are kept: they are
    part of the sequence.

    Raises:
        InvalidInput: as ``prepare``.
    """
    _check_order(raw, spec)
    user_ids, user_index = index_ids(raw.user_ids)
    item_ids, item_index = index_ids(raw.item_ids)
    rows = _rated(raw, spec.min_rating)
    rows = rows[k_core(user_index[rows], item_index[rows], spec.k_core)]
    if len(rows) == 0:
        raise InvalidInput(
            f"no interaction is left of {len(raw)}.",
            field="k_core" if spec.k_core > 1 else "min_rating",
            remedy="lower k_core or min_rating, or check that the file has rows.",
        )
    # Stable, so that rows at the same time keep their order in the source.
    rows = rows[np.lexsort((raw.timestamps[rows], user_index[rows]))]
    user_ids, user_index = compact(user_ids, user_index[rows])
    item_ids, item_index = compact(item_ids, item_index[rows])
    timestamp = raw.timestamps[rows]
    split = assign_splits(user_index, timestamp, spec.split)
    popularity = np.bincount(item_index[split == Split.TRAIN], minlength=len(item_ids))
    texts = [raw.items.get(item_id, ItemText()) for item_id in item_ids]
    tells_tag_users = any(text.tag_users for text in texts)
    return Dataset(
        Interactions(
            user_index,
            item_index,
            timestamp,
            None if raw.ratings is None else raw.ratings[rows],
            split,
        ),
        Items(
            item_ids,
            [text.title for text in texts],
            [list(text.tags) for text in texts],
            [text.year for text in texts],
            popularity.astype(np.int32),
            [dict(text.tag_users) for text in texts] if tells_tag_users else None,
            [dict(text.held_out_tag_users) for text in texts] if spec.held_out_taggers else None,
        ),
        Users(user_ids, [dict(raw.users.get(user_id, {})) for user_id in user_ids]),
    )


def source_files(source: SourceSpec) -> SourceFiles:
    """The files that reading ``source`` would read.

    Raises:
        MissingData: the interactions, or a file that is named, are not there.
    """
    items_path = None if source.items_path is None else Path(source.items_path)
    return READERS[source.format].locate(Path(source.path), items_path)


def checksums(source: SourceSpec) -> dict[str, str]:
    """SHA-256 (hexadecimal) of every file of ``source``, by file name.

    Raises:
        MissingData: a file is not there.
        InvalidInput: two files have the same name.
    """
    sums: dict[str, str] = {}
    for path in source_files(source).all():
        if path.name in sums:
            raise InvalidInput(
                f"two files of the source are called {path.name}.",
                field="source.items_path",
                remedy="rename one of them.",
            )
        with path.open("rb") as file:
            sums[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
    return sums


def verify_checksums(source: SourceSpec) -> None:
    """Check the files against ``source.sha256``, where that is given.

    Raises:
        InvalidInput: a file has other bytes, or is read but not listed.
        MissingData: a listed file is not among those that would be read.
    """
    if not source.sha256:
        return
    found = checksums(source)
    for name in sorted(source.sha256.keys() - found.keys()):
        raise MissingData(
            f"{name} is listed, but is not among the files at {source.path}: {', '.join(found)}.",
            field="source.sha256",
            remedy="bring the file back, or submit the job again.",
        )
    for name, digest in found.items():
        expected = source.sha256.get(name)
        if expected is None or expected.lower() != digest:
            raise InvalidInput(
                f"{name} has SHA-256 {digest}, the specification says {expected or 'nothing'}.",
                field="source.sha256",
                remedy="bring back the file that was meant, or submit the job again for this one.",
            )


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


def _rated(raw: RawData, min_rating: float | None) -> np.ndarray:
    """Rows [n] whose rating is at least ``min_rating``; all where that is None."""
    if min_rating is None:
        return np.arange(len(raw))
    if raw.ratings is None:
        raise InvalidInput(
            "the source has no ratings.",
            field="min_rating",
            remedy="leave min_rating out, or name the column in source.columns.rating.",
        )
    return np.flatnonzero(raw.ratings >= np.float32(min_rating))
