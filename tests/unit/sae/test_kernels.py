"""Compiled loops beside PyTorch's dense products, in shapes that fit no block of theirs."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import torch
from torch import Tensor

from reclens.sae import kernels

# (batch, d_model, n_latents, width): batch not a multiple of 3 nor of the 24 rows taken at a time,
# d_model not of 4, n_latents not of the lanes nor of the 1024 columns.
SHAPES = [
    (1, 1, 1, 1),
    (2, 3, 5, 5),
    (4, 7, 100, 1),
    (25, 6, 67, 9),
    (47, 13, 1025, 17),
    (50, 64, 300, 300),
]


class Draw:
    """Random tensors of one seed."""

    def __init__(self, seed: int = 0) -> None:
        self._generator = torch.Generator().manual_seed(seed)

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(*shape, generator=self._generator)

    def below(self, n: int, *shape: int) -> Tensor:
        return torch.randint(n, shape, generator=self._generator)


@pytest.mark.parametrize(("batch", "d_model", "n", "k"), SHAPES)
def test_top_k_is_that_of_the_dense_product(batch: int, d_model: int, n: int, k: int) -> None:
    draw = Draw()
    x, weight, bias = draw.normal(batch, d_model), draw.normal(d_model, n), draw.normal(n)
    values, indices = kernels.top_k(x, weight, bias, k)
    dense = (x.double() @ weight.double() + bias).float()
    torch.testing.assert_close(dense.gather(1, indices), values, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(
        values.sort(dim=1, descending=True).values, dense.topk(k).values, rtol=1e-4, atol=1e-5
    )
    assert all(len(set(row)) == k for row in indices.tolist())


def test_top_k_of_a_weight_that_is_stored_by_latent() -> None:
    draw = Draw(1)
    x, by_latent, bias = draw.normal(5, 6), draw.normal(33, 6), draw.normal(33)
    values, _ = kernels.top_k(x, by_latent.T, bias, 4)
    torch.testing.assert_close(
        values.sort(dim=1, descending=True).values, (x @ by_latent.T + bias).topk(4).values
    )


@pytest.mark.parametrize("k", [1, 2, 3, 4, 5, 7])
def test_ties_at_the_edge_fill_k_with_any_of_the_equal_ones(k: int) -> None:
    bias = torch.tensor([1.0, 2.0, 2.0, 0.0, 2.0, 1.0, 3.0])
    values, indices = kernels.top_k(torch.zeros(4, 2), torch.zeros(2, 7), bias, k)
    for row, places in zip(values, indices, strict=True):
        assert sorted(row.tolist(), reverse=True) == [3.0, 2.0, 2.0, 2.0, 1.0, 1.0, 0.0][:k]
        assert len(set(places.tolist())) == k
        assert bias[places].tolist() == row.tolist()


@pytest.mark.parametrize("n_groups", [1, 3])
@pytest.mark.parametrize(("batch", "d_model", "n", "width"), SHAPES)
def test_products_are_those_of_dense_codes(
    batch: int, d_model: int, n: int, width: int, n_groups: int
) -> None:
    draw = Draw(2)
    # Latents may come twice in a row, and some values are 0.
    indices, weight = draw.below(n, batch, width), draw.normal(n, d_model)
    values = draw.normal(batch, width).relu()
    rows, group = draw.normal(n_groups, batch, d_model), draw.below(n_groups, n)
    z = torch.zeros(batch, n).scatter_add(1, indices, values)
    member = torch.stack([group == g for g in range(n_groups)]).float()

    tolerance = {"rtol": 1e-4, "atol": 1e-4}
    torch.testing.assert_close(
        kernels.combine(weight, indices, values, group, n_groups),
        torch.stack([(z * m) @ weight for m in member]),
        **tolerance,
    )
    torch.testing.assert_close(
        kernels.dot(weight, indices, rows, group),
        torch.einsum("gbd,nd,gn->bn", rows, weight, member).gather(1, indices),
        **tolerance,
    )
    torch.testing.assert_close(
        kernels.ByLatent(indices, n).outer(values, rows, group),
        torch.einsum("bn,gbd,gn->nd", z, rows, member),
        **tolerance,
    )


def test_a_latent_without_entries_gets_zeros() -> None:
    by_latent = kernels.ByLatent(torch.tensor([[3, 3]]), 5)
    out = by_latent.outer(torch.tensor([[1.0, 2.0]]), torch.ones(1, 1, 2), torch.zeros(5).long())
    assert out.tolist() == [[0, 0], [0, 0], [0, 0], [3, 3], [0, 0]]


CHILD = """
import hashlib, json, torch
torch.set_num_threads(1)
from reclens.sae import kernels
counts = [torch.get_num_threads()]
g = torch.Generator().manual_seed(0)
x, weight, bias = (torch.randn(s, generator=g) for s in [(331, 13), (13, 517), (517,)])
values, group = torch.randn(331, 19, generator=g), torch.randint(2, (517,), generator=g)
rows, W_dec = torch.randn(2, 331, 13, generator=g), weight.T.contiguous()
digests = []
for threads in (1, 2, 1):
    torch.set_num_threads(threads)
    taken, indices = kernels.top_k(x, weight, bias, 19)
    results = [
        taken, indices,
        kernels.kth_largest(taken, 700),
        kernels.combine(W_dec, indices, values, group, 2),
        kernels.dot(W_dec, indices, rows, group),
        kernels.ByLatent(indices, 517).outer(values, rows, group),
    ]
    digests.append([hashlib.sha256(r.numpy().tobytes()).hexdigest() for r in results])
    counts.append(torch.get_num_threads())
print(json.dumps({"counts": counts, "digests": digests, "most": kernels._MAX_THREADS}))
"""


def test_threads_change_no_bytes_and_are_left_as_they_were() -> None:
    environment = {**os.environ, "NUMBA_NUM_THREADS": "2"}
    environment.pop("OMP_NUM_THREADS", None)
    done = subprocess.run(
        [sys.executable, "-c", CHILD], env=environment, capture_output=True, text=True, check=True
    )
    told = json.loads(done.stdout)
    assert told["most"] == 2
    assert told["counts"] == [1, 1, 2, 1]
    one, two, again = told["digests"]
    assert one == two == again
