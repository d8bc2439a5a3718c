"""Compiled loops over sparse codes on a CPU: the top k, and products of active latents only.

Every output row is computed by one thread in a fixed order, so the bytes do not depend on how many
threads there are. The first call compiles (seconds); the result is cached on disk.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from importlib import import_module

import numba
import numpy as np
import torch
from numba import njit, prange
from numba.core import config
from torch import Tensor

if sys.platform == "linux":
    with suppress(ImportError):
        import_module("numba.np.ufunc.omppool")
        # Shares PyTorch's pool of threads: of two pools one would spin while the other works.
        config.THREADING_LAYER = "omp"  # pyright: ignore[reportAttributeAccessIssue]

_LANES_PER_K = 4
_ROWS_AT_A_TIME = 24
"""Rows of products that a thread computes and then selects from."""
_COLUMNS_AT_A_TIME = 1024
_ENTRIES_PER_PART = 2048
"""Active latents that are worth a part of their own."""
_TORCH_THREADS = torch.get_num_threads()
_MAX_THREADS = numba.get_num_threads()
torch.set_num_threads(_TORCH_THREADS)  # starting the shared pool has set it to all cores
_MAX_HALVINGS = 300
"""More than any two floats lie apart; a NaN ends here."""


def top_k(x: Tensor, weight: Tensor, bias: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The ``k`` largest of each row of ``x @ weight + bias``, in no order: values and indices.

    Of equal values at the edge any may be chosen. Rows are computed a few at a time by each thread,
    so that what is selected from is still in its cache.
    """
    n = weight.shape[1]
    values = torch.zeros(len(x), k, dtype=torch.float32)
    indices = torch.zeros(len(x), k, dtype=torch.int64)
    n_lanes = min(n, max(16, _LANES_PER_K * k))
    _top_k(
        _array(x),
        _array(weight),
        _array(bias),
        _array(values),
        _array(indices),
        n_lanes,
        _threads(),
    )
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


@njit(cache=True, nogil=True, fastmath={"contract"})
def _add_products(x, weight, out, left, right):
    """``out += x @ weight`` in some columns, 3 x 4 entries of ``x`` at a time to fill registers."""
    rows, depth = x.shape
    whole_rows, whole_depth = rows - rows % 3, depth - depth % 4
    for b in range(0, whole_rows, 3):
        out0, out1, out2 = out[b, left:right], out[b + 1, left:right], out[b + 2, left:right]
        for c in range(0, whole_depth, 4):
            w0, w1 = weight[c, left:right], weight[c + 1, left:right]
            w2, w3 = weight[c + 2, left:right], weight[c + 3, left:right]
            p0, p1, p2, p3 = x[b, c], x[b, c + 1], x[b, c + 2], x[b, c + 3]
            q0, q1, q2, q3 = x[b + 1, c], x[b + 1, c + 1], x[b + 1, c + 2], x[b + 1, c + 3]
            r0, r1, r2, r3 = x[b + 2, c], x[b + 2, c + 1], x[b + 2, c + 2], x[b + 2, c + 3]
            for j in range(right - left):
                v0, v1, v2, v3 = w0[j], w1[j], w2[j], w3[j]
                out0[j] = out0[j] + p0 * v0 + p1 * v1 + p2 * v2 + p3 * v3
                out1[j] = out1[j] + q0 * v0 + q1 * v1 + q2 * v2 + q3 * v3
                out2[j] = out2[j] + r0 * v0 + r1 * v1 + r2 * v2 + r3 * v3
    for b in range(rows):
        for c in range(whole_depth if b < whole_rows else 0, depth):
            for j in range(left, right):
                out[b, j] += x[b, c] * weight[c, j]


@njit(cache=True, nogil=True, parallel=True)
def _top_k(x, weight, bias, out_values, out_indices, n_lanes, parts):
    batch, n = len(x), weight.shape[1]
    for part in prange(parts):
        products = np.empty((_ROWS_AT_A_TIME, n), np.float32)
        maxima = np.empty(n_lanes, np.float32)
        values = np.empty(n + 1, np.float32)
        indices = np.empty(n + 1, np.int64)
        last = batch * (part + 1) // parts
        for start in range(batch * part // parts, last, _ROWS_AT_A_TIME):
            end = min(last, start + _ROWS_AT_A_TIME)
            for b in range(end - start):
                products[b] = bias
            for j in range(0, n, _COLUMNS_AT_A_TIME):
                _add_products(x[start:end], weight, products, j, min(n, j + _COLUMNS_AT_A_TIME))
            for b in range(start, end):
                _select(products[b - start], maxima, values, indices, out_values[b], out_indices[b])


@njit(cache=True, nogil=True)
def _select(products, maxima, values, indices, out_values, out_indices):
    # The maxima of the lanes (every n_lanes-th element) bound the k-th largest from below: k of
    # them reach it. Few elements do, and among these the bisection is exact.
    n, n_lanes, k = len(products), len(maxima), len(out_values)
    steps = n // n_lanes
    row = products[: steps * n_lanes].reshape(steps, n_lanes)
    for lane in range(n_lanes):
        maxima[lane] = row[0, lane]
    for step in range(1, steps):
        for lane in range(n_lanes):
            maxima[lane] = max(maxima[lane], row[step, lane])
    bound = _threshold(maxima, n_lanes, k, k // 8)
    found = 0
    for lane in range(n_lanes):
        if maxima[lane] >= bound:
            for step in range(steps):
                values[found] = row[step, lane]
                indices[found] = step * n_lanes + lane
                found += row[step, lane] >= bound
    for i in range(steps * n_lanes, n):
        values[found] = products[i]
        indices[found] = i
        found += products[i] >= bound
    edge = _threshold(values, found, k, 0)
    taken = 0
    for i in range(found):
        if taken < k and values[i] > edge:
            out_values[taken], out_indices[taken] = values[i], indices[i]
            taken += 1
    for i in range(found):
        if taken < k and values[i] == edge:
            out_values[taken], out_indices[taken] = values[i], indices[i]
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
