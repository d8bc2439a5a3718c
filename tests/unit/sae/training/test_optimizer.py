"""Sign descent with averaging, on numbers worked out by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from reclens.sae.training import optimizer as optimizer_module
from reclens.sae.training.optimizer import AveragedSignDescent, ParameterState


@pytest.fixture(autouse=True, params=["compiled", "torch"])
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "torch":
        monkeypatch.setattr(optimizer_module, "compiled_kernels", lambda device: None)


def parameter(*values: float) -> nn.Parameter:
    return nn.Parameter(torch.tensor(values))


def take(optimizer: AveragedSignDescent, rate: float, p: nn.Parameter, *grad: float) -> None:
    p.grad = torch.tensor(grad)
    optimizer.step(rate)


def test_two_steps_are_averaged_with_weights_t_squared_times_the_squared_rate() -> None:
    p = parameter(1.0)
    optimizer = AveragedSignDescent([ParameterState("p", p)])
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
    optimizer = AveragedSignDescent([ParameterState("p", p), ParameterState("other", other)])
    take(optimizer, 0.1, p, 0.0, 1.0)
    assert p.tolist() == pytest.approx([1.0, 1.9])
    assert other.item() == 3.0


def test_a_parameter_may_move_faster() -> None:
    p, fast = parameter(0.0), parameter(0.0)
    optimizer = AveragedSignDescent([ParameterState("p", p), ParameterState("fast", fast, 10.0)])
    fast.grad = torch.tensor([1.0])
    take(optimizer, 0.1, p, 1.0)
    assert (p.item(), fast.item()) == pytest.approx((-0.1, -1.0))


def test_a_restored_state_goes_on_as_if_nothing_had_happened() -> None:
    p = parameter(1.0, -1.0)
    whole = AveragedSignDescent([ParameterState("p", p)])
    take(whole, 0.1, p, 1.0, 2.0)
    tensors, numbers = whole.state()
    tensors = {name: value.clone() for name, value in tensors.items()}
    q = nn.Parameter(p.detach().clone())
    second = AveragedSignDescent([ParameterState("p", q)])
    second.restore(tensors, list(numbers))
    take(whole, 0.3, p, -1.0, 2.0)
    take(second, 0.3, q, -1.0, 2.0)
    assert torch.equal(p, q)
    whole.finish()
    second.finish()
    assert torch.equal(p, q)


def test_rows_of_unit_length_turn_and_keep_their_length() -> None:
    rows = nn.Parameter(torch.tensor([[1.0, 0.0], [0.6, 0.8]]))
    optimizer = AveragedSignDescent([ParameterState("rows", rows, unit_rows=True)])
    # What lies along the row (1, 0) is dropped: (0, 2) is left. (4, -3) lies across (0.6, 0.8).
    rows.grad = torch.tensor([[5.0, 2.0], [4.0, -3.0]])
    optimizer.step(0.1)
    expected = torch.tensor([[1.0, -0.1], [0.5, 0.9]])
    expected /= expected.norm(dim=1, keepdim=True)
    torch.testing.assert_close(rows.detach(), expected)
    optimizer.finish()
    torch.testing.assert_close(rows.detach(), expected)


def test_a_matrix_that_is_stored_by_column_moves_alike() -> None:
    by_column = nn.Parameter(torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]).T)
    assert not by_column.is_contiguous()
    optimizer = AveragedSignDescent([ParameterState("p", by_column)])
    by_column.grad = torch.tensor([[1.0, -1.0], [0.0, 1.0], [-2.0, 0.0]]).T
    optimizer.step(0.5)
    assert by_column.detach().T.tolist() == [[0.5, 2.5], [3.0, 3.5], [5.5, 6.0]]
