"""BatchTopK: the budget belongs to the batch in training, to a threshold in use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from reclens.sae import AutoencoderConfig, AutoencoderTrainer
from reclens.sae.activations.sources import SequenceSource
from reclens.sae.architectures.batchtopk import BatchTopKAutoencoder
from reclens.sae.training.dense import multiply_float32


def of_axes(n: int, k: int) -> BatchTopKAutoencoder:
    """Latent j is dimension j, so pre-activations are the activations themselves."""
    sae = BatchTopKAutoencoder(AutoencoderConfig(kind="batchtopk", n_latents=n, k=k), d_model=n)
    with torch.no_grad():
        sae.W_dec.copy_(torch.eye(n))
        sae.W_enc.copy_(torch.eye(n))
    return sae


def training_codes(sae: BatchTopKAutoencoder, x: torch.Tensor) -> torch.Tensor:
    """Activations in a step, after both ways to choose have been seen to agree."""
    values = sae.training_pass(x, multiply_float32, early=False).values.detach()
    indices, pre = sae.candidates(x, 0.0)[:2]
    assert torch.equal(torch.zeros_like(values).scatter_add(1, indices, pre.relu()), values)
    return values


def test_the_strongest_of_the_batch_fire_wherever_they_are() -> None:
    x = torch.tensor([[9.0, 8.0, 7.0, 6.0], [1.0, 5.0, 0.5, 0.0], [0.1, 0.2, 0.3, 4.0]])
    # 3 rows of k = 2: the six strongest are four of the first row, one of each other.
    assert training_codes(of_axes(4, k=2), x).tolist() == [
        [9.0, 8.0, 7.0, 6.0],
        [0.0, 5.0, 0.0, 0.0],
        [0.0, 0.0, 0.0, 4.0],
    ]


def test_a_row_may_be_left_without_latents() -> None:
    x = torch.tensor([[9.0, 8.0], [1.0, 2.0]])
    sae = of_axes(2, k=1)
    assert training_codes(sae, x).tolist() == [[9.0, 8.0], [0.0, 0.0]]
    forward = sae.training_pass(x, multiply_float32, early=False)
    assert forward.reconstructions[0].tolist() == [[9.0, 8.0], [0.0, 0.0]]


def test_no_row_gets_more_than_four_times_k() -> None:
    x = torch.tensor(
        [[9.0, 8.0, 7.0, 6.0, 5.0, 4.0]] + [[3.0 - i, 0, 0, 0, 0, 0] for i in range(5)]
    )
    # 6 rows of k = 1: the first has six strongest, gets four; 3 and 2 take what it leaves.
    assert (training_codes(of_axes(6, k=1), x) > 0).sum(1).tolist() == [4, 1, 1, 0, 0, 0]


def test_what_is_negative_does_not_fire_even_within_the_budget() -> None:
    x = torch.tensor([[3.0, -1.0], [-2.0, -4.0]])
    assert training_codes(of_axes(2, k=1), x).tolist() == [[3.0, 0.0], [0.0, 0.0]]


def test_the_threshold_is_the_mean_over_batches_of_what_their_budget_reaches() -> None:
    sae = of_axes(4, k=1).requires_grad_(False)
    # A quarter of standard normal numbers exceed 0.67449.
    assert sae.threshold.item() == pytest.approx(0.67449, abs=1e-5)
    sae.calibrate([])
    assert sae.threshold.item() == pytest.approx(0.67449, abs=1e-5)
    batches = [
        torch.tensor([[5.0, 4.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0]]),  # two reach 4
        torch.tensor([[2.0, 0.0, 0.0, 0.0], [7.0, 0.0, 0.0, 0.0]]),  # two reach 2
    ]
    sae.calibrate(batches)
    # Any number that two reach and three do not; the loops take one in between.
    edges = [(1.0, 4.0), (0.0, 2.0)]
    low, high = (sum(edge[side] for edge in edges) / 2 for side in (0, 1))
    assert low < sae.threshold.item() <= high
    assert sum(int((sae.encode(x).values > 0).sum()) for x in batches) in (3, 4)


def test_the_threshold_fits_the_final_weights_after_a_short_training(
    planted_activations: Callable[..., tuple[np.ndarray, np.ndarray]],
) -> None:
    x, _ = planted_activations(d_model=32, n_directions=64, n_active=4, rows=4000)
    config = AutoencoderConfig(kind="batchtopk", n_latents=128, k=4, n_epochs=2)
    trainer = AutoencoderTrainer(SequenceSource([x]), config)
    list(trainer.steps())
    fired = (trainer.sae.encode(torch.from_numpy(x)).values > 0).sum(1).float()
    assert fired.mean().item() == pytest.approx(4, rel=0.03)


def test_in_use_those_above_the_threshold_fire_whatever_the_batch() -> None:
    sae = of_axes(4, k=2).requires_grad_(False)
    sae.threshold.fill_(1.5)
    x = torch.tensor([[1.6, 9.0, 1.5, 2.0], [1.0, -3.0, 0.0, 1.4], [0.0, 0.0, 1.7, 0.0]])
    codes = sae.encode(x)
    assert codes.values.tolist() == [
        pytest.approx([9.0, 2.0, 1.6]),
        [0.0, 0.0, 0.0],
        pytest.approx([1.7, 0.0, 0.0]),
    ]
    assert codes.indices[0].tolist() == [1, 3, 0]
    assert codes.indices[2, 0] == 2
    torch.testing.assert_close(sae.encode(x[2:]).dense(4), codes.dense(4)[2:])


def test_no_threshold_lets_what_is_negative_fire() -> None:
    sae = of_axes(2, k=1).requires_grad_(False)
    sae.threshold.fill_(-5.0)
    assert sae.encode(torch.tensor([[-1.0, 2.0]])).dense(2).tolist() == [[0.0, 2.0]]


def test_l0_of_unseen_activations_is_near_k(trained_on_planted: Callable[[str], Any]) -> None:
    trained = trained_on_planted("batchtopk")
    fired = (trained.sae.encode(trained.unseen).dense(256) > 0).sum(1).float()
    assert fired.mean().item() == pytest.approx(4, rel=0.05)
    assert trained.report.l0 == pytest.approx(fired.mean().item())
    assert fired.std() > 0.1  # rows differ in how many they need
