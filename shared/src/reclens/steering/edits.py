"""Edits of latent activations: what may be asked for, checked before any maths."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from reclens.errors import InvalidInput
from reclens.steering.limits import MAX_CONDITIONS, MAX_STRENGTH, check_count


class Operation(StrEnum):
    """What an edit does to an activation z."""

    SET = "set"
    """z' = strength x p99."""
    SCALE = "scale"
    """z' = strength x z."""
    ADD = "add"
    """z' = z + push, in units of ``Unit``."""
    ABLATE = "ablate"
    """z' = 0."""


class Unit(StrEnum):
    """What the strength of an ADD is measured in."""

    P99 = "p99"
    """Each latent's own 99th percentile over its firing cases, times the latent's weight."""
    INPUT_NORM = "input_norm"
    """The norm of x: the edit's latents move together as one direction, so that x moves by
    |strength| x |x|. Each group adds its own direction with length 1 times its share."""
    SCORE_SPREAD = "score_spread"
    """The standard deviation, over all items, of the user's own scores: the edit's latents move
    together as by INPUT_NORM, as far as changes the items' scores by |strength| of it. Where it is
    not known how x gives scores, the same as INPUT_NORM."""


class Mode(StrEnum):
    """How edited latents are written back."""

    RESIDUAL = "residual"
    """x' = x + decode(z') - decode(z): the reconstruction error is kept."""
    RECONSTRUCT = "reconstruct"
    """x' = decode(z'): for measuring fidelity."""


class Comparison(StrEnum):
    """Which side of a level. Neither side holds the level itself."""

    ABOVE = "above"
    BELOW = "below"


@dataclass(frozen=True)
class LatentGroup:
    """Latents that move in proportion to weight x p99.

    Raises:
        InvalidInput: names the field: no latents, a latent twice, a negative index, a weight or
            share that is not finite or beyond ``MAX_STRENGTH``.
    """

    latents: tuple[int, ...]
    """Indices, distinct, at least one."""
    weights: tuple[float, ...] = ()
    """Weight of each latent in an ADD. Empty: 1 each."""
    share: float = 1.0
    """Length of the group's direction beside those of other groups, in an ADD that is
    not by P99."""

    def __post_init__(self) -> None:
        _check_indices(self.latents)
        if len(set(self.latents)) != len(self.latents):
            raise InvalidInput(
                "a group names a latent twice.",
                field="latents",
                remedy="name each latent once, or use two groups.",
            )
        if not self.weights:
            object.__setattr__(self, "weights", (1.0,) * len(self.latents))
        if len(self.weights) != len(self.latents):
            raise InvalidInput(
                f"{len(self.weights)} weights for {len(self.latents)} latents.",
                field="weights",
                remedy="give one weight a latent, or none.",
            )
        for weight in self.weights:
            check_strength(weight, field="weights")
        check_strength(self.share, field="share")


@dataclass(frozen=True)
class LatentCondition:
    """A test of the most active of some latents, untouched.

    Raises:
        InvalidInput: names the field: no latents, a negative index, a level that is not finite or
            not within [0, ``MAX_STRENGTH``].
    """

    latents: tuple[int, ...]
    """Indices, at least one."""
    comparison: Comparison
    """Which side of the level."""
    level: float
    """In units of each latent's own p99, within [0, 100]."""

    def __post_init__(self) -> None:
        _check_indices(self.latents)
        check_strength(
            self.level,
            field="level",
            minimum=0.0,
            remedy="levels are in units of the latent's 99th percentile.",
        )


@dataclass(frozen=True)
class LatentEdit:
    """A change of latents that move together.

    Raises:
        InvalidInput: names the field: no groups, a strength that is not finite or beyond
            ``MAX_STRENGTH``, a negative SET or SCALE, too many conditions.
    """

    groups: tuple[LatentGroup, ...]
    """Latents to change, at least one group. Several are one direction in an ADD that is not
    by P99."""
    operation: Operation
    """What to do with them."""
    strength: float = 0.0
    """How much, within [-100, 100]; at least 0 for SET and SCALE. Not used by ABLATE."""
    unit: Unit = Unit.P99
    """Unit of the strength of an ADD."""
    conditions: tuple[LatentCondition, ...] = ()
    """All must hold for the edit to apply. None: it always does."""

    def __post_init__(self) -> None:
        if not self.groups:
            raise InvalidInput(
                "an edit needs at least one latent.", field="groups", remedy="name a latent."
            )
        if self.operation is not Operation.ABLATE:
            floor = -MAX_STRENGTH if self.operation is Operation.ADD else 0.0
            check_strength(self.strength, field="strength", minimum=floor)
        check_count(len(self.conditions), MAX_CONDITIONS, "conditions", field="conditions")

    @classmethod
    def of(
        cls,
        latents: Sequence[int],
        operation: Operation,
        strength: float = 0.0,
        unit: Unit = Unit.P99,
        weights: Sequence[float] = (),
    ) -> LatentEdit:
        """An edit of one group without conditions.

        Raises:
            InvalidInput: names the field.
        """
        return cls((LatentGroup(tuple(latents), tuple(weights)),), operation, strength, unit)

    @cached_property
    def latents(self) -> tuple[int, ...]:
        """The distinct latents of all groups."""
        if len(self.groups) == 1:
            return self.groups[0].latents
        return tuple(dict.fromkeys(latent for group in self.groups for latent in group.latents))

    @cached_property
    def size(self) -> int:
        """How many latents the edit and its conditions name, each as often as they do."""
        return sum(len(one.latents) for one in (*self.groups, *self.conditions))

    @cached_property
    def highest(self) -> int:
        """The highest latent that the edit or one of its conditions names."""
        named = (*self.groups, *self.conditions)
        return max(max(one.latents) for one in named)

    @cached_property
    def _hash(self) -> int:
        return hash((self.groups, self.operation, self.strength, self.unit, self.conditions))

    def __hash__(self) -> int:
        # Plans are kept by their edits, which are looked up for every request.
        return self._hash

    @property
    def replaces(self) -> bool:
        """Whether the edit overrules what earlier edits made of its latents."""
        return self.operation is not Operation.ADD


def _check_indices(latents: Sequence[int]) -> None:
    if not latents:
        raise InvalidInput("no latents are named.", field="latents", remedy="name a latent.")
    if min(latents) < 0:
        raise InvalidInput(
            f"latent {min(latents)} is negative.", field="latents", remedy="latents count from 0."
        )


def check_strength(
    value: float,
    *,
    field: str,
    minimum: float = -MAX_STRENGTH,
    remedy: str = "0.2 is a clear push, 0.5 a drastic one.",
) -> None:
    """Refuse numbers that cannot be a strength, a weight or a level.

    Raises:
        InvalidInput: ``value`` is not finite or not within [minimum, MAX_STRENGTH].
    """
    # A comparison with NaN is false, so this refuses it as well.
    if not (math.isfinite(value) and minimum <= value <= MAX_STRENGTH):
        raise InvalidInput(
            f"{value:g} is not a finite number within [{minimum:g}, {MAX_STRENGTH:g}].",
            field=field,
            remedy=remedy,
        )


def check_latents(edits: Sequence[LatentEdit], n_latents: int) -> None:
    """Refuse edits and conditions of latents that the dictionary does not have.

    Raises:
        InvalidInput: names the edit and latent.
    """
    for position, edit in enumerate(edits):
        if edit.highest < n_latents:
            continue
        where = f"edits[{position}]"
        for place, group in enumerate(edit.groups):
            _check_known(group.latents, n_latents, f"{where}.groups[{place}]")
        for place, condition in enumerate(edit.conditions):
            _check_known(condition.latents, n_latents, f"{where}.conditions[{place}]")


def _check_known(latents: tuple[int, ...], n_latents: int, where: str) -> None:
    if max(latents) < n_latents:
        return
    slot, latent = next((i, latent) for i, latent in enumerate(latents) if latent >= n_latents)
    raise InvalidInput(
        f"latent {latent} does not exist.",
        field=f"{where}.latents[{slot}]",
        remedy=f"this dictionary has latents 0 to {n_latents - 1}.",
    )
