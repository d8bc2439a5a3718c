"""Configuration of the sparse autoencoder."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from reclens.contracts.base import Contract


class AutoencoderConfig(Contract):
    """Architecture and training of a sparse autoencoder (arXiv 2406.04093, 2411.06112)."""

    kind: Literal["topk"] = "topk"
    """Architecture."""
    d_model: int | None = Field(default=None, ge=1, le=65536)
    """Width of the activations. None: taken from the data."""
    n_latents: int = Field(default=1024, ge=1, le=1 << 24)
    """Units of the dictionary."""
    k: int = Field(default=16, ge=1, le=65536)
    """Latents active for one activation (the L0)."""
    seed: int = Field(default=0, ge=0)
    """Seed of initialisation, data order and held-out rows."""
    n_epochs: int = Field(default=16, ge=1, le=100000)
    """Passes over the training activations."""
    batch_size: int = Field(default=512, ge=1, le=1 << 20)
    """Activations a step, at most."""
    learning_rate: float = Field(default=5e-3, gt=0, le=1)
    """Peak Adam step size."""
    warmup_share: float = Field(default=0.05, ge=0, le=1)
    """Share of all steps over which the step size rises from zero to its peak."""
    decay_share: float = Field(default=0.5, ge=0, le=1)
    """Share of all steps, the last ones, over which the step size falls to zero."""
    auxiliary_coefficient: float = Field(default=1 / 8, ge=0, le=1)
    """Weight of the auxiliary loss that revives dead latents (AuxK). The papers take 1/32."""
    k_auxiliary: int | None = Field(default=None, ge=1)
    """Dead latents that explain the residual at each step. None: half of ``d_model``."""
    dead_after: int = Field(default=20_000, ge=1)
    """A latent is dead when it has not fired for this many activations."""

    @field_validator("k")
    @classmethod
    def _k_fits(cls, k: int, info: ValidationInfo) -> int:
        n_latents = info.data.get("n_latents")
        if n_latents is not None and k > n_latents:
            raise ValueError(f"k = {k} exceeds n_latents = {n_latents}; lower k or raise n_latents")
        return k
