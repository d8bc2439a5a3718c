"""Served models with random weights, made in memory."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from reclens.contracts import (
    AutoencoderConfig,
    BprMfConfig,
    LightGcnConfig,
    ModelConfig,
    SasRecConfig,
)
from reclens.data import Dataset, Interactions, Items, Users
from reclens.probing import ProbeSite
from reclens.recommenders import build_recommender
from reclens.sae import build_autoencoder
from reclens_recommender.serving.served_model import ServedModel
from reclens_recommender.serving.settings import InferenceSection

N_USERS, N_LATENTS = 20, 32


def config_of(kind: str, d_model: int = 8) -> ModelConfig:
    """A small model of each family."""
    return {
        "sasrec": SasRecConfig(d_model=d_model, n_layers=1, max_length=6, dropout=0.0),
        "bprmf": BprMfConfig(d_model=d_model),
        "lightgcn": LightGcnConfig(d_model=d_model),
    }[kind]


def small_dataset(n_items: int, seed: int = 0) -> Dataset:
    """Users with 3 to 22 items; items carry one to three of the tags a, b, c and d."""
    rng = np.random.default_rng(seed)
    lengths = np.minimum(3 + np.arange(N_USERS), n_items - 1)
    items = np.concatenate([rng.permutation(n_items)[:length] for length in lengths])
    n = len(items)
    return Dataset(
        interactions=Interactions(
            user_index=np.repeat(np.arange(N_USERS, dtype=np.int32), lengths),
            item_index=items.astype(np.int32),
            timestamp=np.arange(n, dtype=np.int64),
            rating=None,
            split=np.zeros(n, np.uint8),
        ),
        items=Items(
            ids=[f"i{item}" for item in range(n_items)],
            titles=[""] * n_items,
            tags=[
                [tag for i, tag in enumerate("abcd") if item % (i + 2) == 0] or ["e"]
                for item in range(n_items)
            ],
            years=[None] * n_items,
            popularity=np.bincount(items, minlength=n_items).astype(np.int32),
        ),
        users=Users(ids=[f"u{user}" for user in range(N_USERS)], attributes=[{}] * N_USERS),
    )


def served_model(
    kind: str = "sasrec",
    *,
    n_items: int = 100,
    d_model: int = 8,
    device: torch.device | str = "cpu",
    site: ProbeSite | None = None,
    **options: Any,
) -> ServedModel:
    """A served model, the same on every device; ``options`` as in `InferenceSection`."""
    dataset = small_dataset(n_items)
    model = build_recommender(config_of(kind, d_model), N_USERS, n_items, seed=1)
    model.observe(dataset)
    model = model.to(device).eval()
    sae = build_autoencoder(AutoencoderConfig(n_latents=N_LATENTS, k=4), d_model)
    sae = sae.to(device).eval().requires_grad_(False)
    release: Any = SimpleNamespace(name="default", version="1")
    with torch.no_grad():
        return ServedModel.of(
            release=release,
            model=model,
            site=site or model.site,
            sae=sae,
            p99=torch.linspace(0, 2, N_LATENTS).to(device),
            dataset=dataset,
            dataset_ref="datasets/small",
            options=InferenceSection(**{"search_threads": 1, **options}),
        )
