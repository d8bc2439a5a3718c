"""Edit lists as affine changes of latents: what they are before any user comes in.

Whatever an edit does to a latent is ``z' = a z + b + |x| c``, and so is what a list of edits does,
since each edit measures the untouched activation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from reclens.steering.edits import LatentEdit, LatentGroup, Operation, Unit

_CANCELLED = 1e-6
"""Directions whose sum is shorter than this share of their lengths cancel each other."""
_KEPT = 4096
"""Plans, and directions, that are kept."""


@dataclass(frozen=True, eq=False)
class Affine:
    """``z' = a z + b + |x| c`` for each of some distinct latents."""

    latents: npt.NDArray[np.int64]
    """[n]"""
    abc: npt.NDArray[np.float64]
    """[3, n]"""

    def __len__(self) -> int:
        return len(self.latents)


@dataclass(frozen=True, eq=False)
class Plan:
    """A list of edits, ready to apply to any number of cases."""

    edits: tuple[LatentEdit, ...]
    segments: Affine
    """All edits together; then, where there are several, each by itself."""
    segment_lengths: npt.NDArray[np.int64]
    """Latents of each segment."""
    overruled: tuple[bool, ...]
    """Whether later edits replace an edit on all its latents."""

    @property
    def any_overruled(self) -> bool:
        """Whether any edit is."""
        return any(self.overruled)


class Planner:
    """Makes plans for one dictionary, and keeps those of late.

    Args:
        directions: [n_latents, d_model], what a latent adds to x at activation 1, unscaled.
        scale: what ``directions`` is multiplied by.
        p99: [n_latents] unit of each latent.
    """

    def __init__(
        self,
        directions: npt.NDArray[np.floating],
        scale: float,
        p99: npt.NDArray[np.floating],
    ) -> None:
        self._directions = directions
        self._scale = scale
        self._p99 = p99.astype(np.float64)
        # Kept by what they are: a slider that is moved changes the strength alone.
        self._blend = lru_cache(_KEPT)(self._make_blend)
        self.plan = lru_cache(_KEPT)(self._make_plan)
        """The plan of a tuple of edits, all of which apply."""

    def _make_plan(self, edits: tuple[LatentEdit, ...]) -> Plan:
        single = tuple(self._affine(edit) for edit in edits)
        if len(edits) == 1:
            return Plan(edits, single[0], np.array([len(single[0])]), (False,))
        replaced: set[int] = set()
        overruled: list[bool] = []
        for edit in reversed(edits):
            overruled.append(replaced.issuperset(edit.latents))
            if edit.replaces:
                replaced.update(edit.latents)
        parts = (_together(edits, single), *single)
        return Plan(edits, _joined(parts), np.array([*map(len, parts)]), tuple(overruled[::-1]))

    def _affine(self, edit: LatentEdit) -> Affine:
        if edit.operation is Operation.ADD:
            by_norm = edit.unit is Unit.INPUT_NORM
            latents, push = self._blend(edit.groups, by_norm)
            abc = np.zeros((3, len(latents)))
            abc[0] = 1
            np.multiply(push, edit.strength, out=abc[2 if by_norm else 1])
            return Affine(latents, abc)
        latents = np.array(edit.latents, dtype=np.int64)
        abc = np.zeros((3, len(latents)))
        if edit.operation is Operation.SET:
            abc[1] = edit.strength * self._p99[latents]
        elif edit.operation is Operation.SCALE:
            abc[0] = edit.strength
        return Affine(latents, abc)

    def _make_blend(
        self, groups: tuple[LatentGroup, ...], by_norm: bool
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """Latents, and how far strength 1 pushes each; by the norm, for an x of norm 1."""
        if len(groups) == 1:
            latents, push, _ = self._group(groups[0], by_norm)
            # One direction is normalised whatever its share; the sign is what is left of that.
            return latents, push * (np.sign(groups[0].share) if by_norm else 1)
        parts = [self._group(group, by_norm) for group in groups]
        latents = np.concatenate([latents for latents, _, _ in parts])
        push = np.concatenate([push for _, push, _ in parts])
        if by_norm:
            shares = np.array([group.share for group in groups])
            push = push * np.repeat(shares, [len(latents) for latents, _, _ in parts])
            length = np.linalg.norm(shares @ np.stack([move for _, _, move in parts]))
            push = push / length if length > _CANCELLED * np.abs(shares).sum() else 0 * push
        latents, place = np.unique(latents, return_inverse=True)
        summed = np.zeros(len(latents))
        np.add.at(summed, place, push)
        return latents, summed

    def _group(
        self, group: LatentGroup, by_norm: bool
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Latents, how far each is pushed and, by the norm, what that adds to x, of length 1.

        Nothing is pushed where the latents' directions cancel each other.
        """
        latents = np.array(group.latents, dtype=np.int64)
        push = self._p99[latents] * group.weights
        if not by_norm:
            return latents, push, push
        moves = (self._scale * push)[:, None] * self._directions[latents]
        move = moves.sum(axis=0)
        length = math.sqrt(move @ move)
        if not length > _CANCELLED * np.sqrt(np.einsum("ij,ij->i", moves, moves)).sum():
            return latents, 0 * push, 0 * move
        return latents, push / length, move / length


def _together(edits: Sequence[LatentEdit], single: Sequence[Affine]) -> Affine:
    latents = np.unique(np.concatenate([part.latents for part in single]))
    abc = np.zeros((3, len(latents)))
    abc[0] = 1
    for edit, part in zip(edits, single, strict=True):
        at = np.searchsorted(latents, part.latents)
        if edit.replaces:
            abc[:, at] = part.abc
        else:
            abc[1:, at] += part.abc[1:]
    return Affine(latents, abc)


def _joined(parts: Sequence[Affine]) -> Affine:
    return Affine(
        np.concatenate([part.latents for part in parts]),
        np.concatenate([part.abc for part in parts], axis=1),
    )
