"""How often and how strongly each latent fires."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from reclens.sae.activations.sources import ActivationSource, iterate_shards
from reclens.sae.analysis.encoding import encode_rows
from reclens.sae.architectures.base import SparseAutoencoder

QUANTILE = 0.99


@dataclass(frozen=True)
class LatentStatistics:
    """One entry per latent, over a set of activations."""

    density: np.ndarray
    """Share of activations that fire it, float64 [n_latents]."""
    mean: np.ndarray
    """Mean value where it fires, float32; 0 when it never does."""
    p99: np.ndarray
    """99th percentile (nearest rank) where it fires, float32; 0 when it never does."""
    maximum: np.ndarray
    """Largest value, float32; 0 when it never fires."""


def latent_statistics(sae: SparseAutoencoder, source: ActivationSource) -> LatentStatistics:
    """Statistics of every latent over a source, exact, in two passes.

    The second pass keeps only as many of a latent's largest values as its percentile needs: one
    hundredth of all that fire, whatever the size of the data.

    Raises:
        InvalidInput: a shard has another width or is not finite.
    """
    n_rows = 0
    count = np.zeros(sae.n_latents, np.int64)
    total = np.zeros(sae.n_latents)
    maximum = np.zeros(sae.n_latents, np.float32)
    for rows, latents, values in _firing(sae, source):
        n_rows += rows
        count += np.bincount(latents, minlength=sae.n_latents)
        total += np.bincount(latents, weights=values, minlength=sae.n_latents)
        np.maximum.at(maximum, latents, values)
    # Nearest rank: the value at place ceil(.99 n) from below is place `needed` from above.
    needed = count - np.ceil(QUANTILE * count).astype(np.int64) + 1
    kept_latents, kept_values = np.zeros(0, np.int64), np.zeros(0, np.float32)
    for _, latents, values in _firing(sae, source):
        kept_latents, kept_values = _largest(
            np.concatenate([kept_latents, latents]), np.concatenate([kept_values, values]), needed
        )
    p99 = np.zeros(sae.n_latents, np.float32)
    # Sorted by latent, then falling: the last kept value of a latent is its percentile.
    p99[kept_latents] = kept_values
    return LatentStatistics(
        density=count / max(n_rows, 1),
        mean=(total / np.maximum(count, 1)).astype(np.float32),
        p99=p99,
        maximum=maximum,
    )


def _firing(
    sae: SparseAutoencoder, source: ActivationSource
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    for shard in iterate_shards(source, sae.d_model):
        for x, codes in encode_rows(sae, shard):
            fires = codes.values > 0
            yield len(x), codes.indices[fires].cpu().numpy(), codes.values[fires].cpu().numpy()


def _largest(
    latents: np.ndarray, values: np.ndarray, needed: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    order = np.lexsort((-values, latents))
    latents, values = latents[order], values[order]
    starts = np.searchsorted(latents, np.arange(len(needed)))
    rank = np.arange(len(latents)) - starts[latents]
    keep = rank < needed[latents]
    return latents[keep], values[keep]
