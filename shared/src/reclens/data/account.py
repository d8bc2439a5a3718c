"""The account of an import: what was read and left out, what the split holds, and what is odd.

Readers tell what they found in the files; this adds what only the whole of the rows shows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from reclens.contracts import DatasetSpec
from reclens.contracts.account import (
    MAX_TOLD,
    DroppedRows,
    Finding,
    ImportAccount,
    SplitAccount,
)
from reclens.data.dataset import Dataset, Interactions, Split
from reclens.data.sources.raw import RawData
from reclens.errors import InvalidInput

_WHOLE = re.compile(r"^([0-9]+)\.0+$")


class Selection(NamedTuple):
    """Which rows of the source were taken."""

    rows: npt.NDArray[np.int64]
    """[m] numbers of the rows, sorted by user and time."""
    dropped: DroppedRows
    """How many others there are, by why."""
    copies: int
    """Rows read that are exact copies of an earlier one."""
    users_read: int
    """Users in the source."""
    items_read: int
    """Items in the source."""


def account_of(
    raw: RawData, selection: Selection, dataset: Dataset, spec: DatasetSpec
) -> ImportAccount:
    """What was read, left out and made, and what was odd.

    Args:
        raw: what the reader returned.
        selection: which rows of it were taken.
        dataset: what became of them.
        spec: what was asked for.
    """
    seen, items = dataset.interactions, dataset.items
    splits = {split.label: _split_account(dataset, split) for split in Split}
    moments = _moments(raw, selection.rows, seen)
    times = seen.timestamp if raw.timed else None
    met = set(raw.item_ids.unique().to_pylist())
    account = ImportAccount(
        rows_read=len(raw),
        rows_dropped=selection.dropped,
        rows_kept=len(seen),
        exact_copies=selection.copies,
        repeats=len(seen) - len(np.unique(_pairs(dataset))),
        ties=0 if moments is None else _ties(moments, seen),
        users_read=selection.users_read,
        users=dataset.n_users,
        items_read=selection.items_read,
        items=dataset.n_items,
        titled=sum(map(bool, items.titles)),
        tagged=sum(map(bool, items.tags)),
        undescribed=sum(
            not (title or tags) for title, tags in zip(items.titles, items.tags, strict=True)
        ),
        unmet=sum(item not in met for item in raw.items),
        first_time=None if times is None else int(times.min()),
        last_time=None if times is None else int(times.max()),
        splits=splits,
    )
    odd = [
        *_id_findings(raw, met),
        *_row_findings(raw, selection, account),
        *_tie_findings(account, moments, seen, spec),
        *_item_findings(account, raw),
        *_split_findings(account, dataset),
    ]
    return account.model_copy(update={"findings": (*raw.findings, *odd)})


# --- what is refused -----------------------------------------------------------------------------


def check_account(account: ImportAccount, spec: DatasetSpec) -> None:
    """Refuse what nothing could be learnt from or tested on and, if ``strict``, all that is odd.

    Raises:
        InvalidInput: names the counts.
    """
    if spec.strict:
        refuse_warnings(account)
    if account.splits[Split.TEST.label].interactions == 0:
        parts = ", ".join(f"{name} {part.interactions:,}" for name, part in account.splits.items())
        raise InvalidInput(
            f"the {spec.split.kind} split leaves nothing to test on: {parts} of "
            f"{account.rows_kept:,} interactions of {account.users:,} users, none of whom has "
            "three or more.",
            field="split",
            remedy="bring more interactions of each user, or use `split: {kind: global-time}` "
            "where there are times.",
        )


def refuse_warnings(account: ImportAccount) -> None:
    """Refuse whatever is odd.

    Raises:
        InvalidInput: names each kind, with its count.
    """
    if account.warnings:
        told = "; ".join(
            f"{one.code} ({', '.join(filter(None, (f'{one.count:,}', one.place)))}): "
            f"{one.message.rstrip('.')}"
            for one in account.warnings
        )
        raise InvalidInput(
            f"{told}.",
            field="strict",
            remedy="mend the files, see docs/how-to/datasets.md#what-an-import-tells, or leave "
            "strict out.",
        )


# --- who can be evaluated ------------------------------------------------------------------------


def evaluable_users(dataset: Dataset, split: Split) -> npt.NDArray[np.int64]:
    """Indices of the users who count in an evaluation on ``split``: they have an interaction
    before it, and in it an item that is not among those, as seen items are no candidates."""
    seen, pairs = dataset.interactions, _pairs(dataset)
    before, within = seen.split < split, seen.split == split
    new = within & ~np.isin(pairs, pairs[before])
    return np.intersect1d(seen.user_index[before], seen.user_index[new]).astype(np.int64)


def refuse_unevaluable(counts: dict[str, int], where: str) -> None:
    """Refuse to train on what no user can be evaluated on: it would be known after the last epoch.

    Args:
        counts: evaluable users, by ``valid`` and ``test``.
        where: name of the data set, for the message.

    Raises:
        InvalidInput: there is a part of which no user can be evaluated on.
    """
    for name, count in counts.items():
        if count == 0:
            raise InvalidInput(
                f"no user of {where} can be evaluated on {name}: none has an interaction before "
                "it, and in it an item that is not among those before.",
                field="dataset",
                remedy="import it again with another `split`; where copies or repeated "
                "interactions are why, with `copies: drop`.",
            )


def _split_account(dataset: Dataset, split: Split) -> SplitAccount:
    seen = dataset.interactions
    within, train = seen.split == split, seen.split == Split.TRAIN
    users, items = np.unique(seen.user_index[within]), np.unique(seen.item_index[within])
    return SplitAccount(
        interactions=int(within.sum()),
        users=len(users),
        items=len(items),
        evaluable_users=0 if split is Split.TRAIN else len(evaluable_users(dataset, split)),
        cold_users=len(np.setdiff1d(users, seen.user_index[train])),
        cold_items=len(np.setdiff1d(items, seen.item_index[train])),
    )


def _pairs(dataset: Dataset) -> npt.NDArray[np.int64]:
    """A number [n] for each pair of user and item."""
    seen = dataset.interactions
    return seen.user_index.astype(np.int64) * dataset.n_items + seen.item_index


# --- rows ----------------------------------------------------------------------------------------


def exact_copies(
    raw: RawData, user_index: npt.NDArray[np.int32], item_index: npt.NDArray[np.int32]
) -> npt.NDArray[np.bool_]:
    """Mask [n] of the rows that have user, item, time and rating of an earlier row. None is one
    where there are no times: listening again is no copy."""
    copy = np.zeros(len(raw), dtype=bool)
    if raw.timed:
        keys = [raw.timestamps, item_index, user_index]
        keys += [key for key in (raw.fractions, raw.ratings) if key is not None]
        order = np.lexsort(keys)  # stable: of equals, the first of the source is first
        copy[order[1:]] = np.all([np.diff(key[order]) == 0 for key in keys], axis=0)
    return copy


def _moments(
    raw: RawData, rows: npt.NDArray[np.int64], seen: Interactions
) -> npt.NDArray[np.int64] | None:
    """Rows [m] of the same user at the same time have the same number, and others do not; None
    where there are no times."""
    if not raw.timed:
        return None
    keys = [seen.user_index, seen.timestamp]
    if raw.fractions is not None:
        keys.append(raw.fractions[rows])
    return np.concatenate(([0], np.cumsum(np.any([np.diff(key) != 0 for key in keys], axis=0))))


def _ties(moments: npt.NDArray[np.int64], seen: Interactions) -> int:
    """Number of rows at the same time as another of their user with another item."""
    first = np.flatnonzero(np.diff(moments, prepend=-1))
    lowest, highest = (
        extreme.reduceat(seen.item_index, first) for extreme in (np.minimum, np.maximum)
    )
    return int(np.diff(first, append=len(moments))[lowest < highest].sum())


def _row_findings(raw: RawData, selection: Selection, account: ImportAccount) -> Iterator[Finding]:
    if (copies := selection.copies) > 0:
        dropped = bool(selection.dropped.copies)
        yield Finding(
            code="exact-copies",
            level="note" if dropped else "warning",
            count=copies,
            message=f"{_counted(copies, 'row repeats', 'rows repeat')} user, item, time and rating "
            f"of an earlier one; {'left out' if dropped else 'taken for repeated interactions'}.",
            remedy="" if dropped else "leave them out with `copies: drop`.",
        )
    if raw.order == "rows":
        yield Finding(
            code="no-times",
            level="note",
            count=account.rows_read,
            message="there are no times: rows are taken to be in order of time.",
        )


def _tie_findings(
    account: ImportAccount,
    moments: npt.NDArray[np.int64] | None,
    seen: Interactions,
    spec: DatasetSpec,
) -> Iterator[Finding]:
    if moments is None or not account.ties:
        return
    yield Finding(
        code="ties-in-time",
        level="note",
        count=account.ties,
        message=f"{_counted(account.ties, 'row is', 'rows are')} at the same time as another of "
        "the same user; these are in order of the file.",
    )
    if spec.split.kind != "leave-one-out":
        return
    divided = (np.diff(moments) == 0) & (np.diff(seen.split) != 0) & (np.diff(seen.item_index) != 0)
    users = len(np.unique(seen.user_index[1:][divided]))
    if users:
        yield Finding(
            code="ties-decide-the-split",
            level="warning",
            count=users,
            message=f"of {users:,} of {account.users:,} users the order of the file decides which "
            "interaction is held out: others are at the same time.",
            remedy="bring finer times, or see that the order of rows is that of time.",
        )


# --- ids and texts -------------------------------------------------------------------------------


def _id_findings(raw: RawData, met: set[str]) -> Iterator[Finding]:
    users = set(raw.user_ids.unique().to_pylist()) if raw.users else set()
    for noun, ids, described in (("item", met, raw.items), ("user", users, raw.users)):
        unknown = ids - described.keys()
        by_form: dict[str, str] = {}
        for other in described.keys() - ids:
            by_form.setdefault(_form(other), other)
        alike = sorted(one for one in unknown if _form(one) in by_form)
        if alike:
            count, example = len(alike), by_form[_form(alike[0])]
            yield Finding(
                code="item-ids-differ-in-form" if noun == "item" else "user-ids-differ-in-form",
                level="warning",
                count=count,
                message=f"{_counted(count, f'{noun} id', f'{noun} ids')} of the interactions and "
                f"of the file of {noun}s differ only in form, e.g. {_quoted(alike[0])} and "
                f"{_quoted(example)}: taken for different {noun}s.",
                value=alike[0][:MAX_TOLD],
                remedy="write ids alike in both files: no `.0` behind whole numbers, the same "
                "leading zeros, the same case.",
            )


def _form(identifier: str) -> str:
    """What ids have in common that only programs write differently."""
    text = identifier.strip().casefold()
    text = _WHOLE.sub(r"\1", text)
    return text.lstrip("0") or "0" if text.isdecimal() else text


def _item_findings(account: ImportAccount, raw: RawData) -> Iterator[Finding]:
    if account.undescribed:
        yield Finding(
            code="items-without-text",
            level="note",
            count=account.undescribed,
            message=f"{_counted(account.undescribed, 'item has', 'items have')} neither title nor "
            f"tags, of {account.items:,}: labels are made of these.",
        )
    if account.unmet:
        yield Finding(
            code="items-nobody-met",
            level="note",
            count=account.unmet,
            message=f"{_counted(account.unmet, 'item is', 'items are')} described, of "
            f"{len(raw.items):,}, with which there is no interaction; left out.",
        )


# --- the split -----------------------------------------------------------------------------------


def _split_findings(account: ImportAccount, dataset: Dataset) -> Iterator[Finding]:
    for split in (Split.VALID, Split.TEST):
        part = account.splits[split.label]
        if part.evaluable_users == 0:
            yield Finding(
                code="nobody-evaluable",
                level="warning",
                count=part.users,
                message=f"no user can be evaluated on {split.label}: of {part.users:,} with an "
                "interaction in it, none has one before it and a new item in it.",
                remedy="choose another split: no recommender can be trained on this one.",
            )
        elif part.evaluable_users < part.users:
            left = part.users - part.evaluable_users
            yield Finding(
                code="users-not-evaluable",
                level="note",
                count=left,
                message=f"{_counted(left, 'user', 'users')} of {part.users:,} in {split.label} "
                "cannot be evaluated: nothing before it, or only items that were seen before.",
            )
        if part.cold_items:
            yield Finding(
                code="cold-items",
                level="note",
                count=part.cold_items,
                message=f"{_counted(part.cold_items, 'item', 'items')} of {part.items:,} in "
                f"{split.label} without an interaction in train: no recommender has learnt them.",
            )
    whole = dataset.n_users - account.splits[Split.TEST.label].users
    if whole:
        yield Finding(
            code="users-not-tested",
            level="note",
            count=whole,
            message=f"{_counted(whole, 'user has', 'users have')} no interaction in test, of "
            f"{account.users:,}.",
        )


# --- words ---------------------------------------------------------------------------------------


def _counted(count: int, one: str, several: str) -> str:
    return f"{count:,} {one if count == 1 else several}"


def _quoted(text: str) -> str:
    return repr(text[:MAX_TOLD])
