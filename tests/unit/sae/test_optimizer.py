"""Sign descent with averaging, on numbers worked out by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from reclens.sae.optimizer import AveragedSignDescent


def parameter(*values: float) -> nn.Parameter:
    return nn.Parameter(torch.tensor(values))


def take(optimizer: AveragedSignDescent, rate: float, p: nn.Parameter, *grad: float) -> None:
    p.grad = torch.tensor(grad)
    optimizer.step(rate)


def test_two_steps_are_averaged_with_weights_t_squared_times_the_squared_rate() -> None:
    p = parameter(1.0)
    optimizer = AveragedSignDescent([("p", p, 1.0)])
    take(optimizer, 0.1, p, 30.0)
    assert p.item() == pytest.approx(0.9)
    take(optimizer, 0.2, p, -0.001)
    # z = 0.9 + 0.2; weights 1 · 0.01 and 4 · 0.04; x = (0.01 · 0.9 + 0.16 · 1.1) / 0.17
    x = (0.01 * 0.9 + 0.16 * 1.1) / 0.17
    assert p.item() == pytest.approx(0.2 * 1.1 + 0.8 * x)
    assert p.grad is None
    optimizer.finish()
    assert p.item() == pytest.approx(x)


def test_what_has_no_gradient_stays() -> None:
    p, other = parameter(1.0, 2.0), parameter(3.0)
    optimizer = AveragedSignDescent([("p", p, 1.0), ("other", other, 1.0)])
    take(optimizer, 0.1, p, 0.0, 1.0)
    assert p.tolist() == pytest.approx([1.0, 1.9])
    assert other.item() == 3.0


def test_a_parameter_may_move_faster() -> None:
    p, fast = parameter(0.0), parameter(0.0)
    optimizer = AveragedSignDescent([("p", p, 1.0), ("fast", fast, 10.0)])
    fast.grad = torch.tensor([1.0])
    take(optimizer, 0.1, p, 1.0)
    assert (p.item(), fast.item()) == pytest.approx((-0.1, -1.0))


def test_a_restored_state_goes_on_as_if_nothing_had_happened() -> None:
    p = parameter(1.0, -1.0)
    whole = AveragedSignDescent([("p", p, 1.0)])
    take(whole, 0.1, p, 1.0, 2.0)
    tensors, numbers = whole.state()
    tensors = {name: value.clone() for name, value in tensors.items()}
    q = nn.Parameter(p.detach().clone())
    second = AveragedSignDescent([("p", q, 1.0)])
    second.restore(tensors, list(numbers))
    take(whole, 0.3, p, -1.0, 2.0)
    take(second, 0.3, q, -1.0, 2.0)
    assert torch.equal(p, q)
    whole.finish()
    second.finish()
    assert torch.equal(p, q)
