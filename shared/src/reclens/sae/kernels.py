"""Compiled loops over sparse codes on a CPU: the top k, and products of active latents only.

Every output row is computed by one thread in a fixed order, so the bytes do not depend on how many
threads there are. The first call compiles (seconds); the result is cached on disk.
"""

from __future__ import annotations

import sys

import numba
import numpy as np
import torch
from numba import njit, prange
from numba.core import config
from torch import Tensor

if sys.platform == "linux":
    # Shares PyTorch's pool of threads: of two pools one would spin while the other works.
    config.THREADING_LAYER = "omp"  # pyright: ignore[reportAttributeAccessIssue]

_LANES_PER_K = 4
_CHUNK_BYTES = 1 << 20
"""Products that are computed and selected from at a time."""
_ENTRIES_PER_PART = 2048
"""Active latents that are worth a part of their own."""
_MAX_THREADS = numba.get_num_threads()
_MAX_HALVINGS = 300
"""More than any two floats lie apart; a NaN ends here."""


def top_k(x: Tensor, weight: Tensor, bias: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The ``k`` largest of each row of ``x @ weight + bias``, in no order: values and indices.

    Of equal values at the edge any may be chosen. Rows are computed a few at a time, so that what
    is selected from is still in the cache.
    """
    n = weight.shape[1]
    values = torch.zeros(len(x), k, dtype=torch.float32)
    indices = torch.zeros(len(x), k, dtype=torch.int64)
    n_lanes = min(n, max(16, _LANES_PER_K * k))
    rows = max(1, min(len(x), _CHUNK_BYTES // (4 * n)))
    products = torch.empty(rows, n)
    for start in range(0, len(x), rows):
        part = x[start : start + rows]
        out = products[: len(part)]
        torch.mm(part, weight, out=out)
        results = (values[start : start + rows].numpy(), indices[start : start + rows].numpy())
        _top_k(out.numpy(), _array(bias), k, n_lanes, *results, _threads())
    return values, indices


def kth_largest(values: Tensor, k: int) -> Tensor:
    """A number that exactly ``k`` of ``values`` reach; ties may let more reach it."""
    flat = _array(values).reshape(-1)
    return torch.tensor(_threshold(flat, len(flat), k, 0))


def combine(
    weight: Tensor, indices: Tensor, values: Tensor, group: Tensor, n_groups: int
) -> Tensor:
    """``out[g, b] = Σ_j values[b, j] · weight[indices[b, j]]`` over the latents of group g."""
    out = torch.zeros(n_groups, len(indices), weight.shape[1])
    _combine(
        _array(weight), _array(indices), _array(values), _array(group), _array(out), _threads()
    )
    return out


def dot(weight: Tensor, indices: Tensor, rows: Tensor, group: Tensor) -> Tensor:
    """``out[b, j] = weight[indices[b, j]] · rows[group of that latent, b]``."""
    out = torch.empty(indices.shape, dtype=torch.float32)
    _dot(_array(weight), _array(indices), _array(rows), _array(group), _array(out), _threads())
    return out


class ByLatent:
    """The active latents of a batch, sorted by latent."""

    def __init__(self, indices: Tensor, n_latents: int) -> None:
        self._starts = np.zeros(n_latents + 1, np.int64)
        self._entries = np.empty(indices.numel(), np.int64)
        self._width = indices.shape[1]
        _sort_by_latent(_array(indices), self._starts, self._entries)

    def outer(self, values: Tensor, rows: Tensor, group: Tensor) -> Tensor:
        """``out[l] = Σ values[b, j] · rows[group[l], b]`` over the entries of latent l."""
        out = torch.empty(len(self._starts) - 1, rows.shape[2])
        _outer(
            self._starts,
            self._entries,
            self._width,
            _array(values),
            _array(rows),
            _array(group),
            _array(out),
            _threads(),
        )
        return out


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().contiguous().numpy()


def _threads() -> int:
    threads = min(torch.get_num_threads(), _MAX_THREADS)
    numba.set_num_threads(threads)
    return threads


@njit(cache=True, nogil=True)
def _count_at_least(values, n, threshold):
    count = np.int32(0)
    for i in range(n):
        count += np.int32(values[i] >= threshold)
    return count


@njit(cache=True, nogil=True)
def _threshold(values, n, k, slack):
    """A value that k to k + slack of the first n values reach; ties may let more reach it."""
    low, high = values[0], values[0]
    for i in range(n):
        low, high = min(low, values[i]), max(high, values[i])
    count = n
    for _ in range(_MAX_HALVINGS):
        if count <= k + slack:
            break
        middle = low + (high - low) * np.float32(0.5)
        if middle <= low or middle >= high:
            return high if _count_at_least(values, n, high) >= k else low
        reached = _count_at_least(values, n, middle)
        if reached >= k:
            low, count = middle, reached
        else:
            high = middle
    return low


@njit(cache=True, nogil=True, parallel=True)
def _top_k(products, bias, k, n_lanes, out_values, out_indices, parts):
    # The maxima of the lanes (every n_lanes-th element) bound the k-th largest from below: k of
    # them reach it. Few elements do, and among these the bisection is exact.
    batch, n = products.shape
    steps = n // n_lanes
    offset = bias[: steps * n_lanes].reshape(steps, n_lanes)
    for part in prange(parts):
        maxima = np.empty(n_lanes, np.float32)
        values = np.empty(n + 1, np.float32)
        indices = np.empty(n + 1, np.int64)
        for b in range(batch * part // parts, batch * (part + 1) // parts):
            row = products[b, : steps * n_lanes].reshape(steps, n_lanes)
            for lane in range(n_lanes):
                maxima[lane] = row[0, lane] + offset[0, lane]
            for step in range(1, steps):
                for lane in range(n_lanes):
                    maxima[lane] = max(maxima[lane], row[step, lane] + offset[step, lane])
            bound = _threshold(maxima, n_lanes, k, k // 8)
            found = 0
            for lane in range(n_lanes):
                if maxima[lane] >= bound:
                    for step in range(steps):
                        value = row[step, lane] + offset[step, lane]
                        values[found] = value
                        indices[found] = step * n_lanes + lane
                        found += value >= bound
            for i in range(steps * n_lanes, n):
                value = products[b, i] + bias[i]
                values[found] = value
                indices[found] = i
                found += value >= bound
            edge = _threshold(values, found, k, 0)
            taken = 0
            for i in range(found):
                if taken < k and values[i] > edge:
                    out_values[b, taken], out_indices[b, taken] = values[i], indices[i]
                    taken += 1
            for i in range(found):
                if taken < k and values[i] == edge:
                    out_values[b, taken], out_indices[b, taken] = values[i], indices[i]
                    taken += 1


@njit(cache=True, nogil=True, parallel=True, fastmath={"contract", "reassoc", "nsz"})
def _combine(weight, indices, values, group, out, parts):
    batch, width = indices.shape
    d_model = weight.shape[1]
    for part in prange(parts):
        for b in range(batch * part // parts, batch * (part + 1) // parts):
            for j in range(width):
                value = values[b, j]
                if value != 0:
                    latent = indices[b, j]
                    row, target = weight[latent], out[group[latent], b]
                    for c in range(d_model):
                        target[c] += value * row[c]


@njit(cache=True, nogil=True, parallel=True, fastmath={"contract", "reassoc", "nsz"})
def _dot(weight, indices, rows, group, out, parts):
    batch, width = indices.shape
    d_model = weight.shape[1]
    for part in prange(parts):
        for b in range(batch * part // parts, batch * (part + 1) // parts):
            for j in range(width):
                latent = indices[b, j]
                row, other = weight[latent], rows[group[latent], b]
                total = np.float32(0)
                for c in range(d_model):
                    total += row[c] * other[c]
                out[b, j] = total


@njit(cache=True, nogil=True)
def _sort_by_latent(indices, starts, entries):
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
def _outer(starts, entries, width, values, rows, group, out, threads):
    n_latents, d_model = out.shape
    flat = values.reshape(-1)
    total = starts[n_latents]
    # Several parts a thread, of as many entries each: latents differ in how often they fire.
    parts = max(threads, min(4 * threads, total // _ENTRIES_PER_PART))
    for part in prange(parts):
        first = np.searchsorted(starts[:n_latents], total * part // parts) if part else 0
        last = (
            np.searchsorted(starts[:n_latents], total * (part + 1) // parts)
            if part + 1 < parts
            else n_latents
        )
        for latent in range(first, last):
            target = out[latent]
            for c in range(d_model):
                target[c] = 0
            for entry in range(starts[latent], starts[latent + 1]):
                place = entries[entry]
                value = flat[place]
                if value != 0:
                    row = rows[group[latent], place // width]
                    for c in range(d_model):
                        target[c] += value * row[c]
