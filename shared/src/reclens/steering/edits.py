"""Edits of latent activations: what may be asked for, checked before any maths."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from reclens.errors import InvalidInput

MAX_STRENGTH = 100.0
"""Largest strength and weight by size; far beyond any useful push, far below overflow."""

MAX_EDITS = 100
"""Edits in one request."""


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
    """The norm of x: the edit's latents move together, in proportion to weight x p99, so that x
    moves by |strength| x |x|."""


class Mode(StrEnum):
    """How edited latents are written back."""

    RESIDUAL = "residual"
    """x' = x + decode(z') - decode(z): the reconstruction error is kept."""
    RECONSTRUCT = "reconstruct"
    """x' = decode(z'): for measuring fidelity."""


@dataclass(frozen=True)
class LatentEdit:
    """A change of latents that move together.

    Raises:
        InvalidInput: names the field: no latents, a latent twice, a negative index, a weight or
            strength that is not finite or beyond ``MAX_STRENGTH``, a negative SET or SCALE.
    """

    latents: tuple[int, ...]
    """Indices of the latents, distinct, at least one."""
    operation: Operation
    """What to do with them."""
    strength: float = 0.0
    """How much, within [-100, 100]; at least 0 for SET and SCALE. Not used by ABLATE."""
    unit: Unit = Unit.P99
    """Unit of the strength of an ADD."""
    weights: tuple[float, ...] = ()
    """Relative weight of each latent in an ADD. Empty: 1 each."""

    def __post_init__(self) -> None:
        if not self.latents:
            raise InvalidInput(
                "an edit needs at least one latent.", field="latents", remedy="name a latent."
            )
        if min(self.latents) < 0:
            raise InvalidInput(
                f"latent {min(self.latents)} is negative.",
                field="latents",
                remedy="latents count from 0.",
            )
        if len(set(self.latents)) != len(self.latents):
            raise InvalidInput(
                "an edit names a latent twice.",
                field="latents",
                remedy="name each latent once, or use two edits.",
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
        if self.operation is not Operation.ABLATE:
            floor = -MAX_STRENGTH if self.operation is Operation.ADD else 0.0
            check_strength(self.strength, field="strength", minimum=floor)

    @property
    def replaces(self) -> bool:
        """Whether the edit overrules what earlier edits made of its latents."""
        return self.operation is not Operation.ADD


def check_strength(value: float, *, field: str, minimum: float = -MAX_STRENGTH) -> None:
    """Refuse numbers that cannot be a strength.

    Raises:
        InvalidInput: ``value`` is not finite or not within [minimum, MAX_STRENGTH].
    """
    # A comparison with NaN is false, so this refuses it as well.
    if not (math.isfinite(value) and minimum <= value <= MAX_STRENGTH):
        raise InvalidInput(
            f"{value:g} is not a finite number within [{minimum:g}, {MAX_STRENGTH:g}].",
            field=field,
            remedy="0.4 is a clear push, 1 a drastic one.",
        )


def check_latents(edits: Sequence[LatentEdit], n_latents: int) -> None:
    """Refuse edits of latents that the dictionary does not have.

    Raises:
        InvalidInput: names the edit and latent.
    """
    for position, edit in enumerate(edits):
        for slot, latent in enumerate(edit.latents):
            if latent >= n_latents:
                raise InvalidInput(
                    f"latent {latent} does not exist.",
                    field=f"edits[{position}].latents[{slot}]",
                    remedy=f"this dictionary has latents 0 to {n_latents - 1}.",
                )
