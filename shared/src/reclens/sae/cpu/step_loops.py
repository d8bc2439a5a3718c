"""Compiled loops on a CPU for one step of training: only the latents that take part are touched.

Entries are the latents that take part in an activation, [batch, width]. Each belongs to a level;
the reconstruction of a level is made of the entries of this level and those before it. Every number
is summed in an order that does not depend on how many threads there are.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange

_PARTS = 16
"""Parts into which the latents are divided, whatever the number of threads."""


@njit(cache=True, nogil=True, parallel=True, fastmath={"contract", "reassoc", "nsz"})
def reconstruct(W_dec, b_dec, indices, values, levels, out):
    """``out[l, b] = b_dec + Σ_j values[b, j] · W_dec[indices[b, j]]`` over levels up to l."""
    n_levels, batch, d_model = out.shape
    for b in prange(batch):
        for level in range(n_levels):
            for c in range(d_model):
                out[level, b, c] = b_dec[c] if level == 0 else 0
        for j in range(indices.shape[1]):
            value = values[b, j]
            if value != 0:
                row, target = W_dec[indices[b, j]], out[levels[b, j], b]
                for c in range(d_model):
                    target[c] += value * row[c]
        for level in range(1, n_levels):
            for c in range(d_model):
                out[level, b, c] += out[level - 1, b, c]


@njit(cache=True, nogil=True, parallel=True, fastmath={"contract", "reassoc", "nsz"})
def backpropagate(x, W_dec, indices, levels, weights, more, main, x_hat, errors, grad):
    """Gradients of ``Σ_l weights[l] · Σ‖x̂_l - x‖²`` on the way from ``x̂`` to the entries.

    Args:
        more: [batch, d_model], what else the loss of the level ``main`` has as its gradient; or
            [0, d_model].
        x_hat: the reconstructions [n_levels, batch, d_model]; overwritten by the gradient that
            entries of each level get: that of its own reconstruction and of all after it.
        errors: filled with ``‖x̂_l - x‖²`` [n_levels, batch].
        grad: filled with the gradients of the values [batch, width].
    """
    n_levels, batch, d_model = x_hat.shape
    for b in prange(batch):
        for level in range(n_levels - 1, -1, -1):
            total = np.float32(0)
            slope = np.float32(2) * weights[level]
            row = x_hat[level, b]
            for c in range(d_model):
                error = row[c] - x[b, c]
                total += error * error
                row[c] = slope * error
            errors[level, b] = total
            if level == main and len(more):
                for c in range(d_model):
                    row[c] += more[b, c]
            if level + 1 < n_levels:
                for c in range(d_model):
                    row[c] += x_hat[level + 1, b, c]
        for j in range(indices.shape[1]):
            direction, row = W_dec[indices[b, j]], x_hat[levels[b, j], b]
            total = np.float32(0)
            for c in range(d_model):
                total += direction[c] * row[c]
            grad[b, j] = total


@njit(cache=True, nogil=True)
def sort_by_latent(indices, starts, entries):
    """Places of all entries in order of their latents; latent l has ``starts[l] : starts[l + 1]``.

    ``starts`` [n_latents + 1] must be zeros, ``entries`` [batch · width] is filled.
    """
    batch, width = indices.shape
    for b in range(batch):
        for j in range(width):
            starts[indices[b, j] + 1] += 1
    for latent in range(len(starts) - 1):
        starts[latent + 1] += starts[latent]
    place = starts[:-1].copy()
    for b in range(batch):
        for j in range(width):
            latent = indices[b, j]
            entries[place[latent]] = b * width + j
            place[latent] += 1


@njit(cache=True, nogil=True, parallel=True, fastmath={"contract", "reassoc", "nsz"})
def add_gradients(
    starts, entries, x, values, levels, grad_x_hat, grad_pre, grad_dec, grad_enc, grad_bias
):
    """Add what the entries give to the gradients of their latents.

    Args:
        starts, entries: of `sort_by_latent`.
        x: what pre-activations are the products with, less ``b_dec`` [batch, d_model].
        values, levels, grad_pre: of the entries [batch, width].
        grad_x_hat: gradient by level, of `backpropagate` [n_levels, batch, d_model].
        grad_dec, grad_enc: [n_latents, d_model]; added to.
        grad_bias: [n_latents]; added to.
    """
    n_latents, d_model = grad_dec.shape
    width = values.shape[1]
    total = len(entries) + n_latents
    for part in prange(_PARTS):
        first = _boundary(starts, total * part // _PARTS)
        last = _boundary(starts, total * (part + 1) // _PARTS)
        for latent in range(first, last):
            dec, enc = grad_dec[latent], grad_enc[latent]
            bias = np.float32(0)
            for entry in range(starts[latent], starts[latent + 1]):
                b, j = entries[entry] // width, entries[entry] % width
                value, slope = values[b, j], grad_pre[b, j]
                if value != 0:
                    row = grad_x_hat[levels[b, j], b]
                    for c in range(d_model):
                        dec[c] += value * row[c]
                if slope != 0:
                    row = x[b]
                    for c in range(d_model):
                        enc[c] += slope * row[c]
                    bias += slope
            grad_bias[latent] += bias


@njit(cache=True, nogil=True)
def _boundary(starts, work):
    """The first latent that has at least so many entries and latents before it."""
    low, high = 0, len(starts) - 1
    while low < high:
        middle = (low + high) // 2
        if starts[middle] + middle < work:
            low = middle + 1
        else:
            high = middle
    return low


@njit(cache=True, nogil=True, parallel=True, fastmath={"contract", "reassoc", "nsz"})
def descend(grad, point, last, average, rate, share, nearness, unit_rows):
    """One step of `AveragedSignDescent` for a matrix, and what must hold for its rows.

    Args:
        grad, point, last, average: [rows, columns]; all but ``grad`` are changed.
        rate: step size.
        share: what the new point weighs in the average.
        nearness: of ``point`` to the average.
        unit_rows: whether the rows of ``point`` have unit length: then the part of the gradient
            along a row is left out, and the length restored after the step.
    """
    rows, columns = grad.shape
    for part in prange(_PARTS):
        for i in range(rows * part // _PARTS, rows * (part + 1) // _PARTS):
            g, p, z, mean = grad[i], point[i], last[i], average[i]
            along = np.float32(0)
            if unit_rows:
                for c in range(columns):
                    along += g[c] * p[c]
            square = np.float32(0)
            for c in range(columns):
                slope = g[c] - along * p[c]
                step = rate if slope > 0 else (-rate if slope < 0 else np.float32(0))
                z[c] -= step
                mean[c] += share * (z[c] - mean[c])
                p[c] = z[c] + nearness * (mean[c] - z[c])
                square += p[c] * p[c]
            if unit_rows and square > 0:
                scale = np.float32(1) / np.sqrt(square)
                for c in range(columns):
                    p[c] *= scale


@njit(cache=True, nogil=True)
def mark_firing(indices, values, levels, main, fired):
    """Set ``fired`` [n_latents] where a latent is above zero up to level ``main``; count those."""
    count = 0
    for b in range(indices.shape[0]):
        for j in range(indices.shape[1]):
            if values[b, j] > 0 and levels[b, j] <= main:
                fired[indices[b, j]] = True
                count += 1
    return count
