from __future__ import annotations

import pytest
import torch

from reclens.sae.codes import Codes, combine_rows, gather_pre_activations

SPARSE, DENSE = 512, 24


def test_dense_puts_values_in_their_columns() -> None:
    codes = Codes(torch.tensor([[2, 0], [1, 2]]), torch.tensor([[3.0, 1.0], [5.0, 0.0]]))
    assert codes.dense(3).tolist() == [[1.0, 0.0, 3.0], [0.0, 5.0, 0.0]]


def test_combine_rows_adds_weighted_rows() -> None:
    weight = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    indices, values = torch.tensor([[2, 0], [1, 1]]), torch.tensor([[2.0, 3.0], [1.0, 4.0]])
    assert combine_rows(weight, indices, values).tolist() == [[5.0, 2.0], [0.0, 5.0]]


@pytest.mark.parametrize("n_latents", [SPARSE, DENSE], ids=["sparse", "dense"])
def test_gradients_equal_those_of_the_dense_products(n_latents: int) -> None:
    generator = torch.Generator().manual_seed(0)
    draw = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)  # noqa: E731
    x, W_enc, b_enc = draw(9, 5), draw(5, n_latents), draw(n_latents)
    W_dec, target = draw(n_latents, 5), draw(9, 5)
    inputs = [tensor.requires_grad_() for tensor in (x, W_enc, b_enc, W_dec)]

    indices = (x @ W_enc + b_enc).topk(4, dim=1).indices
    pre = (x @ W_enc + b_enc).detach()
    taken = gather_pre_activations(x, W_enc, b_enc, pre, indices)
    sparse = (combine_rows(W_dec, indices, taken.relu()) - target).square().sum()

    dense_pre = x @ W_enc + b_enc
    mask = torch.zeros_like(dense_pre).scatter(1, indices, 1.0)
    dense = ((dense_pre * mask).relu() @ W_dec - target).square().sum()

    assert sparse.item() == pytest.approx(dense.item())
    for got, want in zip(
        torch.autograd.grad(sparse, inputs), torch.autograd.grad(dense, inputs), strict=True
    ):
        torch.testing.assert_close(got, want)
