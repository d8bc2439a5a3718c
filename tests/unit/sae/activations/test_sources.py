from __future__ import annotations

import numpy as np
import pytest
import torch

from reclens.errors import InvalidInput
from reclens.sae.activations.sources import RowShare, as_source, iterate_shards, load_shard

A = np.arange(6, dtype=np.float32).reshape(3, 2)
B = A[:1] + 100


@pytest.mark.parametrize(
    "x",
    [
        np.concatenate([A, B]),
        torch.from_numpy(np.concatenate([A, B])).requires_grad_(),
        [A, torch.from_numpy(B)],
        (shard for shard in [A, B]),
        np.concatenate([A, B]).astype(np.float16),
        np.concatenate([A, B]).astype(np.int64),
    ],
    ids=["array", "tensor", "list", "iterator", "float16", "int64"],
)
def test_any_form_gives_the_same_rows_at_every_pass(x: object) -> None:
    source = as_source(x)
    for _ in range(2):
        rows = np.concatenate(list(iterate_shards(source, None)))
        assert rows.dtype == np.float32
        np.testing.assert_array_equal(rows, np.concatenate([A, B]))


def test_a_source_is_taken_as_it_is() -> None:
    source = as_source([A, B])
    assert as_source(source) is source


def test_what_is_not_activations_is_refused() -> None:
    with pytest.raises(InvalidInput, match="float"):
        as_source(3.0)
    with pytest.raises(InvalidInput, match="shape"):
        load_shard(as_source(A[0]), 0, None)
    with pytest.raises(InvalidInput, match="<U"):
        load_shard(as_source(np.array([["a"]])), 0, None)


def test_another_width_names_d_model() -> None:
    with pytest.raises(InvalidInput, match="2 wide") as caught:
        load_shard(as_source(A), 0, 3)
    assert caught.value.field == "d_model"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_names_shard_and_row(value: float) -> None:
    bad = A.copy()
    bad[2, 1] = value
    with pytest.raises(InvalidInput, match="shard 1, row 2") as caught:
        list(iterate_shards(as_source([A, bad]), None))
    assert caught.value.field == "x[1][2]"


def test_sides_of_a_row_share_part_every_shard() -> None:
    shards = [np.arange(n, dtype=np.float32)[:, None] for n in (10, 1, 0, 25)]
    sides = {
        side: RowShare(as_source(shards), share=0.9, seed=5, side=side) for side in ("keep", "drop")
    }
    for i, shard in enumerate(shards):
        kept, dropped = (sides[side].load(i)[:, 0].tolist() for side in ("keep", "drop"))
        assert sorted(kept + dropped) == shard[:, 0].tolist()
        assert len(kept) == round(0.9 * len(shard))
    other = RowShare(as_source(shards), share=0.9, seed=6, side="drop")
    assert other.load(3).tolist() != sides["drop"].load(3).tolist()
