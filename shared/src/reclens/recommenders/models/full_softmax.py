"""Cross-entropy over the whole catalogue, without ever holding all logits."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

# Logits of so many rows are computed, turned into gradients and forgotten, in one buffer. Autograd
# would allocate and clear four matrices [rows, n_items] a step, which costs more than the products.
_ROWS = 256


def full_softmax_loss(
    x: Float[Tensor, "rows d_model"],
    item_weights: Float[Tensor, "n_items d_model"],
    target: Int[Tensor, " rows"],
) -> Float[Tensor, ""]:
    """Mean over rows of ``-log softmax(x @ item_weights.T)[target]``, in nats."""
    loss: Tensor = _FullSoftmax.apply(x, item_weights, target)  # pyright: ignore[reportAssignmentType]
    return loss


class _FullSoftmax(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, item_weights: Tensor, target: Tensor) -> Tensor:
        x_grad = torch.empty_like(x)
        weights_grad = torch.zeros_like(item_weights)
        loss = x.new_zeros(())
        buffer = x.new_empty(min(_ROWS, len(x)), len(item_weights))
        for start in range(0, len(x), _ROWS):
            rows = slice(start, start + _ROWS)
            label = target[rows, None]
            logits = buffer[: len(label)]
            torch.mm(x[rows], item_weights.T, out=logits)
            logits -= logits.amax(dim=1, keepdim=True)
            chosen = logits.gather(1, label)
            total = logits.exp_().sum(dim=1, keepdim=True)
            loss += (total.log() - chosen).sum()
            # d loss / d logits = softmax - one-hot
            error = logits.div_(total)
            error.scatter_add_(1, label, torch.full_like(label, -1, dtype=x.dtype))
            torch.mm(error, item_weights, out=x_grad[rows])
            weights_grad.addmm_(error.T, x[rows])
        ctx.save_for_backward(x_grad.div_(len(x)), weights_grad.div_(len(x)))
        return loss / len(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None]:
        x_grad, weights_grad = ctx.saved_tensors
        return grads[0] * x_grad, grads[0] * weights_grad, None
