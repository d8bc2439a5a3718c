"""The hand-written loss against PyTorch's own."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from reclens.recommenders.models.full_softmax import full_softmax_loss


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
