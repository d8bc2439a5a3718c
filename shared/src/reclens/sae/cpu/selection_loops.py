"""Compiled loops on a CPU that choose latents: the top k of products without a full sort.

Every row is computed by one thread in a fixed order, so the bytes do not depend on how many threads
there are. `reclens.sae.cpu.selection` calls them with tensors.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange

_ROWS_AT_A_TIME = 24
"""Rows of products that a thread computes and then selects from."""
_COLUMNS_AT_A_TIME = 1024
_LATENTS_AT_A_TIME = 16
"""Rows of weights that are transposed together; as wide as a line of the cache."""
_MAX_HALVINGS = 300
"""More than any two floats lie apart; a NaN ends here."""


@njit(cache=True, nogil=True)
def count_at_least(values, n, threshold):
    count = np.int32(0)
    for i in range(n):
        count += np.int32(values[i] >= threshold)
    return count


@njit(cache=True, nogil=True)
def threshold(values, n, k, slack):
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
            return high if count_at_least(values, n, high) >= k else low
        reached = count_at_least(values, n, middle)
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
def top_k(x, weight, bias, out_values, out_indices, n_lanes, parts):
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
    bound = threshold(maxima, n_lanes, k, k // 8)
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
    edge = threshold(values, found, k, 0)
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
def transpose(by_latent, bias, shift, out, out_bias):
    n, depth = by_latent.shape
    for block in prange((n + _LATENTS_AT_A_TIME - 1) // _LATENTS_AT_A_TIME):
        left = block * _LATENTS_AT_A_TIME
        right = min(n, left + _LATENTS_AT_A_TIME)
        for c in range(depth):
            for j in range(left, right):
                out[c, j] = by_latent[j, c]
        for j in range(left, right):
            total = np.float32(0)
            for c in range(depth):
                total += by_latent[j, c] * shift[c]
            out_bias[j] = bias[j] - total


@njit(cache=True, nogil=True, parallel=True)
def row_thresholds(values, k, out):
    for b in prange(len(values)):
        out[b, 0] = threshold(values[b], values.shape[1], k, 0)


@njit(cache=True, nogil=True)
def most_reaching(values, edge):
    most = 0
    for b in range(len(values)):
        most = max(most, count_at_least(values[b], values.shape[1], edge))
    return most


@njit(cache=True, nogil=True)
def keep_reaching(indices, values, edge, out_indices, out_values):
    for b in range(len(values)):
        kept = 0
        for j in range(values.shape[1]):
            if values[b, j] >= edge:
                out_indices[b, kept], out_values[b, kept] = indices[b, j], values[b, j]
                kept += 1
