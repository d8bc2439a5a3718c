"""LightGCN, against PyTorch Geometric's: the same smoothing, and what it learns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch_geometric.nn import LightGCN

from reclens.contracts import BprMfConfig, DatasetSpec, LightGcnConfig, SplitSpec
from reclens.data import Dataset, Split, prepare
from reclens.platform.datasets.obtain import obtain
from reclens.platform.settings.models import WorkerSettings
from reclens.recommenders import RecommenderTrainer, build_recommender, evaluate
from reclens.recommenders.models.bprmf import BprMf
from reclens.recommenders.models.lightgcn import InteractionGraph
from reclens.recommenders.models.pairwise import PairwiseObjective

CONFIG = LightGcnConfig(max_epochs=30)  # not yet its best, but far from its start
_NOISE = 0.015


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
def test_the_same_examples_teach_both_the_same() -> None:
    folder = obtain(
        "ml-100k", Path(".reclens/cache"), WorkerSettings().data.folder("ml-100k")
    ).folder
    dataset = prepare(DatasetSpec(split=SplitSpec(kind="ratio")), folder)
    theirs = evaluate(trained_by_pytorch_geometric(dataset), dataset, Split.TEST)
    trainer = RecommenderTrainer(CONFIG, dataset, seed=0)
    for _ in trainer.steps():
        pass
    ours = trainer.finish()[1]["test"]
    assert theirs["ndcg@10"] > 0.2
    assert ours["ndcg@10"] == pytest.approx(theirs["ndcg@10"], abs=_NOISE)
    assert ours["hr@10"] == pytest.approx(theirs["hr@10"], abs=2 * _NOISE)


def trained_by_pytorch_geometric(dataset: Dataset) -> BprMf:
    """Their model and loss, from a start like ours, with our pairs; its vectors in a BPRMF."""
    train = dataset.interactions.split == Split.TRAIN
    edges = both_ways(
        torch.from_numpy(dataset.interactions.user_index[train].astype(np.int64)),
        torch.from_numpy(dataset.interactions.item_index[train].astype(np.int64)),
        dataset.n_users,
    )
    generator, rng = torch.Generator().manual_seed(0), np.random.default_rng(0)
    model = LightGCN(dataset.n_users + dataset.n_items, CONFIG.d_model, CONFIG.n_layers)
    torch.nn.init.normal_(model.embedding.weight, std=CONFIG.initial_std, generator=generator)
    optimizer = torch.optim.Adam(
        model.parameters(), CONFIG.learning_rate, weight_decay=CONFIG.weight_decay
    )
    objective = PairwiseObjective(dataset)
    for _ in range(CONFIG.max_epochs):
        pairs = torch.from_numpy(np.stack(objective.epoch(rng)))
        for users, taken, left in (part.unbind() for part in pairs.split(CONFIG.batch_size, dim=1)):
            ends = torch.cat([taken, left]) + dataset.n_users
            scores = model(edges, torch.stack([torch.cat([users, users]), ends]))
            optimizer.zero_grad()
            model.recommendation_loss(*scores.chunk(2), lambda_reg=0).backward()
            optimizer.step()
    holder = build_recommender(
        BprMfConfig(d_model=CONFIG.d_model), dataset.n_users, dataset.n_items, seed=0
    )
    assert isinstance(holder, BprMf)
    with torch.no_grad():
        vectors = model.get_embedding(edges)
        holder.user_embedding.weight.copy_(vectors[: dataset.n_users])
        holder.item_embedding.weight.copy_(vectors[dataset.n_users :])
    return holder
