"""Configurations of the recommenders: architecture and training in one value per model."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from reclens.contracts.base import Contract


class SasRecConfig(Contract):
    """Self-attentive sequential recommendation (Kang and McAuley 2018, arXiv 1808.09781)."""

    kind: Literal["sasrec"] = "sasrec"
    """Model family."""
    d_model: int = Field(default=64, ge=2, le=4096)
    """Width of the representation."""
    n_layers: int = Field(default=1, ge=1, le=32)
    """Transformer blocks."""
    n_heads: int = Field(default=1, ge=1, le=64)
    """Attention heads; must divide ``d_model``."""
    max_length: int = Field(default=50, ge=1, le=4096)
    """Most recent items of a history that the model sees."""
    dropout: float = Field(default=0.3, ge=0.0, lt=1.0)
    """Dropout probability while training."""
    learning_rate: float = Field(default=2e-3, gt=0, le=1)
    """Adam step size."""
    weight_decay: float = Field(default=0.0, ge=0, le=1)
    """L2 penalty."""
    batch_size: int = Field(default=32, ge=1, le=65536)
    """Training sequences (of up to ``max_length`` items) a step."""
    max_epochs: int = Field(default=20, ge=1, le=10000)
    """Upper bound of passes over the training data."""
    validate_every: int = Field(default=2, ge=1, le=1000)
    """Epochs between validations."""
    patience: int = Field(default=3, ge=1, le=1000)
    """Validations without a better NDCG@10 before training stops."""


class BprMfConfig(Contract):
    """Matrix factorisation with the BPR loss (Rendle et al. 2009, arXiv 1205.2618)."""

    kind: Literal["bprmf"] = "bprmf"
    """Model family."""
    d_model: int = Field(default=64, ge=2, le=4096)
    """Width of the user and item embeddings."""
    learning_rate: float = Field(default=1e-3, gt=0, le=1)
    """Adam step size."""
    weight_decay: float = Field(default=1e-6, ge=0, le=1)
    """L2 penalty."""
    batch_size: int = Field(default=2048, ge=1, le=1048576)
    """Training pairs a step."""
    max_epochs: int = Field(default=200, ge=1, le=10000)
    """Upper bound of passes over the training data."""
    validate_every: int = Field(default=5, ge=1, le=1000)
    """Epochs between validations."""
    patience: int = Field(default=4, ge=1, le=1000)
    """Validations without a better NDCG@10 before training stops."""


ModelConfig = Annotated[SasRecConfig | BprMfConfig, Field(discriminator="kind")]
"""Any recommender that RecLens trains itself."""
