from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from reclens.sae.activations.batches import ShuffledBatches
from reclens.sae.activations.sources import SequenceSource

SIZES = [7, 0, 12, 5, 9]


class CountingSource(SequenceSource):
    """Remembers which shards were asked for."""

    def __init__(self, shards: list[np.ndarray]) -> None:
        super().__init__(shards)
        self.loaded: list[int] = []

    def load(self, i: int) -> np.ndarray:
        self.loaded.append(i)
        return super().load(i)


def batches(pool_bytes: int = 1 << 20, seed: int = 0) -> tuple[ShuffledBatches, CountingSource]:
    starts = np.cumsum([0, *SIZES])
    source = CountingSource(
        [np.arange(a, b, dtype=np.float32)[:, None] for a, b in itertools.pairwise(starts.tolist())]
    )
    made = ShuffledBatches(
        source, SIZES, mean=np.zeros(1), scale=1.0, batch_size=4, seed=seed, pool_bytes=pool_bytes
    )
    return made, source


@pytest.mark.parametrize("pool_bytes", [1, 60, 1 << 20])
def test_every_row_comes_once_an_epoch(pool_bytes: int) -> None:
    made, _ = batches(pool_bytes)
    drawn = list(made.from_step(0, 3))
    assert len(drawn) == 3 * made.per_epoch
    for epoch in range(3):
        part = drawn[epoch * made.per_epoch : (epoch + 1) * made.per_epoch]
        assert sorted(torch.cat(part).flatten().tolist()) == list(range(sum(SIZES)))


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    made, _ = batches()
    flat = torch.cat(list(made.from_step(0, 2))).flatten().tolist()
    first, second = flat[: sum(SIZES)], flat[sum(SIZES) :]
    assert first != second
    assert first != sorted(first)
    other, _ = batches(seed=1)
    assert torch.cat(list(other.from_step(0, 1))).flatten().tolist() != first


@pytest.mark.parametrize("pool_bytes", [1, 60, 1 << 20])
def test_any_step_can_be_started_from(pool_bytes: int) -> None:
    made, _ = batches(pool_bytes)
    whole = [batch.tolist() for batch in made.from_step(0, 3)]
    for step in range(len(whole) + 1):
        again, _ = batches(pool_bytes)
        assert [batch.tolist() for batch in again.from_step(step, 3)] == whole[step:]


def test_batches_are_full_or_nearly() -> None:
    made, _ = batches()
    # 33 rows in batches of at most 4: nine batches of 3 or 4
    assert sorted({len(batch) for batch in made.from_step(0, 1)}) == [3, 4]


def test_small_data_are_read_once_and_large_data_pool_by_pool() -> None:
    small, small_source = batches()
    list(small.from_step(0, 3))
    assert sorted(small_source.loaded) == [0, 2, 3, 4]
    large, large_source = batches(pool_bytes=1)
    list(large.from_step(0, 1))
    assert sorted(large_source.loaded) == [0, 2, 3, 4]
    list(large.from_step(0, 2))
    assert len(large_source.loaded) > 8


def test_rows_are_centred_and_scaled_without_touching_the_source() -> None:
    x = np.array([[1.0], [3.0]], np.float32)
    made = ShuffledBatches(
        SequenceSource([x]), [2], mean=np.array([2.0]), scale=0.5, batch_size=2, seed=0
    )
    (batch,) = made.from_step(0, 1)
    assert sorted(batch.flatten().tolist()) == [-2.0, 2.0]
    assert x.flatten().tolist() == [1.0, 3.0]
