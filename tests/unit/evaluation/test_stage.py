"""What the evaluation's stage reads itself: divisions of users and their representations."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from reclens.contracts import AutoencoderConfig
from reclens.sae.architectures.registry import build_autoencoder
from reclens_recommender.stages.evaluate import choose_users
from reclens_recommender.stages.held_out import (
    OriginShards,
    count_origins,
    measure_origins,
    representations,
    split_of_user,
)


@pytest.fixture
def shards(tmp_path: Path) -> list[Path]:
    """Five cases of three users in two files; the case's number is in its representation."""
    rows = [("a", "test"), ("a", "test"), ("b", "verify"), ("b", "verify"), ("c", "test")]
    paths = []
    for index, part in enumerate((slice(0, 3), slice(3, 5))):
        users, splits = zip(*rows[part], strict=True)
        numbers = np.arange(5, dtype=np.float16)[part]
        x = np.stack([numbers, -numbers], axis=1)
        table = pa.table(
            {
                "user_id": list(users),
                "split": list(splits),
                "origin": ["learned" if user == "a" else "folded" for user in users],
                "representation": pa.FixedSizeListArray.from_arrays(pa.array(x.ravel()), 2),
            }
        )
        paths.append(tmp_path / f"{index}.parquet")
        pq.write_table(table, paths[-1])
    return paths


def test_every_user_has_one_division(shards: list[Path]) -> None:
    assert split_of_user(shards) == {"a": "test", "b": "verify", "c": "test"}


def test_representations_keep_their_order_over_files(shards: list[Path]) -> None:
    x = representations(shards, "test")
    assert x.dtype == np.float32
    assert x.tolist() == [[0.0, 0.0], [1.0, -1.0], [4.0, -4.0]]
    assert len(representations(shards, "construct")) == 0


def test_origins_are_counted_and_told_apart(shards: list[Path]) -> None:
    assert count_origins(shards) == {
        "learned": {"cases": 2, "users": 1},
        "folded": {"cases": 3, "users": 2},
    }
    folded = OriginShards(shards, "folded")
    assert [folded.load(i)[:, 0].tolist() for i in range(len(folded))] == [[2.0], [3.0, 4.0]]


def test_each_origin_has_its_own_variance(shards: list[Path]) -> None:
    sae = build_autoencoder(AutoencoderConfig.parse({"n_latents": 4, "k": 1, "n_epochs": 0}), 2)
    found = measure_origins(sae, shards, shards)
    x = np.arange(5)[:, None] * np.array([1.0, -1.0])
    x_hat = sae(torch.tensor(x, dtype=torch.float32)).detach().numpy()
    for origin, rows in {"learned": slice(0, 2), "folded": slice(2, 5)}.items():
        own = x[rows]
        variance = np.square(own - own.mean(axis=0)).sum()
        expected = np.square(own - x_hat[rows]).sum() / variance
        assert found[origin]["fvu"] == pytest.approx(expected, rel=1e-4)
        assert found[origin]["cases"] == len(own)


def test_one_origin_is_counted_alone(shards: list[Path]) -> None:
    one = shards[1:]
    sae = build_autoencoder(AutoencoderConfig.parse({"n_latents": 4, "k": 1}), 2)
    assert measure_origins(sae, one, one) == {"folded": {"cases": 2, "users": 2}}


def test_test_users_come_before_a_draw_of_the_others() -> None:
    splits = {user: "test" if user in {3, 40, 77} else "construct" for user in range(100)}
    assert choose_users(splits, 100, seed=0) == list(range(100))
    chosen = choose_users(splits, 10, seed=0)
    assert chosen == sorted(chosen)
    assert len(set(chosen)) == 10
    assert {3, 40, 77} <= set(chosen)
    assert chosen != choose_users(splits, 10, seed=1)
