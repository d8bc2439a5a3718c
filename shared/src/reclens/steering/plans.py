"""Edit lists as affine changes of latents, planned before any user comes in, and applied to each.

Whatever an edit does to a latent is ``z' = a z + b + |x| c + s d``, with s the spread of the user's
own scores, and so is what a list of edits does, since each edit measures the untouched activation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, pairwise

import numpy as np
import numpy.typing as npt

from reclens.steering.edits import LatentEdit, LatentGroup, Operation, Unit
from reclens.steering.encoding import EncodedVector

_CANCELLED = 1e-6
"""Directions whose sum is shorter than this share of their lengths cancel each other."""
_FLAT = 1e-4
"""A direction that spreads scores less than this share of what the widest of its length does,
changes no order: moved far enough to do so, x would be beyond all that the model knows."""
_KEPT = 4096
"""Plans, and directions, that are kept."""
_LONGEST_KEPT = 512
"""Latents that a list of edits may name to be kept: longer ones could fill the memory."""
CONDITION_FAILS = "its condition does not hold here"
"""Why a conditional edit is idle."""
_OVERRULED = "later edits replace it on every latent"
_ROW = {Unit.P99: 1, Unit.INPUT_NORM: 2, Unit.SCORE_SPREAD: 3}
"""Row of `Affine.abcd` that a push is in."""


@dataclass(frozen=True, eq=False)
class Affine:
    """``z' = a z + b + |x| c + s d`` for each of some distinct latents."""

    latents: npt.NDArray[np.int64]
    """[n]"""
    abcd: npt.NDArray[np.float64]
    """[4, n]"""

    def __len__(self) -> int:
        return len(self.latents)


@dataclass(frozen=True, slots=True)
class IdleEdit:
    """An edit that changed nothing."""

    index: int
    """Position in the list of edits."""
    reason: str
    """Why it changed nothing."""


@dataclass(frozen=True, eq=False)
class Plan:
    """A list of edits, ready to apply to any number of cases."""

    edits: tuple[LatentEdit, ...]
    affine: Affine
    """All edits together; then, where there are several, each by itself."""
    n_latents: int
    """Latents of all edits together, which come first."""
    segments: tuple[slice, ...]
    """What of ``affine`` each edit is by itself."""
    overruled: tuple[bool, ...]
    """Whether later edits replace an edit on all its latents."""

    @property
    def latents(self) -> npt.NDArray[np.int64]:
        """Latents that the edits change, rising."""
        return self.affine.latents[: self.n_latents]

    def apply(
        self, encoded: EncodedVector, indices: Sequence[int]
    ) -> tuple[npt.NDArray[np.floating], npt.NDArray[np.floating], list[IdleEdit]]:
        """Activations of ``latents`` in one case, untouched and edited, and what changes nothing.

        Args:
            encoded: the case.
            indices: where the plan's edits are in the list that was given.
        """
        z = encoded.at(self.affine.latents)
        a, b, c, d = self.affine.abcd
        after = (a * z + b + encoded.norm * c + encoded.spread * d).astype(z.dtype)
        differs = after != z
        idle: list[IdleEdit] = []
        for index, edit, segment, overruled in zip(
            indices, self.edits, self.segments, self.overruled, strict=True
        ):
            if overruled:
                idle.append(IdleEdit(index, _OVERRULED))
            elif not differs[segment].any():
                idle.append(IdleEdit(index, _reason(edit)))
        return z[: self.n_latents], after[: self.n_latents], idle


class Planner:
    """Makes plans for one dictionary, and keeps those of late.

    Args:
        directions: [n_latents, d_model], what a latent adds to x at activation 1, unscaled.
        scale: what ``directions`` is multiplied by.
        p99: [n_latents] unit of each latent.
        spread: [d_model, d_model], the norm of ``v @ spread`` is the standard deviation of what v
            adds to the items' scores, see `ScoreSpread`. None: the norm of v stands for it.
    """

    def __init__(
        self,
        directions: npt.NDArray[np.floating],
        scale: float,
        p99: npt.NDArray[np.floating],
        spread: npt.NDArray[np.float64] | None = None,
    ) -> None:
        self._directions = directions
        self._scale = scale
        self._p99 = p99.astype(np.float64)
        self._spread = spread
        self._widest = 0.0 if spread is None else float(np.linalg.norm(spread, 2))
        # Kept by what they are: a slider that is moved changes the strength alone.
        self._known_blend = lru_cache(_KEPT)(self._make_blend)
        self._known_plan = lru_cache(_KEPT)(self._make_plan)

    def plan(self, edits: tuple[LatentEdit, ...]) -> Plan:
        """The plan of some edits, all of which apply."""
        short = sum(edit.size for edit in edits) <= _LONGEST_KEPT
        return (self._known_plan if short else self._make_plan)(edits)

    def _make_plan(self, edits: tuple[LatentEdit, ...]) -> Plan:
        single = tuple(self._affine(edit) for edit in edits)
        n_first = len(single[0])
        if len(edits) == 1:
            return Plan(edits, single[0], n_first, (slice(n_first),), (False,))
        replaced: set[int] = set()
        overruled: list[bool] = []
        for edit in reversed(edits):
            overruled.append(replaced.issuperset(edit.latents))
            if edit.replaces:
                replaced.update(edit.latents)
        parts = (_together(edits, single), *single)
        ends = accumulate(map(len, parts))
        segments = tuple(slice(first, last) for first, last in pairwise(ends))
        return Plan(edits, _joined(parts), len(parts[0]), segments, tuple(overruled[::-1]))

    def _affine(self, edit: LatentEdit) -> Affine:
        if edit.operation is Operation.ADD:
            blend = self._known_blend if edit.size <= _LONGEST_KEPT else self._make_blend
            latents, push = blend(edit.groups, edit.unit)
            abcd = np.zeros((4, len(latents)))
            abcd[0] = 1
            np.multiply(push, edit.strength, out=abcd[_ROW[edit.unit]])
            return Affine(latents, abcd)
        latents = np.array(edit.latents, dtype=np.int64)
        abcd = np.zeros((4, len(latents)))
        if edit.operation is Operation.SET:
            abcd[1] = edit.strength * self._p99[latents]
        elif edit.operation is Operation.SCALE:
            abcd[0] = edit.strength
        return Affine(latents, abcd)

    def _make_blend(
        self, groups: tuple[LatentGroup, ...], unit: Unit
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """Latents, and how far strength 1 pushes each, for a case in which the unit is 1."""
        parts = [self._group(group, unit) for group in groups]
        latents = np.concatenate([latents for latents, _, _ in parts])
        push = np.concatenate([push for _, push, _ in parts])
        if unit is not Unit.P99:
            shares = np.array([group.share for group in groups])
            if len(groups) == 1:
                # One direction is normalised whatever its share; the sign is what is left of that.
                shares = np.sign(shares)
            move = shares @ np.stack([move for _, _, move in parts])
            push = push * np.repeat(shares, [len(latents) for latents, _, _ in parts])
            push = push * self._per_unit(move, np.abs(shares).sum(), unit)
        if len(groups) == 1:
            return latents, push
        latents, place = np.unique(latents, return_inverse=True)
        summed = np.zeros(len(latents))
        np.add.at(summed, place, push)
        return latents, summed

    def _per_unit(self, move: npt.NDArray[np.float64], longest: float, unit: Unit) -> float:
        """What ``move`` is to be multiplied with to be one unit; 0 where that cannot be.

        Args:
            move: what is added to x.
            longest: its length if no part of it were against another.
        """
        length = math.sqrt(move @ move)
        if not length > _CANCELLED * longest:
            return 0.0
        if unit is Unit.INPUT_NORM or self._spread is None:
            return 1 / length
        felt = move @ self._spread
        spread = math.sqrt(felt @ felt)
        return 1 / spread if spread > _FLAT * self._widest * length else 0.0

    def _group(
        self, group: LatentGroup, unit: Unit
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Latents, how far each is pushed and, unless by p99, what that adds to x, of length 1.

        Nothing is pushed where the latents' directions cancel each other.
        """
        latents = np.array(group.latents, dtype=np.int64)
        push = self._p99[latents] * group.weights
        if unit is Unit.P99:
            return latents, push, push
        moves = (self._scale * push)[:, None] * self._directions[latents]
        move = moves.sum(axis=0)
        length = math.sqrt(move @ move)
        if not length > _CANCELLED * np.sqrt(np.einsum("ij,ij->i", moves, moves)).sum():
            return latents, 0 * push, 0 * move
        return latents, push / length, move / length


def _together(edits: Sequence[LatentEdit], single: Sequence[Affine]) -> Affine:
    latents = np.unique(np.concatenate([part.latents for part in single]))
    abcd = np.zeros((4, len(latents)))
    abcd[0] = 1
    for edit, part in zip(edits, single, strict=True):
        at = np.searchsorted(latents, part.latents)
        if edit.replaces:
            abcd[:, at] = part.abcd
        else:
            abcd[1:, at] += part.abcd[1:]
    return Affine(latents, abcd)


def _joined(parts: Sequence[Affine]) -> Affine:
    return Affine(
        np.concatenate([part.latents for part in parts]),
        np.concatenate([part.abcd for part in parts], axis=1),
    )


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
