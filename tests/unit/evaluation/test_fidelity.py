"""Fidelity on a model whose scores are its item vectors' coordinates."""

from __future__ import annotations

from math import log2

import numpy as np
import pytest

from reclens.contracts import BprMfConfig
from reclens.data import Dataset, Interactions, Items, Split, Users
from reclens.evaluation.fidelity import (
    fidelity_rows,
    held_out_users,
    popularity_quality,
    summarise_fidelity,
)
from reclens.recommenders import build_recommender, evaluate

N_ITEMS = 12


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    """Five users with seven items each (the last is test), and one who has too few for a test."""
    rng = np.random.default_rng(5)
    histories = [rng.permutation(N_ITEMS)[:7] for _ in range(5)] + [np.array([0, 1])]
    item_index = np.concatenate(histories).astype(np.int32)
    split = np.concatenate(
        [[Split.TRAIN] * (len(h) - 2) + [Split.VALID, Split.TEST] for h in histories[:5]]
        + [[Split.TRAIN] * 2]
    ).astype(np.uint8)
    users = np.repeat(np.arange(6), [len(h) for h in histories]).astype(np.int32)
    return Dataset(
        Interactions(users, item_index, np.arange(len(users), dtype=np.int64), None, split),
        Items(
            [f"i{item}" for item in range(N_ITEMS)],
            [""] * N_ITEMS,
            [[] for _ in range(N_ITEMS)],
            [None] * N_ITEMS,
            np.bincount(item_index[split == Split.TRAIN], minlength=N_ITEMS).astype(np.int32),
        ),
        Users([f"u{user}" for user in range(6)], [{} for _ in range(6)]),
    )


@pytest.fixture(scope="module")
def model(dataset: Dataset):
    return build_recommender(BprMfConfig(d_model=4), 6, N_ITEMS, seed=0).eval()


def rows_of(model, dataset: Dataset, **replacements):
    users = held_out_users(dataset, range(dataset.n_users))
    return list(
        fidelity_rows(model, model.site, users, replacements, ks=(3, 5), overlap_at=3, batch_size=2)
    )


def of(rows, variant: str, measure: str) -> np.ndarray:
    return np.array([row[measure] for row in rows if row["variant"] == variant])


def test_a_user_without_test_items_has_nothing_to_find(dataset: Dataset) -> None:
    assert [user.user_index for user in held_out_users(dataset, [5, 0, 3])] == [0, 3]


def test_base_is_the_models_own_evaluation(model, dataset: Dataset) -> None:
    rows = rows_of(model, dataset)
    expected = evaluate(model, dataset, Split.TEST, ks=(3, 5))
    for name, value in expected.items():
        assert of(rows, "base", name).mean() == pytest.approx(value)


def test_the_same_vector_gives_the_same_answer(model, dataset: Dataset) -> None:
    rows = rows_of(model, dataset, same=lambda x: x.clone())
    for measure in ("hr@3", "ndcg@5"):
        assert of(rows, "same", measure).tolist() == of(rows, "base", measure).tolist()
    assert of(rows, "same", "overlap@3").tolist() == [1.0] * 5
    assert of(rows, "same", "kendall") == pytest.approx(np.ones(5))


def test_the_opposite_vector_turns_the_ranking_round(model, dataset: Dataset) -> None:
    rows = rows_of(model, dataset, opposite=lambda x: -x)
    assert of(rows, "opposite", "kendall") == pytest.approx(-np.ones(5))
    assert of(rows, "opposite", "spearman") == pytest.approx(-np.ones(5))
    # Six unseen items: the best three of one are the worst three of the other.
    assert of(rows, "opposite", "overlap@3").tolist() == [0.0] * 5


def test_popularity_is_ranked_like_a_model(dataset: Dataset) -> None:
    popularity = dataset.items.popularity
    expected = []
    for user in range(5):
        history = dataset.history(user, (Split.TRAIN, Split.VALID))
        target = int(dataset.history(user, (Split.TEST,))[0])
        order = sorted(set(range(N_ITEMS)) - set(history.tolist()), key=lambda i: -popularity[i])
        rank = 1 + order.index(target)
        expected.append(1 / log2(rank + 1) if rank <= 3 else 0.0)
    assert popularity_quality(dataset, (3,))["ndcg@3"] == pytest.approx(np.mean(expected))


def test_summary_pairs_users() -> None:
    base, other = [0.5, 0.1, 0.9], [0.4, 0.0, 0.8]
    rows = [
        {
            "user_id": f"u{user}",
            "split": split,
            "origin": "history",
            "variant": variant,
            "ndcg@5": 0.0,
            "ndcg@10": value,
        }
        for variant, values in (("base", base), ("reconstruction", other))
        for user, (value, split) in enumerate(
            zip(values, ["construct", "test", "test"], strict=True)
        )
    ]
    summary = summarise_fidelity(rows, seed=0)["history"]
    assert summary["held_out"]["users"] == 3
    assert summary["test"]["users"] == 2
    assert summary["held_out"]["variants"]["base"]["ndcg@10"] == pytest.approx(0.5)
    assert summary["test"]["variants"]["reconstruction"]["ndcg@10"] == pytest.approx(0.4)
    # Every user loses 0.1, so the difference is certain although the means are not.
    difference = summary["held_out"]["difference"]["reconstruction"]["ndcg@10"]
    assert difference == pytest.approx([-0.1, -0.1, -0.1])
    low, high = summary["held_out"]["variants"]["base"]["intervals"]["ndcg@10"]
    assert low < 0.5 < high
