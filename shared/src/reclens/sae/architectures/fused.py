"""The fused training step on a CPU, as an architecture may offer it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from reclens.sae.architectures.base import Activations, SparseAutoencoder
from reclens.sae.cpu.selection import top_k_of_products


class Candidates(NamedTuple):
    """The latents that take part in a training step, and what they are to reconstruct."""

    indices: Int[Tensor, "batch width"]
    """Latents. A row with fewer than others is filled with any, below zero in ``pre``."""
    pre: Float[Tensor, "batch width"]
    """Their pre-activations, without gradient."""
    levels: Int[Tensor, "batch width"] | None = None
    """The first reconstruction that each has a part in; it has one in all that follow. None: 0."""
    weights: tuple[float, ...] = (1.0,)
    """What the FVU of each level's reconstruction weighs in the loss."""
    main: int = 0
    """The level that is the autoencoder's own reconstruction."""


class FusedTraining(ABC):
    """Mixed into an autoencoder that can name the few latents a step has to touch.

    With it compiled loops train the autoencoder on a CPU (`reclens.sae.training.fused`), many times
    faster than its `training_pass` and equal to that up to rounding.
    """

    @abstractmethod
    def candidates(self, x: Float[Tensor, "batch d_model"], progress: float) -> Candidates:
        """The latents that take part in a step, as `strongest_latents` finds them.

        Args:
            x: normalised activations.
            progress: share of the training that is done, from 0 to 1.
        """

    def activate_candidates(
        self, pre: Float[Tensor, "batch width"], indices: Int[Tensor, "batch width"]
    ) -> Activations:
        """As `SparseAutoencoder.activate`, of candidates only."""
        del indices
        return Activations(pre.relu())


@torch.no_grad()
def strongest_latents(
    sae: SparseAutoencoder,
    x: Float[Tensor, "batch d_model"],
    k: int,
    above: Float[Tensor, " n_latents"] | None = None,
    *,
    latents: Int[Tensor, " n"] | None = None,
) -> tuple[Int[Tensor, "batch k"], Float[Tensor, "batch k"]]:
    """The ``k`` latents with the largest pre-activations of normalised ``x``, in no order.

    Args:
        sae: the autoencoder.
        x: normalised activations.
        k: how many.
        above: ranks, and returns, how far each is above this.
        latents: only among these; None: among all.

    Returns:
        Latents, and their pre-activations (less ``above``).
    """
    weight, bias = sae.W_enc, sae.b_enc if above is None else sae.b_enc - above
    if latents is not None:
        weight, bias = weight[:, latents], bias[latents]
    indices, values = top_k_of_products(x, weight, bias, sae.b_dec, k)
    return (indices if latents is None else latents[indices]), values


def offers_fused_training(sae: SparseAutoencoder) -> bool:
    """Whether ``sae`` has a fused step that is as new as what it does in plain PyTorch.

    A subclass that changes what fires without saying the same of its candidates has none.
    """
    ancestry = type(sae).__mro__

    def depth(name: str) -> int:
        return next(i for i, ancestor in enumerate(ancestry) if name in vars(ancestor))

    return isinstance(sae, FusedTraining) and depth("candidates") <= min(
        map(depth, ("activate", "training_pass", "decode_levels"))
    )
