"""Representations as a dictionary encodes them: the few latents that fire."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor


class SteerableAutoencoder(Protocol):
    """What steering needs of a sparse autoencoder.

    Its codes have ``indices [batch, k]`` and ``values [batch, k]``; a value of 0 is padding.
    """

    @property
    def W_dec(self) -> Float[Tensor, "n_latents d_model"]: ...  # noqa: N802
    @property
    def input_scale(self) -> Float[Tensor, ""]: ...
    def encode(self, x: Float[Tensor, "batch d_model"], /) -> Any: ...
    def decode(self, codes: Any, /) -> Float[Tensor, "batch d_model"]: ...


class PaddedCodes(NamedTuple):
    """Codes as dictionaries decode them."""

    indices: Tensor
    values: Tensor


@dataclass(frozen=True, eq=False, slots=True)
class EncodedVector:
    """One representation on the host, with the latents that fire in it."""

    x: npt.NDArray[np.floating]
    """The representation [d_model]."""
    norm: float
    """Euclidean norm of x."""
    spread: float
    """Standard deviation, over all items, of the scores that x gives; its norm where it is not
    known how x gives scores."""
    latents: npt.NDArray[np.int64]
    """Latents that fire, rising."""
    values: npt.NDArray[np.floating]
    """Their activations."""

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays."""
        return self.x.nbytes + self.latents.nbytes + self.values.nbytes

    @property
    def finite(self) -> bool:
        """Whether all numbers are."""
        return bool(np.isfinite(self.x).all() and np.isfinite(self.values).all())

    def at(self, latents: npt.NDArray[np.int64]) -> npt.NDArray[np.floating]:
        """Activations of given latents, 0 where one does not fire."""
        if not len(self.latents):
            return np.zeros(len(latents), self.x.dtype)
        place = self.latents.searchsorted(latents)
        place[place == len(self.latents)] = 0
        return np.where(self.latents[place] == latents, self.values[place], self.x.dtype.type(0))

    def codes(self, device: torch.device) -> PaddedCodes:
        """The codes of this one case, for decoding."""
        indices = self.latents if len(self.latents) else np.zeros(1, np.int64)
        values = self.values if len(self.latents) else np.zeros(1, self.x.dtype)
        return PaddedCodes(
            torch.from_numpy(indices[None]).to(device), torch.from_numpy(values[None]).to(device)
        )


def encoded_vectors(
    x: Tensor, codes: Any, spread: npt.NDArray[np.float64] | None = None
) -> list[EncodedVector]:
    """The vectors of ``x`` [n, d_model], which a dictionary encoded as ``codes``.

    Args:
        x: representations.
        codes: what fires in each.
        spread: see `Planner`.
    """
    vectors = host(x)
    all_indices = host(codes.indices).astype(np.int64, copy=False)
    all_values = host(codes.values).astype(vectors.dtype, copy=False)
    encoded: list[EncodedVector] = []
    for vector, indices, values in zip(vectors, all_indices, all_values, strict=True):
        fires = np.flatnonzero(values)
        latents = indices[fires]
        order = latents.argsort()
        precise = vector.astype(np.float64)
        norm = float(np.linalg.norm(precise))
        felt = norm if spread is None else float(np.linalg.norm(precise @ spread))
        encoded.append(EncodedVector(vector, norm, felt, latents[order], values[fires[order]]))
    return encoded


def host(tensor: Tensor) -> npt.NDArray[Any]:
    """The numbers of a tensor, wherever it is; shared with it on the CPU, but for bfloat16, which
    numpy has not: as float32."""
    tensor = tensor.detach().cpu()
    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()
