"""Sparse codes: the few latents that fire for an activation, and products that touch only them."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

DENSE_BELOW = 32
"""A code matrix with fewer than this many latents per active one is multiplied densely: gathering
rows moves more memory than the matrix product computes."""


class Codes(NamedTuple):
    """Active latents of a batch, strongest first."""

    indices: Int[Tensor, "batch k"]
    """Latents, int64."""
    values: Float[Tensor, "batch k"]
    """Their activations, float32, falling and never negative. Zero: the latent does not fire."""

    def dense(self, n_latents: int) -> Float[Tensor, "batch n_latents"]:
        """The same codes with a column per latent."""
        return scatter_codes(self.indices, self.values, n_latents)


def scatter_codes(
    indices: Int[Tensor, "batch k"], values: Float[Tensor, "batch k"], n_latents: int
) -> Float[Tensor, "batch n_latents"]:
    """The matrix whose row b holds ``values[b]`` at the columns ``indices[b]``."""
    return values.new_zeros(len(values), n_latents).scatter_add_(1, indices, values)


def combine_rows(
    weight: Float[Tensor, "n_latents d_model"],
    indices: Int[Tensor, "batch k"],
    values: Float[Tensor, "batch k"],
) -> Float[Tensor, "batch d_model"]:
    """``out[b] = Σ_j values[b, j] · weight[indices[b, j]]``, with a sparse gradient."""
    return _CombineRows.apply(weight, indices, values)  # type: ignore[no-any-return]


def gather_pre_activations(
    x: Float[Tensor, "batch d_model"],
    W_enc: Float[Tensor, "d_model n_latents"],  # noqa: N803 - the parameter's name
    b_enc: Float[Tensor, " n_latents"],
    pre: Float[Tensor, "batch n_latents"],
    indices: Int[Tensor, "batch k"],
) -> Float[Tensor, "batch k"]:
    """Take ``pre = x W_enc + b_enc`` at ``indices``; the gradient touches only those latents."""
    return _GatherPreActivations.apply(x, W_enc, b_enc, pre, indices)  # type: ignore[no-any-return]


def _sum_outer(
    indices: Int[Tensor, "batch k"],
    values: Float[Tensor, "batch k"],
    x: Float[Tensor, "batch d_model"],
    n_latents: int,
) -> Float[Tensor, "n_latents d_model"]:
    """``Zᵀ x`` of the sparse code matrix ``Z``."""
    k = indices.shape[1]
    if k * DENSE_BELOW > n_latents:
        return scatter_codes(indices, values, n_latents).T @ x
    rows = (values[:, :, None] * x[:, None, :]).flatten(0, 1)
    return x.new_zeros(n_latents, x.shape[1]).index_add_(0, indices.flatten(), rows)


class _CombineRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor, indices: Tensor, values: Tensor) -> Tensor:
        ctx.save_for_backward(weight, indices, values)
        return functional.embedding_bag(indices, weight, per_sample_weights=values, mode="sum")

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (grad,) = grads
        weight, indices, values = ctx.saved_tensors
        grad_weight = grad_values = None
        if ctx.needs_input_grad[0]:
            grad_weight = _sum_outer(indices, values, grad, len(weight))
        if ctx.needs_input_grad[2]:
            if indices.shape[1] * DENSE_BELOW > len(weight):
                grad_values = (grad @ weight.T).gather(1, indices)
            else:
                grad_values = (functional.embedding(indices, weight) * grad[:, None, :]).sum(-1)
        return grad_weight, None, grad_values


class _GatherPreActivations(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *inputs: Tensor) -> Tensor:
        x, W_enc, _, pre, indices = inputs
        ctx.save_for_backward(x, W_enc, indices)
        return pre.gather(1, indices)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (grad,) = grads
        x, W_enc, indices = ctx.saved_tensors
        n_latents = W_enc.shape[1]
        grad_x = None
        if ctx.needs_input_grad[0]:
            rows = W_enc.T.contiguous()
            grad_x = functional.embedding_bag(indices, rows, per_sample_weights=grad, mode="sum")
        grad_W = _sum_outer(indices, grad, x, n_latents).T.contiguous()
        grad_b = grad.new_zeros(n_latents).index_add_(0, indices.flatten(), grad.flatten())
        return grad_x, grad_W, grad_b, None, None
