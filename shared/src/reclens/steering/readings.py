"""What a dictionary reads in representations: the few latents that fire, case by case."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor


class PaddedCodes(NamedTuple):
    """Codes as dictionaries decode them; rows in which fewer fire are filled with zeros."""

    indices: Tensor
    values: Tensor


@dataclass(frozen=True, eq=False)
class Readings:
    """Representations on the host, with the latents that fire in each."""

    x: npt.NDArray[np.floating]
    """[n, d_model]"""
    norms: npt.NDArray[np.float64]
    """[n] norm of each x."""
    spreads: npt.NDArray[np.float64]
    """[n] standard deviation, over all items, of the scores that each x gives; its norm where it is
    not known how x gives scores."""
    starts: npt.NDArray[np.int64]
    """[n + 1] where each case begins in ``latents``."""
    latents: npt.NDArray[np.int64]
    """Latents that fire, rising within each case."""
    values: npt.NDArray[np.floating]
    """Their activations."""

    @classmethod
    def of(cls, x: Tensor, codes: Any, spread: npt.NDArray[np.float64] | None = None) -> Readings:
        """Readings of ``x`` [n, d_model] that a dictionary encoded as ``codes``.

        Args:
            x: representations.
            codes: what fires in each.
            spread: see `Planner`.
        """
        vectors = host(x)
        indices = host(codes.indices).astype(np.int64, copy=False)
        values = host(codes.values).astype(vectors.dtype, copy=False)
        rows, columns = np.nonzero(values)
        latents = indices[rows, columns]
        order = np.lexsort((latents, rows))
        precise = vectors.astype(np.float64)
        norms = np.linalg.norm(precise, axis=1)
        # One at a time: what is felt of a case does not depend on the others.
        felt = norms if spread is None else [np.linalg.norm(row @ spread) for row in precise]
        return cls(
            x=vectors,
            norms=norms,
            spreads=np.asarray(felt, np.float64),
            starts=np.searchsorted(rows, np.arange(len(vectors) + 1)),
            latents=latents[order],
            values=values[rows, columns][order],
        )

    @classmethod
    def together(cls, parts: Sequence[Readings]) -> Readings:
        """All cases of ``parts``, in order; at least one part."""
        if len(parts) == 1:
            return parts[0]
        lengths = np.concatenate([np.diff(part.starts) for part in parts])
        return cls(
            x=np.concatenate([part.x for part in parts]),
            norms=np.concatenate([part.norms for part in parts]),
            spreads=np.concatenate([part.spreads for part in parts]),
            starts=np.concatenate([[0], np.cumsum(lengths)]),
            latents=np.concatenate([part.latents for part in parts]),
            values=np.concatenate([part.values for part in parts]),
        )

    def __len__(self) -> int:
        return len(self.x)

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays."""
        arrays = (self.x, self.norms, self.spreads, self.starts, self.latents, self.values)
        return sum(array.nbytes for array in arrays)

    def case(self, row: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.floating]]:
        """The latents that fire in one case, rising, and their activations."""
        part = slice(int(self.starts[row]), int(self.starts[row + 1]))
        return self.latents[part], self.values[part]

    def at(
        self, rows: npt.NDArray[np.int64], latents: npt.NDArray[np.int64], n_latents: int
    ) -> npt.NDArray[np.floating]:
        """Activations of given latents in given cases, 0 where one does not fire.

        Args:
            rows: cases.
            latents: one for each of ``rows``.
            n_latents: size of the dictionary.
        """
        if len(self.latents) == 0:
            return np.zeros(len(rows), self.x.dtype)
        owners = np.repeat(np.arange(len(self)), np.diff(self.starts))
        known, asked = owners * n_latents + self.latents, rows * n_latents + latents
        place = np.minimum(np.searchsorted(known, asked), len(known) - 1)
        return np.where(known[place] == asked, self.values[place], self.x.dtype.type(0))

    def codes(self, rows: npt.NDArray[np.int64], device: torch.device) -> PaddedCodes:
        """Codes of some of the cases, for decoding."""
        parts = [self.case(int(row)) for row in rows]
        width = max(1, max((len(latents) for latents, _ in parts), default=1))
        indices = np.zeros((len(parts), width), np.int64)
        values = np.zeros((len(parts), width), self.x.dtype)
        for row, (latents, activations) in enumerate(parts):
            indices[row, : len(latents)] = latents
            values[row, : len(latents)] = activations
        return PaddedCodes(
            torch.from_numpy(indices).to(device), torch.from_numpy(values).to(device)
        )


def host(tensor: Tensor) -> npt.NDArray[Any]:
    """The numbers of a tensor, wherever it is; shared with it on the CPU."""
    return tensor.detach().cpu().numpy()
