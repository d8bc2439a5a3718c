"""BPRMF: known users by their row, unknown ones by their history."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from reclens.contracts import BprMfConfig
from reclens.data import Dataset, Split
from reclens.errors import InvalidInput
from reclens.recommenders import RecommenderTrainer, UserBatch, build_recommender, evaluate
from reclens.recommenders.models.bprmf import BprMf


def trained(config: BprMfConfig, dataset: Dataset) -> BprMf:
    trainer = RecommenderTrainer(config, dataset, seed=0)
    for _ in trainer.steps():
        pass
    model, _ = trainer.finish()
    assert isinstance(model, BprMf)
    return model


def test_a_known_user_is_its_row_whatever_the_history(bprmf_config: BprMfConfig) -> None:
    model = build_recommender(bprmf_config, 4, 10, seed=0)
    assert isinstance(model, BprMf)
    batch = UserBatch.of([np.array([1]), np.array([2, 3]), np.array([4])], [3, -1, 0])
    x = model.represent(batch)
    assert torch.equal(x[0], model.user_embedding.weight[3])
    assert torch.equal(x[2], model.user_embedding.weight[0])
    without = UserBatch.of([np.array([], dtype=np.int64)], [3])
    assert torch.equal(model.represent(without)[0], model.user_embedding.weight[3])


def test_an_unknown_user_has_the_usual_length(bprmf_config: BprMfConfig) -> None:
    model = build_recommender(bprmf_config, 5, 10, seed=0)
    assert isinstance(model, BprMf)
    x = model.represent(UserBatch.of([np.array([1]), np.arange(9)]))
    usual = model.user_embedding.weight.norm(dim=1).sort().values[2]
    assert torch.allclose(x.norm(dim=1), usual.expand(2))


def test_learns_the_camps(bprmf_config: BprMfConfig, camps: Dataset) -> None:
    model = trained(bprmf_config, camps)
    # 10 candidates of the own camp are left before valid, 8 after it; the other camp has 20.
    assert evaluate(model, camps, Split.TEST, ks=(8,))["hr@8"] > 0.95
    with torch.no_grad():
        scores = model(UserBatch.of([np.array([], dtype=np.int64)] * 2, [0, 1]))
    assert scores[0, :20].mean() > scores[0, 20:].mean() + 1
    assert scores[1, 20:].mean() > scores[1, :20].mean() + 1


def test_a_bare_history_is_recommended_its_own_camp(
    bprmf_config: BprMfConfig, camps: Dataset
) -> None:
    model = trained(bprmf_config, camps)
    with torch.no_grad():
        scores = model(UserBatch.of([np.array([1, 2, 3]), np.array([21, 22, 23])]))
    assert scores[0, :20].min() > scores[0, 20:].max()
    assert scores[1, 20:].min() > scores[1, :20].max()


def test_refuses_data_in_which_everybody_took_everything(
    bprmf_config: BprMfConfig, dataset_of
) -> None:
    everything = dataset_of([[0, 1]], [[Split.TRAIN, Split.TRAIN]], 2)
    with pytest.raises(InvalidInput, match="nothing to rank"):
        RecommenderTrainer(bprmf_config, everything, seed=0)
