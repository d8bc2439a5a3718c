"""Writes edited latents back into representations.

Encoding runs where the dictionary is. The rest is a few numbers a case, and is computed on the
host in plain arrays, case by case: a tensor operation would cost more than what it computes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor

from reclens.errors import InvalidInput
from reclens.steering.edits import Comparison, LatentEdit, Mode, check_latents
from reclens.steering.encoding import (
    EncodedVector,
    SteerableAutoencoder,
    encoded_vectors,
    host,
)
from reclens.steering.plans import CONDITION_FAILS, IdleEdit, Planner
from reclens.steering.scores import ScoreSpread


@dataclass(frozen=True, eq=False, slots=True)
class EditedVector:
    """A representation with edits written into it."""

    x: npt.NDArray[np.floating]
    """[d_model] the edited representation; that of before, the same object, unless ``changed``."""
    changed: bool
    """Whether it was written to."""
    latents: npt.NDArray[np.int64]
    """Latents that edits named, rising."""
    before: npt.NDArray[np.floating]
    """Their activations, untouched."""
    after: npt.NDArray[np.floating]
    """Their activations, edited."""
    idle: tuple[IdleEdit, ...]
    """Edits that changed nothing, in order."""

    @property
    def edited_latents(self) -> int:
        """Number of latents whose activation changed."""
        return int(np.count_nonzero(self.before != self.after))


class Steering:
    """A dictionary made ready to steer with.

    Args:
        sae: dictionary trained on the probe site.
        p99: [n_latents] 99th percentile of each latent over its firing cases; 0 where it never
            fires.
        spread: how far the dictionary's representations spread the scores of the items. None: they
            do not give scores by themselves; then ``Unit.SCORE_SPREAD`` is ``Unit.INPUT_NORM``.

    Raises:
        InvalidInput: there is not one percentile for each latent.
    """

    def __init__(
        self,
        sae: SteerableAutoencoder,
        p99: Float[Tensor, " n_latents"],
        spread: ScoreSpread | None = None,
    ) -> None:
        if p99.shape != sae.W_dec.shape[:1]:
            raise InvalidInput(
                f"{tuple(p99.shape)} percentiles for {sae.W_dec.shape[0]} latents.",
                field="p99",
                remedy="use the latents table that was written with this autoencoder.",
            )
        self.sae = sae
        self.n_latents = len(p99)
        self.p99 = host(p99)
        self.units = np.where(self.p99 > 0, self.p99, 1).astype(np.float64)
        """[n_latents] what an activation is told in: its p99; 1 where a latent never fired."""
        self._directions = host(sae.W_dec)
        self._scale = float(sae.input_scale)
        self._spread = None if spread is None else host(spread.factor)
        self._planner = Planner(self._directions, self._scale, self.p99, self._spread)

    def encode(self, x: Float[Tensor, "n d_model"]) -> list[EncodedVector]:
        """The latents that fire in each of ``x``."""
        return encoded_vectors(x, self.sae.encode(x), self._spread)

    def without_dead(self, latents: Sequence[int]) -> list[int]:
        """Those of ``latents`` that can be pushed, and those that the dictionary does not have."""
        return [one for one in latents if one >= self.n_latents or self.p99[one] > 0]

    def group_weights(self, latents: Sequence[int], shares: Sequence[float]) -> list[float]:
        """Weights with which latents, as one group, move along a sum of their directions.

        Args:
            latents: distinct ones that fire.
            shares: what the direction of each, with length 1, is multiplied with in the sum.

        Returns:
            One for each, the largest 1 by size; see `LatentGroup`.
        """
        rows = np.array(latents, dtype=np.int64)
        lengths = np.linalg.norm(self._directions[rows].astype(np.float64), axis=1)
        weights = np.array(shares, np.float64) / (self.p99[rows] * lengths)
        return (weights / np.abs(weights).max(initial=0.0)).tolist()

    def edit(
        self, encoded: EncodedVector, edits: Sequence[LatentEdit], mode: Mode = Mode.RESIDUAL
    ) -> EditedVector:
        """Write edits into a case.

        ``x' = x + scale * sum_j (z'_j - z_j) W_dec[j]`` over the edited latents j, so that whatever
        the dictionary does not explain of x stays as it is. Edits take effect in their order, each
        measured on the untouched activations: SET, SCALE and ABLATE replace what came before on
        the same latent, ADD accumulates. An ADD is not clipped at zero: the push is linear in its
        strength. An edit whose conditions do not hold is as if it were not there.

        Args:
            encoded: from `encode`.
            edits: what to change.
            mode: whether the reconstruction error is kept.

        Raises:
            InvalidInput: an edit names a latent that the dictionary does not have.

        Source: docs/explanation/method.md, steering: ``x' = x + (dec(z') - dec(z))``.
        """
        check_latents(edits, self.n_latents)
        x = encoded.x
        if mode is Mode.RECONSTRUCT:
            decoded = self.sae.decode(encoded.codes(self.sae.W_dec.device))
            x = host(decoded)[0].astype(x.dtype)
        applies = [place for place, edit in enumerate(edits) if self._holds(encoded, edit)]
        fails = [IdleEdit(i, CONDITION_FAILS) for i in range(len(edits)) if i not in applies]
        changed = mode is Mode.RECONSTRUCT
        if not applies:
            return EditedVector(x, changed, np.zeros(0, np.int64), x[:0], x[:0], tuple(fails))
        plan = self._planner.plan(tuple(edits[place] for place in applies))
        before, after, idle = plan.apply(encoded, applies)
        delta = after - before
        if delta.any():
            changed = True
            x = x + (self._scale * (delta @ self._directions[plan.latents])).astype(x.dtype)
        idle = tuple(sorted([*idle, *fails], key=lambda one: one.index))
        return EditedVector(x, changed, plan.latents, before, after, idle)

    def _holds(self, encoded: EncodedVector, edit: LatentEdit) -> bool:
        """Whether all conditions of an edit do."""
        for condition in edit.conditions:
            latents = np.array(condition.latents)
            strongest = float((encoded.at(latents) / self.units[latents]).max())
            above = condition.comparison is Comparison.ABOVE
            if not (strongest > condition.level if above else strongest < condition.level):
                return False
        return True


def steer(
    x: Float[Tensor, "batch d_model"],
    sae: SteerableAutoencoder,
    p99: Float[Tensor, " n_latents"],
    edits: Sequence[LatentEdit],
    mode: Mode = Mode.RESIDUAL,
    *,
    spread: ScoreSpread | None = None,
) -> Float[Tensor, "batch d_model"]:
    """Write the same ``edits`` into every case of ``x``; see `Steering.edit`.

    Returns:
        The edited representations; the same object as ``x`` where nothing changed.

    Raises:
        InvalidInput: an edit names a latent that the dictionary does not have, or there is not one
            percentile for each latent.
    """
    steering = Steering(sae, p99, spread)
    check_latents(edits, steering.n_latents)
    edited = [steering.edit(one, edits, mode) for one in steering.encode(x)]
    if not any(one.changed for one in edited):
        return x
    return torch.from_numpy(np.stack([one.x for one in edited])).to(x)
