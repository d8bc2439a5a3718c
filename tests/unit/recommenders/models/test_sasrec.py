"""SASRec: what it may see, what it is trained on, what it learns."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from reclens.contracts import SasRecConfig
from reclens.data import Dataset, Split
from reclens.errors import InvalidInput
from reclens.recommenders import RecommenderTrainer, UserBatch, build_recommender, evaluate
from reclens.recommenders.models.sasrec import (
    SasRec,
    causal_mask,
    full_softmax_loss,
    training_windows,
)


@pytest.fixture
def model(sasrec_config: SasRecConfig) -> SasRec:
    config = sasrec_config.model_copy(update={"n_layers": 2})
    model = build_recommender(config, 3, 12, seed=0).eval()
    assert isinstance(model, SasRec)
    return model


def test_padding_changes_nothing(model: SasRec) -> None:
    tight = torch.tensor([[3, 7]])
    wide = torch.tensor([[-1, -1, -1, 3, 7]])
    with torch.no_grad():
        assert torch.allclose(model.encode(tight), model.encode(wide)[:, -2:], atol=1e-6)


def test_later_items_do_not_reach_earlier_positions(model: SasRec) -> None:
    with torch.no_grad():
        one = model.encode(torch.tensor([[1, 2, 3, 4]]))
        other = model.encode(torch.tensor([[1, 2, 9, 8]]))
    assert torch.equal(one[:, :2], other[:, :2])
    assert not torch.allclose(one[:, 2:], other[:, 2:], atol=1e-2)


def test_earlier_items_reach_the_last_position_in_their_order(model: SasRec) -> None:
    with torch.no_grad():
        x = model.encode(torch.tensor([[1, 2, 3], [2, 1, 3], [5, 2, 3]]))[:, -1]
    assert not torch.allclose(x[0], x[1], atol=1e-3)
    assert not torch.allclose(x[0], x[2], atol=1e-3)


def test_only_the_most_recent_items_count(model: SasRec) -> None:
    with torch.no_grad():
        long = model(UserBatch.of([np.array([9, 8, 1, 2, 3, 4, 5])]))
        recent = model(UserBatch.of([np.array([1, 2, 3, 4, 5])]))
    assert torch.equal(long, recent)


def test_mask_lets_each_position_see_itself_and_items_before_it() -> None:
    mask = causal_mask(torch.tensor([[False, True, True]]))[0, 0].int()
    assert mask.tolist() == [[1, 0, 0], [0, 1, 0], [0, 1, 1]]


def test_windows_have_every_item_but_the_first_as_a_target_once() -> None:
    windows = training_windows([np.arange(10, 18), np.array([5]), np.array([6, 7])], 3)
    assert windows.tolist() == [
        [14, 15, 16, 17],
        [11, 12, 13, 14],
        [-1, -1, 10, 11],
        [-1, -1, 6, 7],
    ]


def test_learns_what_comes_next(sasrec_config: SasRecConfig, cycle: Dataset) -> None:
    trainer = RecommenderTrainer(sasrec_config, cycle, seed=0)
    untrained = evaluate(trainer.model, cycle, Split.TEST, ks=(1,))["hr@1"]
    for _ in trainer.steps():
        pass
    model, metrics = trainer.finish()
    assert untrained < 0.5
    assert metrics["test"]["ndcg@5"] == 1.0
    with torch.no_grad():
        scores = model(UserBatch.of([np.array([start, (start + 1) % 40]) for start in range(40)]))
    assert scores.argmax(dim=1).tolist() == [(start + 2) % 40 for start in range(40)]


def test_refuses_heads_that_do_not_divide_the_width() -> None:
    with pytest.raises(InvalidInput) as caught:
        build_recommender(SasRecConfig(d_model=10, n_heads=3), 1, 5, seed=0)
    assert caught.value.field == "n_heads"


def test_refuses_data_without_a_next_item(sasrec_config: SasRecConfig, dataset_of) -> None:
    lonely = dataset_of([[0, 1, 2]], None, 3)
    with pytest.raises(InvalidInput, match="two interactions in train"):
        RecommenderTrainer(sasrec_config, lonely, seed=0)


# --- the hand-written loss against PyTorch's own --------------------------------------------------


@pytest.mark.parametrize("rows", [1, 256, 257, 700])
def test_value_and_gradients_are_those_of_cross_entropy(rows: int) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(rows, 8, dtype=torch.float64, generator=generator, requires_grad=True)
    weights = torch.randn(30, 8, dtype=torch.float64, generator=generator, requires_grad=True)
    target = torch.randint(30, (rows,), generator=generator)
    mine = full_softmax_loss(x, weights, target)
    reference = functional.cross_entropy(x @ weights.T, target)
    assert mine.item() == pytest.approx(reference.item(), rel=1e-12)
    for a, b in zip(
        torch.autograd.grad(3 * mine, (x, weights)),
        torch.autograd.grad(3 * reference, (x, weights)),
        strict=True,
    ):
        assert torch.allclose(a, b, rtol=1e-10, atol=1e-14)


def test_large_logits_do_not_overflow() -> None:
    x = torch.tensor([[1000.0]], requires_grad=True)
    weights = torch.tensor([[1.0], [-1.0]], requires_grad=True)
    loss = full_softmax_loss(x, weights, torch.tensor([1]))
    loss.backward()
    assert loss.item() == 2000.0
    assert x.grad is not None
    assert x.grad.item() == pytest.approx(2.0)
