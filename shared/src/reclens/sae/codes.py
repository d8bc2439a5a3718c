"""Sparse codes: the few latents that fire for an activation, and products that touch only them."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from reclens.sae.backend import compiled_kernels


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
    """The matrix whose row b holds ``values[b]`` at the columns ``indices[b]``, added up."""
    return values.new_zeros(len(values), n_latents).scatter_add_(1, indices, values)


def kth_largest(values: Tensor, k: int) -> Float[Tensor, ""]:
    """The ``k``-th largest of all ``values``, 1 being the largest."""
    kernels = compiled_kernels(values.device)
    if kernels is None:
        return values.flatten().kthvalue(values.numel() - k + 1).values
    return kernels.kth_largest(values, k)


class Active:
    """Which latents take part in a batch, and the products that need only these.

    On a CPU the products are compiled loops (`reclens.sae.kernels`), elsewhere PyTorch's own.

    Attributes:
        indices: latents of each row, int64 [batch, width]. A short row is filled with any index;
            its value there is 0.
    """

    def __init__(self, indices: Int[Tensor, "batch width"], n_latents: int) -> None:
        self.indices = indices
        self._n_latents = n_latents
        self._kernels = compiled_kernels(indices.device)
        self._by_latent: Any = None
        self._no_groups: Tensor | None = None

    def combine(
        self,
        weight: Float[Tensor, "n_latents d_model"],
        values: Float[Tensor, "batch width"],
        group: Int[Tensor, " n_latents"] | None = None,
        n_groups: int = 1,
    ) -> Float[Tensor, "n_groups batch d_model"]:
        """``out[g, b] = Σ_j values[b, j] · weight[indices[b, j]]`` over latents of group g."""
        if group is None:
            group = self.no_groups()
        return _Combine.apply(weight, values, self, group, n_groups)  # type: ignore[no-any-return]

    def pre_activations(
        self,
        x: Float[Tensor, "batch d_model"],
        W_enc: Float[Tensor, "d_model n_latents"],  # noqa: N803 - the parameter's name
        b_enc: Float[Tensor, " n_latents"],
        b_dec: Float[Tensor, " d_model"],
        taken: Float[Tensor, "batch width"],
    ) -> Float[Tensor, "batch width"]:
        """``(x - b_dec) W_enc + b_enc`` at ``indices``, where it was ``taken`` already.

        The gradient reaches the parameters, not ``x``, and touches only these latents.
        """
        return _PreActivations.apply(x, W_enc, b_enc, b_dec, taken, self)  # type: ignore[no-any-return]

    def no_groups(self) -> Int[Tensor, " n_latents"]:
        """All latents in group 0."""
        if self._no_groups is None:
            self._no_groups = torch.zeros(
                self._n_latents, dtype=torch.int64, device=self.indices.device
            )
        return self._no_groups

    # --- the products, without gradients ---------------------------------------------------------

    def weighted_sum(self, weight: Tensor, values: Tensor, group: Tensor, n_groups: int) -> Tensor:
        if self._kernels is not None:
            return self._kernels.combine(weight, self.indices, values, group, n_groups)
        member = group[self.indices]
        return torch.stack(
            [
                functional.embedding_bag(
                    self.indices, weight, per_sample_weights=values * (member == g), mode="sum"
                )
                for g in range(n_groups)
            ]
        )

    def dot(self, weight: Tensor, rows: Tensor, group: Tensor) -> Tensor:
        """``weight[indices[b, j]] · rows[group, b]`` [batch, width]."""
        if self._kernels is not None:
            return self._kernels.dot(weight, self.indices, rows, group)
        every = torch.stack([(row @ weight.T).gather(1, self.indices) for row in rows])
        return every.gather(0, group[self.indices][None])[0]

    def outer(self, values: Tensor, rows: Tensor, group: Tensor) -> Tensor:
        """``Σ values[b, j] · rows[group, b]`` into the rows of the latents [n_latents, d_model]."""
        if self._kernels is not None:
            if self._by_latent is None:
                self._by_latent = self._kernels.ByLatent(self.indices, self._n_latents)
            return self._by_latent.outer(values, rows, group)
        codes = scatter_codes(self.indices, values, self._n_latents)
        every = torch.stack([codes.T @ row for row in rows])
        return every.gather(0, group[None, :, None].expand(1, -1, rows.shape[2]))[0]

    def total(self, values: Tensor) -> Tensor:
        """Sum of ``values`` for each latent [n_latents]."""
        total = values.new_zeros(self._n_latents)
        return total.index_add_(0, self.indices.flatten(), values.flatten())


class _Combine(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, weight: Tensor, values: Tensor, active: Active, group: Tensor, n_groups: int
    ) -> Tensor:
        ctx.save_for_backward(weight, values, group)
        ctx.active = active
        return active.weighted_sum(weight, values, group, n_groups)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (grad,) = grads
        weight, values, group = ctx.saved_tensors
        grad_weight = grad_values = None
        if ctx.needs_input_grad[0]:
            grad_weight = ctx.active.outer(values, grad, group)
        if ctx.needs_input_grad[1]:
            grad_values = ctx.active.dot(weight, grad, group)
        return grad_weight, grad_values, None, None, None


class _PreActivations(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        W_enc: Tensor,  # noqa: N803
        b_enc: Tensor,
        b_dec: Tensor,
        taken: Tensor,
        active: Active,
    ) -> Tensor:
        ctx.save_for_backward(x, W_enc, b_dec)
        ctx.active = active
        return taken.clone()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (grad,) = grads
        x, W_enc, b_dec = ctx.saved_tensors
        active: Active = ctx.active
        grad_b_enc = active.total(grad)
        # W_enc is stored by latent, so this transpose has its layout.
        grad_W_enc = active.outer(grad, (x - b_dec)[None], active.no_groups()).T
        grad_b_dec = -(W_enc @ grad_b_enc) if ctx.needs_input_grad[3] else None
        return None, grad_W_enc, grad_b_enc, grad_b_dec, None, None
