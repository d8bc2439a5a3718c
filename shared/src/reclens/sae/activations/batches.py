"""The order in which a trainer sees activations: seeded, and findable again from a step number."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from reclens.sae.activations.sources import ActivationSource, load_shard

POOL_BYTES = 128 << 20
"""Activations that are in memory and mixed with each other at a time. One shard may be larger."""


class ShuffledBatches:
    """Batches of normalised activations, epoch after epoch.

    Shards are gathered into pools of at most ``pool_bytes``: by a seeded permutation, so that
    neighbours on disk (the same users) spread out. Every epoch has its own order of pools and of
    the rows within a pool. All of it follows from the seed and the step, so there is no position
    or generator to save. Batches of a pool have equal sizes but for one row: none is tiny. A pool
    is held on ``device`` as a whole, so that no step has to copy to it.
    """

    def __init__(
        self,
        source: ActivationSource,
        rows: list[int],
        *,
        mean: np.ndarray,
        scale: float | np.ndarray,
        batch_size: int,
        seed: int,
        pool_bytes: int = POOL_BYTES,
        device: torch.device | str = "cpu",
    ) -> None:
        self._source = source
        self._rows = rows
        self._mean = mean.astype(np.float32)
        self._scale = np.asarray(scale, np.float32)
        self._seed = seed
        self._device = device
        self._pools = self._gather_pools(pool_bytes)
        sizes = [sum(rows[i] for i in pool) for pool in self._pools]
        self._n_batches = [-(-size // batch_size) for size in sizes]
        self._held: tuple[int, Tensor] | None = None

    @property
    def per_epoch(self) -> int:
        """Batches in one pass over the data."""
        return sum(self._n_batches)

    def from_step(self, step: int, n_epochs: int) -> Iterator[Float[Tensor, "batch d_model"]]:
        """The batches from number ``step`` on, to the end of the last epoch."""
        first_epoch, skip = divmod(step, self.per_epoch)
        for epoch in range(first_epoch, n_epochs):
            order = np.random.default_rng([self._seed, epoch]).permutation(len(self._pools))
            for pool in order.tolist():
                if skip >= self._n_batches[pool]:
                    skip -= self._n_batches[pool]
                    continue
                x = self._load(pool)
                rng = np.random.default_rng([self._seed, epoch, pool])
                permutation = torch.from_numpy(rng.permutation(len(x))).to(self._device)
                parts = torch.tensor_split(permutation, self._n_batches[pool])
                for part in parts[skip:]:
                    yield x[part]
                skip = 0

    def _gather_pools(self, pool_bytes: int) -> list[list[int]]:
        row_bytes = self._mean.nbytes
        pools: list[list[int]] = []
        size = 0
        for i in np.random.default_rng(self._seed).permutation(len(self._rows)).tolist():
            shard_bytes = self._rows[i] * row_bytes
            if not shard_bytes:
                continue
            if not pools or size + shard_bytes > pool_bytes:
                pools.append([])
                size = 0
            pools[-1].append(i)
            size += shard_bytes
        return pools

    def _load(self, pool: int) -> Tensor:
        if self._held is not None and self._held[0] == pool:
            return self._held[1]
        self._held = None  # freed before the next one is read
        shards = self._pools[pool]
        x = np.empty((sum(self._rows[i] for i in shards), len(self._mean)), np.float32)
        start = 0
        for i in shards:
            rows = x[start : start + self._rows[i]]
            np.subtract(load_shard(self._source, i, len(self._mean)), self._mean, out=rows)
            rows /= self._scale
            start += self._rows[i]
        self._held = (pool, torch.from_numpy(x).to(self._device))
        return self._held[1]
