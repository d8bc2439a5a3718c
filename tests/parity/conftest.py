"""Weights and activations that go through two libraries; skipped where theirs is not installed."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import pytest
import torch
from torch import Tensor

from reclens.contracts import AutoencoderConfig
from reclens.sae import SparseAutoencoder
from reclens.sae.architectures.jumprelu import JumpReluAutoencoder
from reclens.sae.architectures.registry import build_autoencoder

_NEEDS = {
    "test_lightgcn.py": "torch_geometric",
    "test_saelens.py": "sae_lens",
    "test_sparsify.py": "sparsify",
}
collect_ignore = [file for file, package in _NEEDS.items() if find_spec(package) is None]

D_MODEL, N_LATENTS, K = 24, 160, 6


@pytest.fixture
def x() -> Tensor:
    """500 correlated activations, 24 wide, off centre."""
    generator = torch.Generator().manual_seed(1)
    mixing = torch.randn(10, D_MODEL, generator=generator)
    return torch.randn(500, 10, generator=generator) @ mixing + 0.5


@pytest.fixture
def drawn() -> Callable[..., SparseAutoencoder]:
    """Maker of an autoencoder whose every parameter is drawn, and none is at its start."""

    def make(kind: str, *, normalised: bool = True, **options: Any) -> SparseAutoencoder:
        config = AutoencoderConfig(kind=kind, n_latents=N_LATENTS, k=K, **options)  # type: ignore[arg-type]
        sae = build_autoencoder(config, D_MODEL)
        generator = torch.Generator().manual_seed(2)

        def like(tensor: Tensor) -> Tensor:
            return torch.randn(tensor.shape, generator=generator)

        with torch.no_grad():
            sae.W_enc += 0.1 * like(sae.W_enc)
            sae.b_enc += 0.1 * like(sae.b_enc)
            sae.b_dec += 0.1 * like(sae.b_dec)
            if normalised:
                sae.input_mean += like(sae.input_mean)
                sae.input_scale.fill_(2.5)
            if isinstance(sae, JumpReluAutoencoder):
                sae.log_threshold += 0.2 * like(sae.log_threshold)
        return sae

    return make
