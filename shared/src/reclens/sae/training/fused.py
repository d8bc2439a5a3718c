"""Losses and gradients in compiled loops that touch only few latents. Needs numba."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from reclens.sae.architectures.base import SparseAutoencoder
from reclens.sae.architectures.fused import Candidates, FusedTraining, strongest_latents
from reclens.sae.cpu import kernels, step_loops
from reclens.sae.training.dense import BatchGradients, Differentiation, TrainingBatch

_NOTHING = np.empty((0, 0), np.float32)
_Gradients = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Of decoder and encoder [n_latents, d_model] and of the encoder's bias; added to."""


class FusedDifferentiation(Differentiation):
    """On the CPU what `DenseDifferentiation` does, up to rounding, many times faster.

    For an autoencoder with `FusedTraining`.
    """

    def __call__(self, batch: TrainingBatch) -> BatchGradients:
        sae, x = self._sae, batch.x
        assert isinstance(sae, FusedTraining)
        kernels.use_threads()
        chosen = sae.candidates(x, batch.progress)
        pre = chosen.pre.requires_grad_()
        # Few and small numbers: how they come of the pre-activations is left to PyTorch.
        values, penalty = sae.activate_candidates(pre, chosen.indices)
        entries = _Entries(sae, chosen, values)
        x_hat = entries.reconstruct(len(chosen.weights), kernels.as_array(sae.b_dec))
        main = torch.from_numpy(x_hat[chosen.main])
        residual = None
        if sae.config.auxiliary_coefficient and bool(batch.dead.any()):
            residual = x - main  # before the loops overwrite the reconstructions
        loss, more = 0.0, _NOTHING
        if self._prediction is not None:
            leaf = main.clone().requires_grad_()
            term = sae.config.prediction_coefficient * self._prediction(x, leaf, batch.step)
            loss, more = term.item(), kernels.as_array(torch.autograd.grad(term, leaf)[0])

        # Normalised activations vary by d_model around zero, by the definition of the scale.
        scale = 1 / (sae.d_model * len(x))
        weights = [scale * weight for weight in chosen.weights]
        errors, grad_values = entries.backpropagate(x, x_hat, weights, more, chosen.main)
        loss += float(np.dot(errors, chosen.weights)) * scale
        outcome, sources = [values], [torch.from_numpy(grad_values)]
        if penalty is not None:
            loss += penalty.item()
            outcome, sources = [*outcome, penalty], [*sources, None]
        torch.autograd.backward(outcome, sources)

        W_dec, W_enc, b_enc = (torch.zeros_like(p) for p in (sae.W_dec, sae.W_enc, sae.b_enc))
        gradients = (W_dec.numpy(), W_enc.T.numpy(), b_enc.numpy())
        assert pre.grad is not None
        shifted = kernels.as_array(x - sae.b_dec)
        entries.add_gradients(shifted, x_hat, kernels.as_array(pre.grad), gradients)
        # Not by a matrix product: on some CPUs its last bits depend on the number of threads.
        by_encoder = (sae.W_enc.detach() * b_enc).sum(1)
        sae.b_dec.grad = torch.from_numpy(x_hat[0].sum(0)) - by_encoder
        if residual is not None:
            loss += self._revive(batch, residual, shifted, gradients)
        sae.W_dec.grad, sae.W_enc.grad, sae.b_enc.grad = W_dec, W_enc, b_enc
        fired = torch.zeros(sae.n_latents, dtype=torch.bool)
        count = entries.mark_firing(chosen.main, fired)
        unexplained = float(errors[chosen.main]) * scale
        metrics = torch.tensor([loss, unexplained, count / len(x)], dtype=torch.float64)
        return BatchGradients(metrics, fired)

    def _revive(
        self, batch: TrainingBatch, residual: Tensor, shifted: np.ndarray, gradients: _Gradients
    ) -> float:
        """Add the gradients of AuxK (`reclens.sae.auxiliary_loss`); returns its weighted loss."""
        sae, dead = self._sae, batch.dead.nonzero().flatten()
        k, coefficient = self._k_auxiliary, sae.config.auxiliary_coefficient
        indices, pre = strongest_latents(sae, batch.x, min(k, len(dead)), latents=dead)
        entries = _Entries(sae, Candidates(indices, pre), pre)
        residual_hat = entries.reconstruct(1, np.zeros(sae.d_model, np.float32))
        total = float((residual - residual.mean(0)).square().sum())
        # A single row has no variance, and nothing can be learned from it.
        weight = coefficient * min(len(dead) / k, 1.0) / total if total > 0 else 0.0
        errors, gradient = entries.backpropagate(residual, residual_hat, [weight])
        entries.add_gradients(shifted, residual_hat, gradient, gradients)
        return float(errors[0]) * weight


class _Entries:
    """The latents that take part in a batch, and loops over them."""

    def __init__(self, sae: SparseAutoencoder, chosen: Candidates, values: Tensor) -> None:
        self._sae = sae
        self._directions = kernels.as_array(sae.W_dec)
        self._indices = kernels.as_array(chosen.indices)
        self._values = kernels.as_array(values)
        self._levels = (
            np.zeros(self._indices.shape, np.int64)
            if chosen.levels is None
            else kernels.as_array(chosen.levels)
        )

    def reconstruct(self, n_levels: int, b_dec: np.ndarray) -> np.ndarray:
        """Reconstructions [n_levels, batch, d_model]."""
        out = np.empty((n_levels, len(self._indices), self._sae.d_model), np.float32)
        step_loops.reconstruct(
            self._directions, b_dec, self._indices, self._values, self._levels, out
        )
        return out

    def backpropagate(
        self,
        x: Tensor,
        x_hat: np.ndarray,
        weights: list[float],
        more: np.ndarray = _NOTHING,
        main: int = 0,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Squared errors by level, and the gradients of the values; ``x_hat`` becomes its own."""
        errors = np.empty(x_hat.shape[:2], np.float32)
        gradient = np.empty(self._values.shape, np.float32)
        step_loops.backpropagate(
            kernels.as_array(x),
            self._directions,
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
        self, shifted: np.ndarray, x_hat: np.ndarray, grad_pre: np.ndarray, gradients: _Gradients
    ) -> None:
        """Add to the gradients of the dictionary; ``x_hat`` holds the reconstructions' own."""
        starts = np.zeros(self._sae.n_latents + 1, np.int64)
        entries = np.empty(self._indices.size, np.int64)
        step_loops.sort_by_latent(self._indices, starts, entries)
        given = (shifted, self._values, self._levels, x_hat, grad_pre)
        step_loops.add_gradients(starts, entries, *given, *gradients)

    def mark_firing(self, main: int, fired: Tensor) -> int:
        """Set ``fired`` where a latent is above zero up to level ``main``; returns how many are."""
        return step_loops.mark_firing(
            self._indices, self._values, self._levels, main, fired.numpy()
        )
