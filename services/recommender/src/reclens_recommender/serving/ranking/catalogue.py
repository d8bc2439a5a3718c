"""Scores of all items for several representations: bounded at once, exact where it counts.

A product of one vector with the item vectors is what the model itself computes for one request, so
its bits are the truth. A product of many vectors at once costs a fraction of that, but its last
bits differ, and differ with how many vectors there are. So the large product only tells which items
may matter, within a bound of rounding that holds whatever the order of its sums, and what matters
is computed again as the model does: an answer is the same bit for bit whoever asks beside it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor

GROUP = 16
"""Neighbouring items that are scored together exactly. A multiple of what the kernels of products
of one vector take at a time, so that an item's bits do not depend on which groups are taken."""

_CHUNK_ITEMS = 8192
"""Items of one large product: with 32 vectors its result, 1 MB, is still in the cache when it is
searched. 32 vectors, a million items, one core: 89 ms, and 188 ms with chunks of 32,768."""
_TAIL_ITEMS = 256
_FEWEST_SHARED_CHUNKS = 4

Search: TypeAlias = Callable[[int, Tensor], None]
"""Looks at the scores of some items, given the first of them."""


class Catalogue:
    """Item vectors and biases, laid out for products.

    Args:
        weights: one vector an item.
        biases: one number an item.
        threads: threads that share the work of a large product.
    """

    def __init__(
        self,
        weights: Float[Tensor, "n_items d_model"],
        biases: Float[Tensor, " n_items"],
        threads: int = 1,
    ) -> None:
        self.weights = weights.detach().contiguous()
        self.biases = biases.detach().contiguous()
        self.n_items, self.d_model = self.weights.shape
        self._longest = float(self.weights.double().norm(dim=1).max())
        self._highest_bias = float(self.biases.abs().max())
        padding = -self.n_items % GROUP
        self._bias_groups = np.pad(self.biases.cpu().numpy(), (0, padding)).reshape(-1, GROUP)
        self._n_whole = self.n_items // GROUP
        # The last items are computed within a piece that ends as the whole does.
        self._tail = max(0, self._n_whole * GROUP - _TAIL_ITEMS)
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads, "search") if threads > 1 else None
        self._local = threading.local()

    def scores(self, x: Float[Tensor, " d_model"]) -> Float[Tensor, " n_items"]:
        """Scores as ``Recommender.forward`` computes them for one request."""
        return (x[None] @ self.weights.T + self.biases)[0]

    def margins(self, x: Float[Tensor, "n_rows d_model"]) -> npt.NDArray[np.float64]:
        """How far two ways to sum the scores of ``x`` can be apart, such as `visit` and `exact`.

        Source: Higham, Accuracy and Stability of Numerical Algorithms, 2002, equation 3.5: any
        order of n additions errs by at most gamma_n = n u / (1 - n u) times the sum of the sizes,
        which is at most |x| |w| + |b|.
        """
        norms = x.double().norm(dim=1).numpy()
        n = (self.d_model + 1) * 2.0**-24
        return 2.02 * n / (1 - n) * (norms * self._longest + self._highest_bias)

    def visit(self, x: Float[Tensor, "n_rows d_model"], search: Search) -> None:
        """Show all scores of ``x``, within `margins`, to ``search``, some items at a time.

        Args:
            x: vectors.
            search: called with the first of the items and [n_rows, size] scores on the host, which
                it may write to and must not keep; maybe from several threads at once.
        """
        starts = range(0, self.n_items, _CHUNK_ITEMS)
        if self._pool is None or len(starts) < _FEWEST_SHARED_CHUNKS:
            for start in starts:
                search(start, self._chunk(x, start))
            return

        def part(first: int) -> None:
            # What mode a thread is in is its own.
            with torch.inference_mode():
                for start in starts[first :: self._threads]:
                    search(start, self._chunk(x, start))

        for _ in self._pool.map(part, range(self._threads)):
            pass

    def _chunk(
        self, x: Float[Tensor, "n_rows d_model"], start: int
    ) -> Float[Tensor, "n_rows size"]:
        stop = min(self.n_items, start + _CHUNK_ITEMS)
        size = len(x) * (stop - start)
        buffer: Tensor | None = getattr(self._local, "buffer", None)
        if buffer is None or len(buffer) < size:
            buffer = self._local.buffer = torch.empty(size)
        out = buffer[:size].view(len(x), stop - start)
        return torch.addmm(self.biases[start:stop], x, self.weights[start:stop].T, out=out)

    def exact(
        self,
        x: Sequence[Float[Tensor, " d_model"]],
        rows: npt.NDArray[np.int64],
        groups: npt.NDArray[np.int64],
    ) -> Float[np.ndarray, "n group"]:
        """Scores of groups of ``GROUP`` neighbours for some of ``x``, with the bits of `scores`.

        Beyond the last item they are minus infinity.

        Args:
            x: vectors.
            rows: which of them, rising.
            groups: one for each of ``rows``.
        """
        # Groups beyond the whole ones are put in place afterwards.
        ends = np.flatnonzero(groups >= self._n_whole)
        known = np.minimum(groups, self._n_whole - 1) if len(ends) else groups
        scores = self._bias_groups[groups]
        if self._n_whole:
            items = torch.from_numpy((known[:, None] * GROUP + np.arange(GROUP)).ravel())
            products = torch.empty(len(items))
            starts = np.flatnonzero(np.diff(rows, prepend=-1)).tolist()
            for first, last in pairwise([*starts, len(rows)]):
                part = slice(GROUP * first, GROUP * last)
                vectors = self.weights.index_select(0, items[part])
                torch.mv(vectors, x[rows[first]], out=products[part])
            scores += products.numpy().reshape(-1, GROUP)
        size = self.n_items % GROUP
        for place in ends.tolist():
            last = torch.mv(self.weights[self._tail :], x[rows[place]]).numpy()[-size:]
            scores[place] = -np.inf
            scores[place, :size] = last + self._bias_groups[-1, :size]
        return scores

    def of_items(
        self,
        x: Sequence[Float[Tensor, " d_model"]],
        rows: npt.NDArray[np.int64],
        items: npt.NDArray[np.int64],
    ) -> npt.NDArray[np.float32]:
        """Scores of single items for some of ``x``, one for each of ``rows``, see `exact`."""
        n_groups = -(-self.n_items // GROUP)
        keys, place = np.unique(rows * n_groups + items // GROUP, return_inverse=True)
        return self.exact(x, keys // n_groups, keys % n_groups)[place, items % GROUP]
