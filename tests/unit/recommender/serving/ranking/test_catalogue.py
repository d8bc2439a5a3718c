"""Exact scores have the bits of the model's own product; rough ones stay within their margin."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from reclens_recommender.serving.ranking import catalogue as module
from reclens_recommender.serving.ranking.catalogue import GROUP, Catalogue


def catalogue(n_items: int, d_model: int, threads: int = 1) -> Catalogue:
    generator = torch.Generator().manual_seed(n_items)
    weights = torch.randn(n_items, d_model, generator=generator)
    return Catalogue(weights, torch.randn(n_items, generator=generator), threads)


@pytest.mark.parametrize("d_model", [3, 8, 50, 64])
@pytest.mark.parametrize("n_items", [5, 16, 40, 1003])
def test_any_groups_have_the_bits_of_the_whole_product(n_items: int, d_model: int) -> None:
    items = catalogue(n_items, d_model)
    x = [torch.randn(d_model) for _ in range(6)]
    # As Recommender.forward has it for one request.
    whole = np.stack([(v[None] @ items.weights.T + items.biases)[0].numpy() for v in x])
    rng = np.random.default_rng(0)
    n_groups = -(-n_items // GROUP)
    for size in (1, 2, 9, 30):
        rows = np.sort(rng.integers(0, 6, size))
        groups = rng.integers(0, n_groups, size)
        got = items.exact(x, rows, groups)
        for place, (row, group) in enumerate(zip(rows, groups, strict=True)):
            expected = whole[row, group * GROUP : (group + 1) * GROUP]
            assert got[place, : len(expected)].tobytes() == expected.tobytes()
            assert (got[place, len(expected) :] == -np.inf).all()


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("threads", [1, 3])
def test_rough_scores_stay_within_their_margin(
    scale: float, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_CHUNK_ITEMS", 128)
    items = catalogue(1003, 64, threads)
    x = [scale * torch.randn(64) for _ in range(33)]
    margins = items.margins(torch.stack(x))
    rough = np.zeros((33, 1003), np.float32)

    def note(start: int, part: torch.Tensor) -> None:
        rough[:, start : start + part.shape[1]] = part.numpy()

    items.visit(torch.stack(x), note)
    exact = np.stack([items.scores(v).numpy() for v in x])
    difference = np.abs(rough.astype(np.float64) - exact).max(axis=1)
    assert (difference <= margins).all()
    # The truth in float64 lies within half of it, as either product may err by that much.
    truth = np.stack([(v.double() @ items.weights.double().T + items.biases).numpy() for v in x])
    assert (np.abs(truth - exact).max(axis=1) <= margins / 2).all()
    # And the margin is of use: far below what scores differ by.
    assert (margins < exact.std(axis=1) / 100).all()
