"""Losses and gradients in compiled loops that touch only few latents. Needs numba."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from reclens.sae.architectures.base import SparseAutoencoder
from reclens.sae.architectures.fused import Candidates, FusedTraining, strongest_latents
from reclens.sae.cpu import kernels, step_loops
from reclens.sae.training.step import Differentiated, Objective

_NOTHING = np.empty((0, 0), np.float32)


class FusedDifferentiation:
    """On the CPU what `DenseDifferentiation` does, up to rounding, many times faster.

    Args:
        objective: what is to be made small, for an autoencoder with `FusedTraining`.
    """

    def __init__(self, objective: Objective) -> None:
        assert isinstance(objective.sae, FusedTraining)
        self._sae = objective.sae
        self._objective = objective

    def __call__(
        self,
        x: Float[Tensor, "batch d_model"],
        dead: Bool[Tensor, " n_latents"],
        step: int,
        progress: float,
    ) -> Differentiated:
        sae, config = self._sae, self._objective.config
        kernels.use_threads()
        chosen = sae.candidates(partial(strongest_latents, sae, x), progress)
        pre = chosen.pre.requires_grad_()
        # Few and small numbers: how they come of the pre-activations is left to PyTorch.
        values, penalty = sae.activate_candidates(pre, chosen.indices)
        entries = _Entries(chosen, values, sae.n_latents)

        n_levels = len(chosen.weights)
        x_hat = np.empty((n_levels, len(x), sae.d_model), np.float32)
        entries.reconstruct(sae.W_dec, kernels.as_array(sae.b_dec), x_hat)
        main = torch.from_numpy(x_hat[chosen.main])
        auxiliary = None
        revived = dead.nonzero().flatten()
        if len(revived) and config.auxiliary_coefficient:
            auxiliary = _Auxiliary(sae, x, x - main, revived, self._objective.k_auxiliary)
        loss, more = 0.0, _NOTHING
        if self._objective.prediction is not None:
            loss, more = self._predict(x, main, step)

        # Normalised activations vary by d_model around zero, by the definition of the scale.
        scale = 1 / (sae.d_model * len(x))
        errors, grad_values = entries.backpropagate(
            x,
            sae.W_dec,
            x_hat,
            weights=[scale * weight for weight in chosen.weights],
            more=more,
            main=chosen.main,
        )
        loss += float(np.dot(errors, chosen.weights)) * scale
        outcome, sources = [values], [torch.from_numpy(grad_values)]
        if penalty is not None:
            loss += penalty.item()
            outcome, sources = [*outcome, penalty], [*sources, None]
        torch.autograd.backward(outcome, sources)

        sae.W_enc.grad, sae.W_dec.grad = torch.zeros_like(sae.W_enc), torch.zeros_like(sae.W_dec)
        sae.b_enc.grad = torch.zeros_like(sae.b_enc)
        assert pre.grad is not None
        shifted = kernels.as_array(x - sae.b_dec)
        entries.add_gradients(sae, shifted, x_hat, kernels.as_array(pre.grad))
        # Not by a matrix product: on some CPUs its last bits depend on the number of threads.
        by_encoder = (sae.W_enc.detach() * sae.b_enc.grad).sum(1)
        sae.b_dec.grad = torch.from_numpy(x_hat[0].sum(0)) - by_encoder
        if auxiliary is not None:
            loss += auxiliary.add_gradients(shifted, config.auxiliary_coefficient)
        fired = torch.zeros(sae.n_latents, dtype=torch.bool)
        count = entries.mark_firing(chosen.main, fired)
        unexplained = float(errors[chosen.main]) * scale
        metrics = torch.tensor([loss, unexplained, count / len(x)], dtype=torch.float64)
        return Differentiated(metrics, fired)

    def _predict(self, x: Tensor, x_hat: Tensor, step: int) -> tuple[float, np.ndarray]:
        """The weighted prediction-aware term, and its gradient with respect to ``x_hat``."""
        prediction = self._objective.prediction
        assert prediction is not None
        leaf = x_hat.clone().requires_grad_()
        term = self._objective.config.prediction_coefficient * prediction(x, leaf, step)
        (gradient,) = torch.autograd.grad(term, leaf)
        return term.item(), kernels.as_array(gradient)


class _Entries:
    """The latents that take part in a batch, and loops over them."""

    def __init__(self, chosen: Candidates, values: Tensor, n_latents: int) -> None:
        self._indices = kernels.as_array(chosen.indices)
        self._values = kernels.as_array(values)
        self._levels = (
            np.zeros(self._indices.shape, np.int64)
            if chosen.levels is None
            else kernels.as_array(chosen.levels)
        )
        self._n_latents = n_latents

    def reconstruct(self, W_dec: Tensor, b_dec: np.ndarray, out: np.ndarray) -> None:  # noqa: N803
        step_loops.reconstruct(
            kernels.as_array(W_dec), b_dec, self._indices, self._values, self._levels, out
        )

    def backpropagate(
        self,
        x: Tensor,
        W_dec: Tensor,  # noqa: N803
        x_hat: np.ndarray,
        *,
        weights: list[float],
        more: np.ndarray = _NOTHING,
        main: int = 0,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Squared errors by level, and the gradients of the values; ``x_hat`` becomes its own."""
        errors = np.empty(x_hat.shape[:2], np.float32)
        gradient = np.empty(self._values.shape, np.float32)
        step_loops.backpropagate(
            kernels.as_array(x),
            kernels.as_array(W_dec),
            self._indices,
            self._levels,
            np.array(weights, np.float32),
            more,
            main,
            x_hat,
            errors,
            gradient,
        )
        return errors.sum(1, dtype=np.float64), gradient

    def add_gradients(
        self, sae: SparseAutoencoder, shifted: np.ndarray, x_hat: np.ndarray, grad_pre: np.ndarray
    ) -> None:
        """Add to the gradients of the dictionary; ``x_hat`` holds the reconstructions' own."""
        starts = np.zeros(self._n_latents + 1, np.int64)
        entries = np.empty(self._indices.size, np.int64)
        step_loops.sort_by_latent(self._indices, starts, entries)
        assert sae.W_dec.grad is not None
        assert sae.W_enc.grad is not None
        assert sae.b_enc.grad is not None
        step_loops.add_gradients(
            starts,
            entries,
            shifted,
            self._values,
            self._levels,
            x_hat,
            grad_pre,
            sae.W_dec.grad.numpy(),
            sae.W_enc.grad.T.numpy(),
            sae.b_enc.grad.numpy(),
        )

    def mark_firing(self, main: int, fired: Tensor) -> int:
        return step_loops.mark_firing(
            self._indices, self._values, self._levels, main, fired.numpy()
        )


class _Auxiliary:
    """AuxK (`reclens.sae.auxiliary_loss`): dead latents explain what is left over."""

    def __init__(
        self, sae: SparseAutoencoder, x: Tensor, residual: Tensor, dead: Tensor, k_auxiliary: int
    ) -> None:
        self._sae = sae
        self._residual = residual
        self._weight = min(len(dead) / k_auxiliary, 1.0)
        indices, pre = strongest_latents(sae, x, min(k_auxiliary, len(dead)), latents=dead)
        self._entries = _Entries(Candidates(indices, pre), pre, sae.n_latents)

    def add_gradients(self, shifted: np.ndarray, coefficient: float) -> float:
        """Add to the gradients of the dictionary; returns the weighted loss."""
        sae, residual = self._sae, self._residual
        x_hat = np.empty((1, *residual.shape), np.float32)
        self._entries.reconstruct(sae.W_dec, np.zeros(sae.d_model, np.float32), x_hat)
        total = float((residual - residual.mean(0)).square().sum())
        # A single row has no variance, and nothing can be learned from it.
        weight = coefficient * self._weight / total if total > 0 else 0.0
        errors, gradient = self._entries.backpropagate(residual, sae.W_dec, x_hat, weights=[weight])
        self._entries.add_gradients(sae, shifted, x_hat, gradient)
        return float(errors[0]) * weight
