"""Sparse codes: the few latents that fire for an activation, and what chooses them."""

from __future__ import annotations

from typing import NamedTuple

from jaxtyping import Float, Int
from torch import Tensor

from reclens.sae.cpu.backend import compiled_kernels


class Codes(NamedTuple):
    """Active latents of a batch, strongest first."""

    indices: Int[Tensor, "batch k"]
    """Latents, int64."""
    values: Float[Tensor, "batch k"]
    """Their activations, float32, falling and never negative. Zero: the latent does not fire."""

    def dense(self, n_latents: int) -> Float[Tensor, "batch n_latents"]:
        """The same codes with a column per latent."""
        return scatter_codes(self.indices, self.values, n_latents)


def scatter_codes(
    indices: Int[Tensor, "batch k"], values: Float[Tensor, "batch k"], n_latents: int
) -> Float[Tensor, "batch n_latents"]:
    """The matrix whose row b holds ``values[b]`` at the columns ``indices[b]``, added up."""
    return values.new_zeros(len(values), n_latents).scatter_add_(1, indices, values)


def kth_largest(values: Tensor, k: int) -> Float[Tensor, ""]:
    """A number that exactly ``k`` of all ``values`` reach; ties may let more reach it."""
    kernels = compiled_kernels(values.device)
    if kernels is None:
        return values.flatten().topk(k, sorted=False).values.min()
    return kernels.kth_largest(values, k)


def kth_largest_of_rows(values: Float[Tensor, "batch width"], k: int) -> Float[Tensor, "batch 1"]:
    """For each row a number that exactly ``k`` of it reach; ties may let more reach it."""
    kernels = compiled_kernels(values.device)
    if kernels is None:
        return values.topk(k, dim=1).values[:, -1:]
    return kernels.kth_largest_of_rows(values, k)


def keep_reaching(
    indices: Int[Tensor, "batch width"], values: Float[Tensor, "batch width"], edge: Tensor
) -> tuple[Int[Tensor, "batch kept"], Float[Tensor, "batch kept"]]:
    """Of each row the entries that reach ``edge``, as narrow as the longest row allows.

    Returns:
        Indices and values; short rows are filled with entries of the value -1.
    """
    kernels = compiled_kernels(values.device)
    if kernels is not None:
        return kernels.keep_reaching(indices, values, edge)
    reaches = values >= edge
    width = max(1, int(reaches.sum(1).max()))
    values, place = values.masked_fill(~reaches, -1.0).topk(width, dim=1, sorted=False)
    return indices.gather(1, place), values
