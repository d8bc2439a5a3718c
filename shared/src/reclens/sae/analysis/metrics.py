"""How well an autoencoder does on activations that it was not trained on."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch.nn import functional

from reclens.contracts import AutoencoderConfig
from reclens.errors import InvalidInput
from reclens.sae.activations.moments import Moments
from reclens.sae.activations.sources import ActivationSource, iterate_shards
from reclens.sae.analysis.encoding import encode_rows
from reclens.sae.architectures.base import SparseAutoencoder
from reclens.sae.architectures.closed_form import ClosedFormAutoencoder
from reclens.sae.architectures.registry import build_autoencoder

ALWAYS_ON = 0.5
"""A latent that fires on more than this share of activations says nothing about any one of them."""


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
class AutoencoderReport:
    """What training gave, measured on held-out activations."""

    fvu: float
    """Fraction of variance unexplained."""
    l0: float
    """Mean number of latents above zero."""
    dead_fraction: float
    """Share of latents that fire for no held-out activation."""
    always_on_fraction: float
    """Share of latents that fire for more than half of them."""
    cosine: float
    """Mean cosine of ``x`` and ``x̂``."""
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

    def as_metrics(self) -> dict[str, Any]:
        """The report in JSON types."""
        return asdict(self)


@torch.no_grad()
def measure(sae: SparseAutoencoder, source: ActivationSource) -> HeldOutMetrics:
    """Measure an autoencoder on activations, one shard in memory at a time.

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
    return AutoencoderReport(
        **asdict(measure(sae, held_out)),
        random_fvu=measure(untrained_like(sae), held_out).fvu,
        n_latents=sae.n_latents,
        k=sae.k,
        d_model=sae.d_model,
        activations_seen=activations_seen,
        curve=curve,
    )
