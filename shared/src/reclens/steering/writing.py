"""Applies plans to activations, all cases at once, and tells which edits changed nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from reclens.steering.edits import LatentEdit, Operation
from reclens.steering.plans import Plan
from reclens.steering.readings import Readings

CONDITION_FAILS = "its condition does not hold here"
"""Why a conditional edit is idle."""
_OVERRULED = "later edits replace it on every latent"


@dataclass(frozen=True)
class IdleEdit:
    """An edit that changed nothing."""

    index: int
    """Position in the list of edits."""
    reason: str
    """Why it changed nothing."""


@dataclass(frozen=True, eq=False)
class Part:
    """Cases that share a plan."""

    rows: npt.NDArray[np.int64]
    """The cases; each is of one part at most."""
    plan: Plan
    """What is done to them."""
    indices: tuple[int, ...]
    """Where the plan's edits are in the list that was given."""


@dataclass(frozen=True, eq=False)
class Written:
    """The activations that edits name, case by case, before and after."""

    starts: npt.NDArray[np.int64]
    """[n + 1] where each case begins in the arrays that follow."""
    latents: npt.NDArray[np.int64]
    before: npt.NDArray[np.floating]
    after: npt.NDArray[np.floating]
    changed: npt.NDArray[np.bool_]
    """[n] whether any activation of a case changed."""


def write(
    readings: Readings, parts: Sequence[Part], n_latents: int, idle: list[list[IdleEdit]]
) -> Written:
    """Apply the plans of ``parts``; edits that changed nothing are added to ``idle`` by case."""
    n, dtype = len(readings), readings.x.dtype
    if not parts:
        none = np.zeros(0, dtype)
        return Written(
            np.zeros(n + 1, np.int64), np.zeros(0, np.int64), none, none, np.zeros(n, bool)
        )
    # For each case a segment of all edits together, then one of each edit by itself.
    times = [len(part.rows) for part in parts]
    lengths = _repeated([part.plan.segment_lengths for part in parts], times)
    starts = np.cumsum(lengths) - lengths
    owners = np.concatenate(
        [np.repeat(part.rows, len(part.plan.segment_lengths)) for part in parts]
    )
    rows = np.repeat(owners, lengths)
    latents = _repeated([part.plan.segments.latents for part in parts], times)
    a, b, c, d = _repeated([part.plan.segments.abcd for part in parts], times)

    z = readings.at(rows, latents, n_latents)
    after = (a * z + b + readings.norms[rows] * c + readings.spreads[rows] * d).astype(dtype)
    changes = np.logical_or.reduceat(after != z, starts)
    _note_idle(parts, changes, idle)

    widths = np.repeat([len(part.plan.segment_lengths) for part in parts], times)
    first = np.cumsum(widths) - widths
    whole = first[np.argsort(owners[first])]
    kept = np.zeros(n, np.int64)
    kept[owners[whole]] = lengths[whole]
    begin = np.concatenate([[0], np.cumsum(kept)])
    entries = np.arange(begin[-1]) + np.repeat(starts[whole] - begin[owners[whole]], lengths[whole])
    changed = np.zeros(n, bool)
    changed[owners[whole]] = changes[whole]
    return Written(begin, latents[entries], z[entries], after[entries], changed)


def _repeated(arrays: Sequence[npt.NDArray[Any]], times: Sequence[int]) -> npt.NDArray[Any]:
    return np.concatenate(
        [array if m == 1 else np.tile(array, m) for array, m in zip(arrays, times, strict=True)],
        axis=-1,
    )


def _note_idle(
    parts: Sequence[Part], changes: npt.NDArray[np.bool_], idle: list[list[IdleEdit]]
) -> None:
    everything_changed = bool(changes.all())
    start = 0
    for part in parts:
        plan = part.plan
        width = len(plan.segment_lengths)
        of_part = changes[start : (start := start + width * len(part.rows))]
        if everything_changed and not plan.any_overruled:
            continue
        # The first segment is the whole list, which is the edit where there is only one.
        of_edits = of_part.reshape(-1, width)[:, 1 if width > 1 else 0 :]
        for place, edit in enumerate(plan.edits):
            if plan.overruled[place]:
                rows, reason = part.rows, _OVERRULED
            else:
                rows, reason = part.rows[~of_edits[:, place]], ""
            if len(rows):
                one = IdleEdit(part.indices[place], reason or _reason(edit))
                for row in rows:
                    idle[row].append(one)


def _reason(edit: LatentEdit) -> str:
    """Why an edit that applies changes nothing."""
    return _REASONS.get(
        (edit.operation, edit.strength),
        "its latents do not fire here"
        if edit.operation in {Operation.SCALE, Operation.ABLATE}
        else "the push is nil: its latents never fired in the captured data, their directions "
        "cancel or change no order, or the untouched scores are all alike",
    )


_REASONS = {
    (Operation.SCALE, 1.0): "scaling by 1 changes nothing",
    (Operation.ADD, 0.0): "adding 0 changes nothing",
    (Operation.SET, 0.0): "its latents are silent already",
}
