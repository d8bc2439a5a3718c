"""Products of active latents: compiled, by PyTorch, and densely, must agree."""

from __future__ import annotations

import pytest
import torch

from reclens.sae import codes as codes_module
from reclens.sae import kernels
from reclens.sae.codes import Active, Codes


@pytest.fixture(params=["compiled", "torch"])
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "torch":
        monkeypatch.setattr(codes_module, "compiled_kernels", lambda device: None)
    return request.param


def test_dense_puts_values_in_their_columns() -> None:
    codes = Codes(torch.tensor([[2, 0], [1, 2]]), torch.tensor([[3.0, 1.0], [5.0, 0.0]]))
    assert codes.dense(3).tolist() == [[1.0, 0.0, 3.0], [0.0, 5.0, 0.0]]


@pytest.mark.usefixtures("backend")
def test_combine_adds_weighted_rows_by_group() -> None:
    weight = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    active = Active(torch.tensor([[2, 0], [1, 1]]), 3)
    values = torch.tensor([[2.0, 3.0], [1.0, 4.0]])
    assert active.combine(weight, values).tolist() == [[[5.0, 2.0], [0.0, 5.0]]]
    group = torch.tensor([0, 1, 1])
    assert active.combine(weight, values, group, 2).tolist() == [
        [[3.0, 0.0], [0.0, 0.0]],
        [[2.0, 2.0], [0.0, 5.0]],
    ]


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("n_groups", [1, 3])
def test_gradients_equal_those_of_the_dense_products(n_groups: int) -> None:
    generator = torch.Generator().manual_seed(0)
    n_latents = 40
    draw = lambda *shape: torch.randn(*shape, generator=generator)  # noqa: E731
    x, W_enc, b_enc, b_dec = draw(9, 5), draw(5, n_latents), draw(n_latents), draw(5)
    W_dec, target = draw(n_latents, 5), draw(n_groups, 9, 5)
    inputs = [tensor.requires_grad_() for tensor in (W_enc, b_enc, b_dec, W_dec)]
    group = torch.randint(n_groups, (n_latents,), generator=generator)

    pre = ((x - b_dec) @ W_enc + b_enc).detach()
    taken, indices = pre.topk(6, dim=1, sorted=False)
    active = Active(indices, n_latents)
    values = active.pre_activations(x, W_enc, b_enc, b_dec, taken).relu()
    sparse = (active.combine(W_dec, values, group, n_groups) - target).square().sum()

    dense_pre = (x - b_dec) @ W_enc + b_enc
    mask = torch.zeros_like(dense_pre).scatter(1, indices, 1.0)
    z = (dense_pre * mask).relu()
    levels = torch.stack([(z * (group == g)) @ W_dec for g in range(n_groups)])
    dense = (levels - target).square().sum()

    assert sparse.item() == pytest.approx(dense.item())
    for got, want in zip(
        torch.autograd.grad(sparse, inputs), torch.autograd.grad(dense, inputs), strict=True
    ):
        torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("n", "k"), [(2048, 32), (1024, 16), (100, 7), (64, 64), (16, 1), (33, 32), (3, 2)]
)
def test_top_k_finds_what_a_sort_finds(n: int, k: int) -> None:
    generator = torch.Generator().manual_seed(n)
    x, weight = torch.randn(50, 8, generator=generator), torch.randn(8, n, generator=generator)
    bias = torch.randn(n, generator=generator)
    values, indices = kernels.top_k(x, weight, bias, k)
    pre = x @ weight + bias
    torch.testing.assert_close(
        values.sort(dim=1, descending=True).values, pre.sort(dim=1, descending=True).values[:, :k]
    )
    torch.testing.assert_close(pre.gather(1, indices), values)
    assert all(len(set(row.tolist())) == k for row in indices)


@pytest.mark.parametrize("row", [[0.0] * 40, [1.0] * 20 + [0.0] * 20, [-(2.0**100), 2.0**100] * 20])
def test_top_k_takes_k_different_latents_of_equal_ones(row: list[float]) -> None:
    values, indices = kernels.top_k(torch.zeros(1, 4), torch.zeros(4, 40), torch.tensor(row), 30)
    assert len(set(indices[0].tolist())) == 30
    assert values[0].sort(descending=True).values.tolist() == sorted(row, reverse=True)[:30]


def test_top_k_of_numbers_that_are_not_finite_stays_in_bounds() -> None:
    bias = torch.zeros(64)
    bias[::2] = -torch.inf
    x = torch.tensor([[torch.nan], [torch.inf], [0.0]])
    _, indices = kernels.top_k(x, torch.ones(1, 64), bias, 8)
    assert int(indices.min()) >= 0
    assert int(indices.max()) < 64


def test_bytes_do_not_depend_on_the_number_of_threads() -> None:
    generator = torch.Generator().manual_seed(1)
    indices = torch.randint(300, (500, 8), generator=generator)
    values, weight = torch.rand(500, 8, generator=generator), torch.randn(300, 16)
    rows, group = torch.randn(1, 500, 16), torch.zeros(300, dtype=torch.int64)

    def products() -> list[torch.Tensor]:
        return [
            kernels.combine(weight, indices, values, group, 1),
            kernels.dot(weight, indices, rows, group),
            kernels.ByLatent(indices, 300).outer(values, rows, group),
        ]

    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = products()
        torch.set_num_threads(2)
        two = products()
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("k", [1, 10, 999, 1000])
def test_kth_largest_is_reached_by_k(k: int) -> None:
    values = torch.randn(10, 100, generator=torch.Generator().manual_seed(k))
    assert int((values >= codes_module.kth_largest(values, k)).sum()) == k
