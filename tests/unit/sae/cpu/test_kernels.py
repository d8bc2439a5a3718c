"""Compiled selection beside PyTorch's, in shapes that fit no block of its loops."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import torch
from torch import Tensor

from reclens.sae.cpu import selection

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
    shift = draw.normal(d_model)
    indices, values = selection.top_k_of_products(x, weight, bias, shift, k)
    dense = ((x - shift).double() @ weight.double() + bias).float()
    torch.testing.assert_close(dense.gather(1, indices), values, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(
        values.sort(dim=1, descending=True).values, dense.topk(k).values, rtol=1e-4, atol=1e-5
    )
    assert all(len(set(row)) == k for row in indices.tolist())


def test_top_k_of_a_weight_that_is_stored_by_latent() -> None:
    draw = Draw(1)
    x, by_latent, bias = draw.normal(5, 6), draw.normal(33, 6), draw.normal(33)
    _, values = selection.top_k_of_products(x, by_latent.T, bias, torch.zeros(6), 4)
    torch.testing.assert_close(
        values.sort(dim=1, descending=True).values, (x @ by_latent.T + bias).topk(4).values
    )


@pytest.mark.parametrize("k", [1, 2, 3, 4, 5, 7])
def test_ties_at_the_edge_fill_k_with_any_of_the_equal_ones(k: int) -> None:
    bias = torch.tensor([1.0, 2.0, 2.0, 0.0, 2.0, 1.0, 3.0])
    indices, values = selection.top_k_of_products(
        torch.zeros(4, 2), torch.zeros(2, 7), bias, torch.zeros(2), k
    )
    for row, places in zip(values, indices, strict=True):
        assert sorted(row.tolist(), reverse=True) == [3.0, 2.0, 2.0, 2.0, 1.0, 1.0, 0.0][:k]
        assert len(set(places.tolist())) == k
        assert bias[places].tolist() == row.tolist()


CHILD = """
import hashlib, json, torch
torch.set_num_threads(1)
from reclens.sae import AutoencoderConfig, build_autoencoder
from reclens.sae.cpu import kernels, selection
from reclens.sae.training.fused import FusedDifferentiation
from reclens.sae.training.optimizer import AveragedSignDescent, ParameterState
from reclens.sae.training.dense import TrainingBatch
counts = [torch.get_num_threads()]
g = torch.Generator().manual_seed(0)
config = AutoencoderConfig(kind="matryoshka", n_latents=517, k=19, k_auxiliary=7)
x, last = torch.randn(331, 13, generator=g), torch.randn(517, 13, generator=g)
dead, taken = torch.arange(517) % 5 == 0, torch.randn(331, 19, generator=g)
digests = []
for threads in (1, 2, 1):
    torch.set_num_threads(threads)
    sae = build_autoencoder(config, 13)
    FusedDifferentiation(sae)(TrainingBatch(x, dead, 0, 0.0))
    gradients = [p.grad.clone() for p in sae.parameters()]
    moved = [ParameterState(n, p, unit_rows=n == "W_dec") for n, p in sae.named_parameters()]
    optimizer = AveragedSignDescent(moved)
    optimizer.step(0.1)
    results = [
        *selection.top_k_of_products(x, last.T, torch.zeros(517), torch.zeros(13), 19),
        selection.kth_largest(taken, 700), selection.kth_largest_of_rows(taken, 5),
        *gradients, *(p.detach() for p in sae.parameters()), *optimizer.state()[0].values(),
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
