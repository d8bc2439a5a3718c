"""LightGCN: the graph by hand, the gradient by finite differences, and what it learns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from reclens.contracts import LightGcnConfig
from reclens.data import Dataset, Split
from reclens.recommenders import (
    RecommenderTrainer,
    UserBatch,
    build_recommender,
    evaluate,
    load_recommender,
    save_recommender,
)
from reclens.recommenders.models.lightgcn import InteractionGraph, LightGcn


@pytest.fixture
def graph() -> InteractionGraph:
    """User 0 took items 0 and 1 (twice), user 1 took item 1; item 2 nobody."""
    graph = InteractionGraph(2, 3, n_layers=2)
    graph.connect(np.array([0, 0, 1, 0]), np.array([0, 1, 1, 1]))
    return graph


@pytest.fixture
def model(lightgcn_config: LightGcnConfig, camps: Dataset) -> LightGcn:
    model = build_recommender(lightgcn_config, camps.n_users, camps.n_items, seed=0)
    assert isinstance(model, LightGcn)
    model.observe(camps)
    return model


def test_edges_weigh_one_over_the_root_of_both_degrees(graph: InteractionGraph) -> None:
    # Degrees: users 2 and 1, items 1, 2 and 0.
    expected = torch.zeros(5, 5)
    expected[0, 2] = expected[2, 0] = 1 / np.sqrt(2 * 1)
    expected[0, 3] = expected[3, 0] = 1 / np.sqrt(2 * 2)
    expected[1, 3] = expected[3, 1] = 1 / np.sqrt(1 * 2)
    assert torch.allclose(graph.adjacency().to_dense(), expected)


def test_vectors_are_averaged_over_the_layers(graph: InteractionGraph) -> None:
    a = graph.adjacency().to_dense()
    x = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(graph(x), (x + a @ x + a @ a @ x) / 3, atol=1e-6)
    # Nobody took item 2, so no neighbour adds to it.
    assert torch.allclose(graph(x)[4], x[4] / 3)


def test_the_gradient_is_that_of_the_forward_pass(graph: InteractionGraph) -> None:
    a = graph.adjacency().to_dense()
    weights = torch.randn(5, 4, generator=torch.Generator().manual_seed(1))
    x = torch.randn(5, 4, generator=torch.Generator().manual_seed(0), requires_grad=True)
    (graph(x) * weights).sum().backward()
    dense = x.detach().clone().requires_grad_()
    (((dense + a @ dense + a @ a @ dense) / 3) * weights).sum().backward()
    assert x.grad is not None
    assert dense.grad is not None
    assert torch.allclose(x.grad, dense.grad, atol=1e-6)


def test_only_train_is_in_the_graph(model: LightGcn, camps: Dataset) -> None:
    edges = set(zip(*model.graph.edges.tolist(), strict=True))
    expected = {
        (user, int(item))
        for user in range(camps.n_users)
        for item in camps.history(user, (Split.TRAIN,))
    }
    assert edges == expected


def test_a_loaded_model_has_its_graph_without_the_data(model: LightGcn, tmp_path: Path) -> None:
    save_recommender(model, tmp_path)
    again = load_recommender(tmp_path)
    assert isinstance(again, LightGcn)
    assert torch.equal(again.graph.edges, model.graph.edges)
    batch = UserBatch.of([np.array([1]), np.array([30, 31])], [5, -1])
    with torch.no_grad():
        assert torch.equal(again(batch), model.eval()(batch))


def test_vectors_that_are_kept_follow_every_change(model: LightGcn) -> None:
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    model.vectors()[1].sum().backward()
    with torch.no_grad():
        before = model.item_weights()
        assert model.item_weights() is before
        optimizer.step()
        stepped = model.item_weights()
        assert not torch.equal(stepped, before)
        model.graph.connect(np.array([0]), np.array([0]))
        assert not torch.equal(model.item_weights(), stepped)


def test_learns_the_camps(lightgcn_config: LightGcnConfig, camps: Dataset) -> None:
    trainer = RecommenderTrainer(lightgcn_config, camps, seed=0)
    for _ in trainer.steps():
        pass
    model, _ = trainer.finish()
    assert evaluate(model, camps, Split.TEST, ks=(8,))["hr@8"] > 0.95
    with torch.no_grad():
        scores = model(UserBatch.of([np.array([1, 2, 3]), np.array([21, 22, 23])]))
    assert scores[0, :20].min() > scores[0, 20:].max()
    assert scores[1, 20:].min() > scores[1, :20].max()


def test_without_layers_it_is_matrix_factorisation(camps: Dataset) -> None:
    config = LightGcnConfig(d_model=4, n_layers=0)
    model = build_recommender(config, camps.n_users, camps.n_items, seed=0)
    assert isinstance(model, LightGcn)
    model.observe(camps)
    users, items = model.vectors()
    assert torch.equal(users, model.user_embedding.weight)
    assert torch.equal(items, model.item_embedding.weight)
