"""BPRMF against Cornac's BPR, a maintained implementation, on one split with one evaluation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from cornac.data import Dataset as CornacDataset
from cornac.models import BPR

from reclens.contracts import BprMfConfig
from reclens.data import Dataset, Split
from reclens.recommenders import build_recommender, evaluate
from reclens.recommenders.models.bprmf import BprMf

pytestmark = pytest.mark.quality

# Over seeds and settings that are equally good on valid, Cornac's test NDCG@10 spreads by .005.
_NOISE = 0.015


def test_the_quality_is_that_of_cornac(bprmf: Any) -> None:
    dataset: Dataset = bprmf.dataset
    theirs = evaluate(trained_by_cornac(dataset), dataset, Split.TEST)
    assert theirs["ndcg@10"] > 0.27
    assert bprmf.test["ndcg@10"] == pytest.approx(theirs["ndcg@10"], abs=_NOISE)
    assert bprmf.test["hr@10"] == pytest.approx(theirs["hr@10"], abs=2 * _NOISE)


def trained_by_cornac(dataset: Dataset) -> BprMf:
    """Cornac's factors in our model; step size, penalty and passes chosen on valid."""
    seen = dataset.interactions
    train = seen.split == Split.TRAIN
    pairs = zip(seen.user_index[train].tolist(), seen.item_index[train].tolist(), strict=True)
    data = CornacDataset.build([(user, item, 1.0) for user, item in pairs], seed=0)
    bpr = BPR(
        k=64,
        max_iter=100,
        learning_rate=0.02,
        lambda_reg=0.01,
        use_bias=False,
        num_threads=1,
        seed=0,
    ).fit(data)
    model = build_recommender(BprMfConfig(d_model=64), dataset.n_users, dataset.n_items, seed=0)
    assert isinstance(model, BprMf)
    with torch.no_grad():
        for weight, factors, places in (
            (model.user_embedding.weight, bpr.u_factors, data.uid_map),
            (model.item_embedding.weight, bpr.i_factors, data.iid_map),
        ):
            weight.zero_()  # what train does not have stays at zero
            ours = torch.tensor(list(places.keys()))
            theirs = np.fromiter(places.values(), dtype=np.int64)
            weight[ours] = torch.from_numpy(factors[theirs])
    return model
