"""Edits in words. A target is a concept id (text) or a latent (number)."""

from __future__ import annotations

from reclens.api.steering.v1.steering_pb2 import Ablate, Edit


def more(concept_id: str, strength: float = 0.4) -> Edit:
    """More of a concept: the representation moves towards it by ``strength`` of its own norm.

    About 0.4 is a clear push, 1 a drastic one; at most 100.
    """
    return Edit(concept_id=concept_id, add=strength)


def less(concept_id: str, strength: float = 0.4) -> Edit:
    """Less of a concept, measured as in `more`."""
    return Edit(concept_id=concept_id, add=-strength)


def add_latent(latent: int, strength: float) -> Edit:
    """Add ``strength`` times the latent's 99th percentile; negative for less."""
    return Edit(latent=latent, add=strength)


def set_latent(latent: int, strength: float) -> Edit:
    """Set a latent to ``strength`` times its 99th percentile; at least 0."""
    return Edit(latent=latent, set=strength)


def set_concept(concept_id: str, strength: float) -> Edit:
    """Set every latent of a concept to ``strength`` times its 99th percentile; at least 0."""
    return Edit(concept_id=concept_id, set=strength)


def scale(target: str | int, factor: float) -> Edit:
    """Multiply the activations of a concept or latent; at least 0, 1 changes nothing."""
    if isinstance(target, str):
        return Edit(concept_id=target, scale=factor)
    return Edit(latent=target, scale=factor)


def ablate(target: str | int) -> Edit:
    """Silence a concept or latent."""
    if isinstance(target, str):
        return Edit(concept_id=target, ablate=Ablate())
    return Edit(latent=target, ablate=Ablate())
