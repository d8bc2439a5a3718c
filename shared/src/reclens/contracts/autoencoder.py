"""Configuration of the sparse autoencoder."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

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
    n_epochs: int = Field(default=20, ge=1, le=100000)
    """Passes over the training activations."""
    batch_size: int = Field(default=1024, ge=1, le=1 << 20)
    """Activations a step."""
    learning_rate: float = Field(default=1e-3, gt=0, le=1)
    """Peak Adam step size."""
    auxiliary_coefficient: float = Field(default=1 / 32, ge=0, le=1)
    """Weight of the auxiliary loss that revives dead latents (AuxK)."""
    k_auxiliary: int | None = Field(default=None, ge=1)
    """Dead latents that explain the residual at each step. None: half of ``d_model``."""
    dead_after: int = Field(default=100_000, ge=1)
    """A latent is dead when it has not fired for this many activations."""

    @model_validator(mode="after")
    def _k_fits(self) -> Self:
        if self.k > self.n_latents:
            raise ValueError(f"k = {self.k} exceeds n_latents = {self.n_latents}")
        return self
