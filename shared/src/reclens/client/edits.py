"""Edits in words. A target is a concept id (text) or a latent (number)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from reclens.api.steering.v1.steering_pb2 import Ablate, Blend, BlendPart, Condition, Edit

DEFAULT_STRENGTH: Final = 0.2
"""A clear push, see ``Edit.add`` in the API."""


def more(concept_id: str, strength: float = DEFAULT_STRENGTH) -> Edit:
    """More of a concept: scores move by ``strength`` standard deviations of the user's own scores.

    About 0.1 is gentle, 0.2 clear, 0.5 drastic; at most `MAX_STRENGTH` of
    `reclens.steering.limits`.
    """
    return Edit(concept_id=concept_id, add=strength)


def less(concept_id: str, strength: float = DEFAULT_STRENGTH) -> Edit:
    """Less of a concept, measured as in `more`."""
    return Edit(concept_id=concept_id, add=-strength)


def blend(weights: Mapping[str | int, float], strength: float = DEFAULT_STRENGTH) -> Edit:
    """Several concepts and latents pushed as one direction, measured as in `more`.

    Args:
        weights: how far each is pushed relative to the others; negative for away from it.
        strength: how far they are pushed together.
    """
    parts = [BlendPart(**_field(target), weight=weight) for target, weight in weights.items()]
    return Edit(blend=Blend(parts=parts), add=strength)


def add_latent(latent: int, strength: float) -> Edit:
    """More of a latent, whether it fires or not, measured as in `more`; negative for less."""
    return Edit(latent=latent, add=strength)


def set_latent(latent: int, strength: float) -> Edit:
    """Set a latent to ``strength`` times its 99th percentile; at least 0."""
    return Edit(latent=latent, set=strength)


def set_concept(concept_id: str, strength: float) -> Edit:
    """Set every latent of a concept to ``strength`` times its 99th percentile; at least 0."""
    return Edit(concept_id=concept_id, set=strength)


def scale(target: str | int, factor: float) -> Edit:
    """Multiply the activations of a concept or latent; at least 0, 1 changes nothing."""
    return Edit(**_field(target), scale=factor)


def ablate(target: str | int) -> Edit:
    """Silence a concept or latent."""
    return Edit(**_field(target), ablate=Ablate())


def when(edit: Edit, *conditions: Condition) -> Edit:
    """``edit``, but only where all conditions hold, see `above` and `below`."""
    conditional = Edit()
    conditional.CopyFrom(edit)
    conditional.when.extend(conditions)
    return conditional


def above(target: str | int, level: float = 0.0) -> Condition:
    """A concept or latent is above ``level`` times its 99th percentile; above 0: it fires."""
    return Condition(**_field(target), above=level)


def below(target: str | int, level: float) -> Condition:
    """A concept or latent is below ``level`` times its 99th percentile, or silent."""
    return Condition(**_field(target), below=level)


def _field(target: str | int) -> dict[str, Any]:
    return {"concept_id" if isinstance(target, str) else "latent": target}
