"""How well an autoencoder does on activations, and how often and how strongly each latent fires."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from reclens.contracts import AutoencoderConfig
from reclens.errors import InvalidInput
from reclens.sae.activations.moments import Moments
from reclens.sae.activations.sources import ActivationSource, iterate_shards
from reclens.sae.analysis.variance import VarianceReport, VarianceSums
from reclens.sae.architectures.base import SparseAutoencoder
from reclens.sae.architectures.closed_form import ClosedFormAutoencoder
from reclens.sae.architectures.codes import Codes
from reclens.sae.architectures.registry import build_autoencoder

CHUNK_ROWS = 4096
"""Rows encoded at a time: dense pre-activations of more should not be in memory at once."""
ALWAYS_ON = 0.5
"""A latent that fires on more than this share of activations says nothing about any one of them."""
QUANTILE = 0.99


@dataclass(frozen=True)
class HeldOutMetrics:
    """Measured over a whole set of activations at once, never averaged over batches."""

    fvu: float
    """``Σ‖x - x̂‖² / Σ‖x - mean(x)‖²`` with the set's own mean."""
    l0: float
    """Mean number of latents above zero."""
    dead_fraction: float
    """Share of latents that fire for no activation of the set."""
    always_on_fraction: float
    """Share of latents that fire for more than half of the set."""
    cosine: float
    """Mean cosine of ``x`` and ``x̂``."""


@dataclass(frozen=True)
class AutoencoderReport(HeldOutMetrics):
    """What training gave, measured on held-out activations."""

    random_fvu: float
    """FVU of an untrained autoencoder of the same shape: the floor to be far below."""
    n_latents: int
    """Units of the dictionary."""
    k: int
    """Latents active for one activation."""
    d_model: int
    """Width of the activations."""
    activations_seen: int
    """Activations trained on, repeats included."""
    curve: list[list[float]]
    """Rows of step, loss and training FVU; at most 200."""
    variance: VarianceReport
    """Who holds the variance that ``fvu`` is a fraction of, and whose of it is explained."""

    def as_metrics(self) -> dict[str, Any]:
        """The report in JSON types."""
        return asdict(self)


@torch.no_grad()
def measure(
    sae: SparseAutoencoder, source: ActivationSource, variance: VarianceSums | None = None
) -> HeldOutMetrics:
    """Measure an autoencoder on activations, one shard in memory at a time.

    Args:
        sae: the autoencoder.
        source: the activations.
        variance: takes in the same rows, where it is wanted.

    Raises:
        InvalidInput: the source is empty, does not vary, or has another width.
    """
    moments = Moments()
    error = cosine = 0.0
    fired = torch.zeros(sae.n_latents, dtype=torch.int64, device=sae.device)
    for shard in iterate_shards(source, sae.d_model):
        moments.update(shard)
        for x, codes in encode_rows(sae, shard):
            x_hat = sae.decode(codes)
            if variance is not None:
                variance.update(x.cpu().numpy(), x_hat.cpu().numpy())
            error += float((x - x_hat).double().square().sum())
            cosine += float(functional.cosine_similarity(x, x_hat).double().sum())
            fired += codes.indices[codes.values > 0].bincount(minlength=sae.n_latents)
    if not moments.deviation > 0:
        raise InvalidInput(
            f"{moments.count} held-out activations do not vary: there is nothing to explain.",
            field="held_out",
            remedy="hold out at least two different activations.",
        )
    return HeldOutMetrics(
        fvu=error / moments.deviation,
        l0=int(fired.sum()) / moments.count,
        dead_fraction=float((fired == 0).double().mean()),
        always_on_fraction=float((fired > ALWAYS_ON * moments.count).double().mean()),
        cosine=cosine / moments.count,
    )


def untrained_like(sae: SparseAutoencoder) -> SparseAutoencoder:
    """The control: same shape and same view of the data, weights as drawn."""
    config = sae.config
    if isinstance(sae, ClosedFormAutoencoder):
        config = AutoencoderConfig.parse({**config.canonical(), "kind": "topk"})
    control = build_autoencoder(config, sae.d_model).to(sae.device)
    control.input_mean.copy_(sae.input_mean)
    control.input_scale.copy_(sae.input_scale)
    return control.eval().requires_grad_(False)


def report(
    sae: SparseAutoencoder,
    held_out: ActivationSource,
    *,
    activations_seen: int,
    curve: list[list[float]],
) -> AutoencoderReport:
    """Measure a trained autoencoder and its untrained control on held-out activations.

    Raises:
        InvalidInput: as `measure`.
    """
    variance = VarianceSums(sae.input_mean.double().cpu().numpy())
    measured = measure(sae, held_out, variance)
    return AutoencoderReport(
        **asdict(measured),
        random_fvu=measure(untrained_like(sae), held_out).fvu,
        n_latents=sae.n_latents,
        k=sae.k,
        d_model=sae.d_model,
        activations_seen=activations_seen,
        curve=curve,
        variance=variance.report(),
    )


# --- latents --------------------------------------------------------------------------------------


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


def encode_rows(sae: SparseAutoencoder, x: np.ndarray) -> Iterator[tuple[Tensor, Codes]]:
    """Chunks of ``x`` [rows, d_model] as float32 tensors where ``sae`` is, each with its codes."""
    for start in range(0, len(x), CHUNK_ROWS):
        # A copy, since views of Parquet buffers are read-only, which torch does not know.
        chunk = torch.from_numpy(x[start : start + CHUNK_ROWS].astype(np.float32)).to(sae.device)
        with torch.no_grad():
            codes = sae.encode(chunk)
        yield chunk, codes
