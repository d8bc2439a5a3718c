"""What an autoencoder is trained to make small."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def fvu(
    x: Float[Tensor, "batch d_model"],
    x_hat: Float[Tensor, "batch d_model"],
    *,
    variance: float | None = None,
) -> Float[Tensor, ""]:
    """Fraction of variance unexplained: ``Σ‖x - x̂‖² / Σ‖x - mean(x)‖²``.

    Args:
        x: activations.
        x_hat: their reconstructions.
        variance: mean of ``‖x - mean‖²`` over the whole data. Given, it replaces the batch's own,
            which for a small batch says more about the batch than about the reconstruction.

    Source: arXiv 2411.06112, equation of the reconstruction loss.
    """
    error = (x - x_hat).square().sum()
    if variance is not None:
        return error / (variance * len(x))
    return error / (x - x.mean(0)).square().sum()


def auxiliary_loss(
    x: Float[Tensor, "batch d_model"],
    x_hat: Float[Tensor, "batch d_model"],
    residual_hat: Float[Tensor, "batch d_model"],
    *,
    n_dead: int | Tensor,
    k_auxiliary: int,
) -> Float[Tensor, ""]:
    """AuxK: how badly dead latents explain what the living ones leave over.

    ``min(n_dead / k_aux, 1) · Σ‖e - ê‖² / Σ‖e - mean(e)‖²`` with the residual
    ``e = stopgrad(x - x̂)``.

    Args:
        x: activations.
        x_hat: reconstructions by the living latents. No gradient flows into them.
        residual_hat: ``ê``, the decoded pre-activations of the ``k_aux`` strongest dead latents,
            before ReLU (after it a dead latent has no gradient) and without ``b_dec`` (which
            ``x̂`` has spent already).
        n_dead: dead latents at this step; as a tensor, where it is not to be waited for.
        k_auxiliary: dead latents that may take part.

    Source: arXiv 2406.04093, appendix A.2.
    """
    residual = (x - x_hat).detach()
    total = (residual - residual.mean(0)).square().sum()
    error = (residual - residual_hat).square().sum()
    share = n_dead / k_auxiliary
    weight = share.clamp(max=1.0) if isinstance(share, Tensor) else min(share, 1.0)
    # A single row has no variance, and nothing can be learned from it: over infinity, both the
    # loss and its gradient are zero.
    return weight * error / total.where(total > 0, torch.inf)
