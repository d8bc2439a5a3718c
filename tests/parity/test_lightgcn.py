"""LightGCN, against PyTorch Geometric's: the same smoothing, and what it learns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch_geometric.nn import LightGCN

from reclens.adapters.settings import WorkerSettings
from reclens.adapters.sources import obtain
from reclens.contracts import BprMfConfig, DatasetSpec, LightGcnConfig, SplitSpec
from reclens.data import Dataset, Split, prepare
from reclens.recommenders import RecommenderTrainer, build_recommender, evaluate
from reclens.recommenders.bprmf import BprMf
from reclens.recommenders.lightgcn import InteractionGraph

# Over seeds the test NDCG@10 of either spreads by about .005.
_NOISE = 0.015
_EPOCHS = 100


def both_ways(users: Tensor, items: Tensor, n_users: int) -> Tensor:
    """Edges as PyTorch Geometric has them: items after users, each edge in both directions."""
    edges = torch.stack([users, items + n_users])
    return torch.cat([edges, edges.flip(0)], dim=1)


def test_the_same_embeddings_are_smoothed_alike() -> None:
    n_users, n_items, n_layers = 30, 50, 3
    rng = np.random.default_rng(0)
    pairs = np.unique(rng.integers((n_users, n_items), size=(200, 2)), axis=0)
    ours = InteractionGraph(n_users, n_items, n_layers)
    ours.connect(pairs[:, 0], pairs[:, 1])
    theirs = LightGCN(n_users + n_items, 8, n_layers)
    x = theirs.embedding.weight.detach().clone().requires_grad_()
    users, items = torch.from_numpy(pairs).T
    smoothed = theirs.get_embedding(both_ways(users, items, n_users))
    torch.testing.assert_close(ours(x), smoothed)
    direction = torch.randn(smoothed.shape, generator=torch.Generator().manual_seed(0))
    (ours(x) * direction).sum().backward()
    (smoothed * direction).sum().backward()
    torch.testing.assert_close(x.grad, theirs.embedding.weight.grad)


@pytest.mark.timeout(3600)
def test_the_quality_is_that_of_pytorch_geometric() -> None:
    folder = obtain("ml-100k", Path(".reclens/cache"), WorkerSettings().data.ml_100k).folder
    dataset = prepare(DatasetSpec(split=SplitSpec(kind="ratio")), folder)
    theirs = evaluate(trained_by_pytorch_geometric(dataset), dataset, Split.TEST)
    trainer = RecommenderTrainer(LightGcnConfig(), dataset, seed=0)
    for _ in trainer.steps():
        pass
    ours = trainer.finish()[1]["test"]
    assert theirs["ndcg@10"] > 0.27
    assert ours["ndcg@10"] == pytest.approx(theirs["ndcg@10"], abs=_NOISE)
    assert ours["hr@10"] == pytest.approx(theirs["hr@10"], abs=2 * _NOISE)


def trained_by_pytorch_geometric(dataset: Dataset) -> BprMf:
    """Their model and loss at our start, step and batch size; its smoothed vectors in a BPRMF."""
    config, seen = LightGcnConfig(), dataset.interactions
    train = seen.split == Split.TRAIN
    users = torch.from_numpy(seen.user_index[train].astype(np.int64))
    items = torch.from_numpy(seen.item_index[train].astype(np.int64))
    edges = both_ways(users, items, dataset.n_users)
    generator = torch.Generator().manual_seed(0)
    model = LightGCN(dataset.n_users + dataset.n_items, config.d_model, config.n_layers)
    torch.nn.init.normal_(model.embedding.weight, std=config.initial_std, generator=generator)
    optimizer = torch.optim.Adam(model.parameters(), config.learning_rate)
    for _ in range(_EPOCHS):
        for batch in torch.randperm(len(users), generator=generator).split(config.batch_size):
            left = torch.randint(dataset.n_items, (len(batch),), generator=generator)
            taken = edges[:, batch]
            pairs = torch.cat([taken, torch.stack([taken[0], left + dataset.n_users])], dim=1)
            positive, negative = model(edges, pairs).chunk(2)
            optimizer.zero_grad()
            model.recommendation_loss(positive, negative, pairs.unique()).backward()
            optimizer.step()
    holder = build_recommender(
        BprMfConfig(d_model=config.d_model), dataset.n_users, dataset.n_items, seed=0
    )
    assert isinstance(holder, BprMf)
    with torch.no_grad():
        vectors = model.get_embedding(edges)
        holder.user_embedding.weight.copy_(vectors[: dataset.n_users])
        holder.item_embedding.weight.copy_(vectors[dataset.n_users :])
    return holder
