"""Selection of the largest: by compiled loops and by PyTorch alike."""

from __future__ import annotations

import pytest
import torch

from reclens.sae.cpu import selection


@pytest.fixture(params=["compiled", "torch"])
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "torch":
        monkeypatch.setattr(selection, "compiled_kernels", lambda device: None)
    return request.param


@pytest.mark.parametrize(
    ("n", "k"), [(2048, 32), (1024, 16), (100, 7), (64, 64), (16, 1), (33, 32), (3, 2)]
)
def test_top_k_finds_what_a_sort_finds(n: int, k: int) -> None:
    generator = torch.Generator().manual_seed(n)
    x, weight = torch.randn(50, 8, generator=generator), torch.randn(8, n, generator=generator)
    bias = torch.randn(n, generator=generator)
    indices, values = selection.top_k_of_products(x, weight, bias, torch.zeros(8), k)
    pre = x @ weight + bias
    torch.testing.assert_close(
        values.sort(dim=1, descending=True).values, pre.sort(dim=1, descending=True).values[:, :k]
    )
    torch.testing.assert_close(pre.gather(1, indices), values)
    assert all(len(set(row.tolist())) == k for row in indices)


@pytest.mark.parametrize("row", [[0.0] * 40, [1.0] * 20 + [0.0] * 20, [-(2.0**100), 2.0**100] * 20])
def test_top_k_takes_k_different_latents_of_equal_ones(row: list[float]) -> None:
    indices, values = selection.top_k_of_products(
        torch.zeros(1, 4), torch.zeros(4, 40), torch.tensor(row), torch.zeros(4), 30
    )
    assert len(set(indices[0].tolist())) == 30
    assert values[0].sort(descending=True).values.tolist() == sorted(row, reverse=True)[:30]


def test_top_k_of_numbers_that_are_not_finite_stays_in_bounds() -> None:
    bias = torch.zeros(64)
    bias[::2] = -torch.inf
    x = torch.tensor([[torch.nan], [torch.inf], [0.0]])
    indices, _ = selection.top_k_of_products(x, torch.ones(1, 64), bias, torch.zeros(1), 8)
    assert int(indices.min()) >= 0
    assert int(indices.max()) < 64


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("k", [1, 10, 999, 1000])
def test_kth_largest_is_reached_by_k(k: int) -> None:
    values = torch.randn(10, 100, generator=torch.Generator().manual_seed(k))
    assert int((values >= selection.kth_largest(values, k)).sum()) == k


@pytest.mark.usefixtures("backend")
def test_kth_largest_of_rows_is_reached_by_k_of_each_row() -> None:
    values = torch.tensor([[3.0, 1.0, 2.0, -5.0], [0.0, 0.5, -1.0, 7.0]])
    for k in (1, 2, 3, 4):
        reached = values >= selection.kth_largest_of_rows(values, k)
        assert reached.sum(1).tolist() == [k, k]


@pytest.mark.usefixtures("backend")
def test_what_reaches_the_edge_is_kept_as_narrow_as_the_longest_row() -> None:
    indices = torch.tensor([[5, 6, 7], [8, 9, 4], [1, 2, 3]])
    values = torch.tensor([[0.5, 2.0, 0.4], [2.0, 3.0, 1.0], [0.1, 0.2, 0.3]])
    kept, reached = selection.keep_reaching(indices, values, torch.tensor(1.5))
    assert reached.shape == (3, 2)
    rows = [
        {int(i): float(v) for i, v in zip(*row, strict=True) if v > 0}
        for row in zip(kept, reached, strict=True)
    ]
    assert rows == [{6: 2.0}, {8: 2.0, 9: 3.0}, {}]
    assert reached[2].tolist() == [-1.0, -1.0]


@pytest.mark.usefixtures("backend")
def test_nothing_that_reaches_the_edge_leaves_one_entry_a_row() -> None:
    _, reached = selection.keep_reaching(
        torch.tensor([[1, 2]]), torch.tensor([[0.5, 0.7]]), torch.tensor(1.0)
    )
    assert reached.tolist() == [[-1.0]]
