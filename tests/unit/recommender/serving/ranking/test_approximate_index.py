"""The approximate index against plain NumPy: every score computed, every item sorted."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from reclens.errors import InvalidInput, NotReady
from reclens_recommender.serving.ranking.approximate import NO_CANDIDATE, build_item_index

D_MODEL, N_ITEMS, N_CLUSTERS = 16, 6000, 40


@pytest.fixture(scope="module")
def planted() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Items around centres with biases that matter, and queries near centres."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(N_CLUSTERS, D_MODEL))
    items = centres[rng.integers(0, N_CLUSTERS, N_ITEMS)] + rng.normal(size=(N_ITEMS, D_MODEL)) / 2
    queries = centres[rng.integers(0, N_CLUSTERS, 300)] + rng.normal(size=(300, D_MODEL)) / 2
    biases = rng.normal(size=N_ITEMS) * 3
    tensors = (torch.from_numpy(part.astype(np.float32)) for part in (items, biases, queries))
    return tuple(tensors)  # pyright: ignore[reportReturnType]


def true_best(items: torch.Tensor, biases: torch.Tensor, x: torch.Tensor, n: int) -> np.ndarray:
    scores = x.double().numpy() @ items.double().numpy().T + biases.double().numpy()
    return np.argsort(-scores, axis=1)[:, :n]


def recall(found: torch.Tensor, truth: np.ndarray) -> float:
    hits = [len(set(a) & set(b)) for a, b in zip(found.tolist(), truth.tolist(), strict=True)]
    return sum(hits) / truth.size


def test_queries_that_it_was_not_measured_on_are_answered_as_well(planted) -> None:
    items, biases, x = planted
    index = build_item_index(items, biases, x[:150], wanted_recall=0.97)
    assert index.report.lists_searched < index.report.lists
    assert index.report.recall >= 0.97
    found = index.candidates(x[150:], 50)
    assert found.shape == (150, 50)
    assert recall(found, true_best(items, biases, x[150:], 10)) >= 0.93


def test_less_recall_searches_fewer_lists(planted) -> None:
    items, biases, x = planted
    little = build_item_index(items, biases, x[:100], wanted_recall=0.3)
    much = build_item_index(items, biases, x[:100], wanted_recall=0.999)
    assert little.report.lists_searched < much.report.lists_searched
    assert 0.3 <= little.report.recall < much.report.recall


def test_a_recall_of_one_finds_what_scoring_everything_finds(planted) -> None:
    items, biases, x = planted
    index = build_item_index(items, biases, x[:100], wanted_recall=1.0)
    assert index.report.recall == 1.0
    # Not only as sets: the candidates come in the order of the exact scores.
    truth = true_best(items, biases, x[:100], 10)
    assert np.array_equal(index.candidates(x[:100], 10).numpy(), truth)


def test_the_bias_counts(planted) -> None:
    items, biases, x = planted
    lifted = biases.clone()
    lifted[4321] = 1e4
    index = build_item_index(items, lifted, x[:100], wanted_recall=1.0)
    assert (index.candidates(x[100:], 1) == 4321).all()


def test_rows_are_filled_where_the_catalogue_is_small() -> None:
    items = torch.eye(4)
    index = build_item_index(items, torch.zeros(4), items, wanted_recall=0.2, n_lists=4)
    assert index.report.lists_searched == 1
    found = index.candidates(items[:2], 10)
    assert found[:, 0].tolist() == [0, 1]
    assert (found[:, 1:] == NO_CANDIDATE).all()


@pytest.mark.parametrize("wanted", [0.0, -0.5, 1.01])
def test_a_recall_that_cannot_be_is_refused(wanted: float) -> None:
    with pytest.raises(InvalidInput, match="recall") as raised:
        build_item_index(torch.eye(4), torch.zeros(4), torch.eye(4), wanted_recall=wanted)
    assert raised.value.field == "index_recall"


def test_nothing_to_measure_on_is_refused() -> None:
    with pytest.raises(InvalidInput, match="no representation"):
        build_item_index(torch.eye(4), torch.zeros(4), torch.empty(0, 4))


def test_without_the_library_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(NotReady, match="pip install") as raised:
        build_item_index(torch.eye(4), torch.zeros(4), torch.eye(4))
    assert raised.value.field == "index"
