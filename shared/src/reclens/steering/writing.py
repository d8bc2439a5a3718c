"""Applies a plan to the activations of one case, and tells which edits changed nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from reclens.steering.edits import LatentEdit, Operation
from reclens.steering.plans import Plan
from reclens.steering.readings import Reading

CONDITION_FAILS = "its condition does not hold here"
"""Why a conditional edit is idle."""
_OVERRULED = "later edits replace it on every latent"


@dataclass(frozen=True, slots=True)
class IdleEdit:
    """An edit that changed nothing."""

    index: int
    """Position in the list of edits."""
    reason: str
    """Why it changed nothing."""


@dataclass(frozen=True, eq=False, slots=True)
class Written:
    """The activations that edits name, before and after."""

    latents: npt.NDArray[np.int64]
    """Rising."""
    before: npt.NDArray[np.floating]
    after: npt.NDArray[np.floating]
    changed: bool
    """Whether any activation is another."""
    idle: list[IdleEdit]
    """Edits that changed nothing."""


def write(reading: Reading, plan: Plan, indices: Sequence[int]) -> Written:
    """Apply ``plan`` to ``reading``.

    Args:
        reading: the case.
        plan: of at least one edit.
        indices: where the plan's edits are in the list that was given.
    """
    segments = plan.segments
    z = reading.at(segments.latents)
    a, b, c, d = segments.abcd
    after = (a * z + b + reading.norm * c + reading.spread * d).astype(z.dtype)
    differs = after != z
    # All edits together come first, then, where there are several, each by itself.
    end = plan.segment_ends[0]
    whole = slice(0, end)
    changed = bool(differs[whole].any())
    idle: list[IdleEdit] = []
    if len(plan.edits) == 1:
        if not changed:
            idle.append(IdleEdit(indices[0], _reason(plan.edits[0])))
    else:
        begins = zip(plan.segment_ends, plan.segment_ends[1:], strict=False)
        for place, (first, last) in enumerate(begins):
            if plan.overruled[place]:
                idle.append(IdleEdit(indices[place], _OVERRULED))
            elif not differs[first:last].any():
                idle.append(IdleEdit(indices[place], _reason(plan.edits[place])))
    return Written(segments.latents[whole], z[whole], after[whole], changed, idle)


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
