"""Loss and gradients of one step, by PyTorch: what `compiled_gradients` does in loops."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from reclens.sae.base import SparseAutoencoder, top_k
from reclens.sae.codes import scatter_codes
from reclens.sae.losses import auxiliary_loss, fvu
from reclens.sae.prediction import PredictionTerm


class Measured(NamedTuple):
    """What one batch says of the autoencoder."""

    loss: float
    """All terms, weighted."""
    fvu: float
    """Of the batch."""
    l0: float
    """Latents above zero, mean over the batch."""
    fired: Bool[Tensor, " n_latents"]
    """Which of them were, for some activation."""


class Gradients(Protocol):
    """From a batch to the gradients of the parameters."""

    def __call__(
        self, x: Float[Tensor, "batch d_model"], *, step: int, progress: float, dead: Tensor
    ) -> Measured:
        """Leave ``∇L`` in the ``grad`` of each parameter.

        Args:
            x: normalised activations.
            step: number of the step; the prediction-aware term draws its items by it.
            progress: share of the training that is done, from 0 to 1.
            dead: latents that are to be revived (AuxK).
        """
        ...


class AutogradGradients:
    """Dense products and PyTorch's own differentiation; on any device.

    Args:
        sae: the autoencoder.
        k_auxiliary: dead latents that may take part in AuxK for one activation.
        prediction: the prediction-aware term, if there is one.
    """

    def __init__(
        self, sae: SparseAutoencoder, *, k_auxiliary: int, prediction: PredictionTerm | None = None
    ) -> None:
        self._sae = sae
        self._k_auxiliary = k_auxiliary
        self._prediction = prediction

    def __call__(
        self, x: Float[Tensor, "batch d_model"], *, step: int, progress: float, dead: Tensor
    ) -> Measured:
        sae, config = self._sae, self._sae.config
        forward = sae.train_forward(x, progress)
        chosen = forward.chosen
        # Normalised activations vary by d_model around zero, by the definition of the scale.
        levels = [fvu(x, level, variance=sae.d_model) for level in forward.reconstructions]
        loss = torch.stack([w * level for w, level in zip(chosen.weights, levels, strict=True)])
        loss = loss.sum()
        x_hat = forward.reconstructions[chosen.main]
        if forward.penalty is not None:
            loss = loss + forward.penalty
        if self._prediction is not None:
            loss = loss + config.prediction_coefficient * self._prediction(x, x_hat, step)
        if len(dead) and config.auxiliary_coefficient:
            loss = loss + config.auxiliary_coefficient * self._auxiliary(x, x_hat, dead)
        loss.backward()
        values = forward.values.detach()
        if chosen.levels is not None:
            values = values * (chosen.levels <= chosen.main)
        fires = values > 0
        fired = torch.zeros(sae.n_latents, dtype=torch.bool, device=x.device)
        fired[chosen.indices[fires]] = True
        l0 = float(fires.sum()) / len(x)
        return Measured(loss.item(), levels[chosen.main].item(), l0, fired)

    def _auxiliary(self, x: Tensor, x_hat: Tensor, dead: Int[Tensor, " n_dead"]) -> Tensor:
        sae = self._sae
        # The shift by b_dec has no part in reviving: its gradient is the living latents' alone.
        pre = torch.addmm(sae.b_enc[dead], x - sae.b_dec.detach(), sae.W_enc[:, dead])
        values, places = top_k(pre, min(self._k_auxiliary, len(dead)))
        residual_hat = scatter_codes(places, values, len(dead)) @ sae.W_dec[dead]
        return auxiliary_loss(
            x, x_hat, residual_hat, n_dead=len(dead), k_auxiliary=self._k_auxiliary
        )
