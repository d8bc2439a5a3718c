"""A planted world: items with known tags, latents that fire for answers with one of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from reclens.concepts.evidence.cases import Cases
from reclens.data.dataset import Items

TAGS = [f"Genre{chr(65 + index)}" for index in range(12)]
N_NOISE = 4


@dataclass(frozen=True)
class World:
    """Latent j < 12 fires for answers full of tag j; the last four fire at random."""

    items: Items
    construct: Cases
    verify: Cases

    @property
    def n_latents(self) -> int:
        return len(TAGS) + N_NOISE


def planted_world() -> World:
    """Fifty construct and fifty verify users, thirty cases each; the same every time."""
    rng = np.random.default_rng(7)
    tag_of = np.repeat(np.arange(len(TAGS)), 25)
    n_items = len(tag_of)
    items = Items(
        ids=[f"i{index}" for index in range(n_items)],
        titles=[f"Title {index}" for index in range(n_items)],
        tags=[[TAGS[tag]] for tag in tag_of],
        years=[None] * n_items,
        popularity=np.ones(n_items, np.int32),
    )
    return World(items, _cases("c", tag_of, rng), _cases("v", tag_of, rng))


def _cases(prefix: str, tag_of: np.ndarray, rng: np.random.Generator) -> Cases:
    n_cases, depth = 1500, 10
    liked = rng.integers(len(TAGS), size=n_cases)
    top_items = np.empty((n_cases, depth), np.int32)
    for row, tag in enumerate(liked):
        own = np.nonzero(tag_of == tag)[0]
        n_own = int(rng.integers(5, 9))
        rest = rng.choice(np.nonzero(tag_of != tag)[0], size=depth - n_own, replace=False)
        drawn = np.concatenate([rng.choice(own, size=n_own, replace=False), rest])
        top_items[row] = rng.permutation(drawn)
    activations = np.zeros((n_cases, len(TAGS) + N_NOISE), np.float32)
    activations[np.arange(n_cases), liked] = rng.uniform(0.5, 2, size=n_cases)
    noise = rng.random((n_cases, N_NOISE)) < 0.1
    activations[:, len(TAGS) :] = noise * rng.uniform(0.5, 2, size=noise.shape)
    users = np.array([f"{prefix}{row % 50}" for row in range(n_cases)])
    return Cases(users, top_items, sparse.csr_matrix(activations))
