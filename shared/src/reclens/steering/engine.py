"""Writes edited latents back into representations, each case with edits of its own.

Encoding runs where the dictionary is. The rest is a few numbers a case, and is computed on the
host in plain arrays: a tensor operation would cost more than what it computes. A case comes out
with the same bits whatever other cases are computed with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from reclens.errors import InvalidInput
from reclens.steering.edits import Comparison, LatentEdit, Mode, check_latents
from reclens.steering.plans import Planner
from reclens.steering.readings import Readings, host
from reclens.steering.spread import ScoreSpread
from reclens.steering.writing import CONDITION_FAILS, IdleEdit, Part, Written, write


class Dictionary(Protocol):
    """What steering needs of a sparse autoencoder.

    Its codes have ``indices [batch, k]`` and ``values [batch, k]``; a value of 0 is padding.
    """

    @property
    def W_dec(self) -> Float[Tensor, "n_latents d_model"]: ...  # noqa: N802
    @property
    def input_scale(self) -> Float[Tensor, ""]: ...
    def encode(self, x: Float[Tensor, "batch d_model"], /) -> Any: ...
    def decode(self, codes: Any, /) -> Float[Tensor, "batch d_model"]: ...


@dataclass(frozen=True, eq=False)
class Moved:
    """Representations with edits written into them."""

    x: npt.NDArray[np.floating]
    """[n, d_model] edited representations; a case that is not ``moved`` has the bits of before."""
    moved: npt.NDArray[np.bool_]
    """[n] whether a case was written to."""
    starts: npt.NDArray[np.int64]
    """[n + 1] where each case begins in ``latents``."""
    latents: npt.NDArray[np.int64]
    """Latents that edits named, rising within each case."""
    before: npt.NDArray[np.floating]
    """Their activations, untouched."""
    after: npt.NDArray[np.floating]
    """Their activations, edited."""
    idle: list[tuple[IdleEdit, ...]]
    """For each case the edits that changed nothing."""

    @property
    def edited_latents(self) -> npt.NDArray[np.int64]:
        """[n] number of latents whose activation changed."""
        counts = np.concatenate([[0], np.cumsum(self.before != self.after)])
        return counts[self.starts[1:]] - counts[self.starts[:-1]]

    def case(self, row: int) -> slice:
        """Where the latents of one case are."""
        return slice(int(self.starts[row]), int(self.starts[row + 1]))


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
        sae: Dictionary,
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
        self._directions = sae.W_dec.detach().cpu()
        self._scale = float(sae.input_scale)
        self._spread = None if spread is None else host(spread.factor)
        self._planner = Planner(self._directions.numpy(), self._scale, self.p99, self._spread)

    def read(self, x: Float[Tensor, "n d_model"]) -> Readings:
        """The latents that fire in each of ``x``."""
        return Readings.of(x, self.sae.encode(x), self._spread)

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
        lengths = np.linalg.norm(self._directions.numpy()[rows].astype(np.float64), axis=1)
        weights = np.array(shares, np.float64) / (self.p99[rows] * lengths)
        return (weights / np.abs(weights).max(initial=0.0)).tolist()

    def move(
        self,
        readings: Readings,
        edits: Sequence[Sequence[LatentEdit]],
        modes: Sequence[Mode] | None = None,
    ) -> Moved:
        """Write edits into ``readings``, one list of edits for each case.

        ``x' = x + scale * sum_j (z'_j - z_j) W_dec[j]`` over the edited latents j, so that whatever
        the dictionary does not explain of x stays as it is. Edits take effect in their order, each
        measured on the untouched activations: SET, SCALE and ABLATE replace what came before on
        the same latent, ADD accumulates. An ADD is not clipped at zero: the push is linear in its
        strength. An edit whose conditions do not hold in a case is as if it were not there.

        Args:
            readings: from `read`.
            edits: for each case the edits to make.
            modes: for each case whether the reconstruction error is kept. None: it is.

        Raises:
            InvalidInput: an edit names a latent that the dictionary does not have.

        Source: docs/method.md, steering: ``x' = x + (dec(z') - dec(z))``.
        """
        idle: list[list[IdleEdit]] = [[] for _ in range(len(readings))]
        parts = self._parts(readings, edits, idle)
        moved = np.zeros(len(readings), dtype=bool)
        x = readings.x
        reconstructed = [row for row, mode in enumerate(modes or ()) if mode is Mode.RECONSTRUCT]
        if reconstructed:
            rows = np.array(reconstructed)
            codes = readings.codes(rows, self.sae.W_dec.device)
            x = x.copy()
            x[rows] = host(self.sae.decode(codes)).astype(x.dtype)
            moved[rows] = True
        written = write(readings, parts, self.n_latents, idle)
        changed = written.changed
        if changed.any():
            if x is readings.x:
                x = x.copy()
            x[changed] = x[changed] + self._shift(written, changed, x.dtype)
            moved |= changed
        return Moved(
            x=x,
            moved=moved,
            starts=written.starts,
            latents=written.latents,
            before=written.before,
            after=written.after,
            idle=[tuple(sorted(of_case, key=lambda one: one.index)) for of_case in idle],
        )

    def _parts(
        self,
        readings: Readings,
        edits: Sequence[Sequence[LatentEdit]],
        idle: list[list[IdleEdit]],
    ) -> list[Part]:
        """Cases with the plan of those edits that apply in them."""
        rows_of: dict[int, list[int]] = {}
        for row, of_case in enumerate(edits):
            if of_case:
                rows_of.setdefault(id(of_case), []).append(row)
        parts: list[Part] = []
        for rows in rows_of.values():
            of_case = tuple(edits[rows[0]])
            check_latents(of_case, self.n_latents)
            if not any(edit.conditions for edit in of_case):
                everything = tuple(range(len(of_case)))
                parts.append(Part(np.array(rows), self._planner.plan(of_case), everything))
                continue
            holds = self._holds(readings, np.array(rows), of_case)
            by_pattern: dict[bytes, list[int]] = {}
            for place, row in enumerate(rows):
                by_pattern.setdefault(holds[place].tobytes(), []).append(row)
            for pattern, these in by_pattern.items():
                applies = np.frombuffer(pattern, dtype=bool)
                for row in these:
                    idle[row] += [
                        IdleEdit(int(i), CONDITION_FAILS) for i in np.flatnonzero(~applies)
                    ]
                if applies.any():
                    indices = tuple(np.flatnonzero(applies).tolist())
                    plan = self._planner.plan(tuple(of_case[index] for index in indices))
                    parts.append(Part(np.array(these), plan, indices))
        return parts

    def _holds(
        self, readings: Readings, rows: npt.NDArray[np.int64], edits: Sequence[LatentEdit]
    ) -> Bool[np.ndarray, "n_rows n_edits"]:
        holds = np.ones((len(rows), len(edits)), dtype=bool)
        for place, edit in enumerate(edits):
            for condition in edit.conditions:
                latents = np.array(condition.latents)
                asked = np.repeat(rows, len(latents)), np.tile(latents, len(rows))
                z = readings.at(*asked, self.n_latents) / self.units[asked[1]]
                strongest = z.reshape(len(rows), -1).max(axis=1)
                above = condition.comparison is Comparison.ABOVE
                holds[:, place] &= (
                    strongest > condition.level if above else strongest < condition.level
                )
        return holds

    def _shift(
        self, written: Written, changed: npt.NDArray[np.bool_], dtype: Any
    ) -> npt.NDArray[np.floating]:
        lengths = np.diff(written.starts)
        within = np.repeat(changed, lengths)
        bags = np.concatenate([[0], np.cumsum(lengths[changed])[:-1]])
        delta = torch.from_numpy((written.after - written.before)[within])
        # Summed bag by bag: what a case gets does not depend on the others.
        shift = functional.embedding_bag(
            torch.from_numpy(written.latents[within]),
            self._directions.to(delta.dtype),
            torch.from_numpy(bags),
            mode="sum",
            per_sample_weights=delta,
        )
        return (self._scale * shift.numpy()).astype(dtype, copy=False)


@dataclass(frozen=True, eq=False)
class Steered:
    """A batch with one list of edits written into all its cases, and the latents behind it."""

    x: Float[Tensor, "batch d_model"]
    """The edited representations; the same object as the input where nothing changed."""
    latents: Int[Tensor, " n_listed"]
    """Indices, rising, of the latents that fire or are edited in any case."""
    before: Float[Tensor, "batch n_listed"]
    """Their activations, untouched."""
    after: Float[Tensor, "batch n_listed"]
    """Their activations, edited."""
    idle: tuple[IdleEdit, ...]
    """Edits that changed nothing in any case."""

    @property
    def changed(self) -> Bool[Tensor, "batch n_listed"]:
        """Which activations the edits changed."""
        return self.before != self.after


def steer(
    x: Float[Tensor, "batch d_model"],
    sae: Dictionary,
    p99: Float[Tensor, " n_latents"],
    edits: Sequence[LatentEdit],
    mode: Mode = Mode.RESIDUAL,
    *,
    spread: ScoreSpread | None = None,
) -> Steered:
    """Write the same ``edits`` into every case of ``x``; see `Steering.move`.

    Raises:
        InvalidInput: an edit names a latent that the dictionary does not have, or there is not one
            percentile for each latent.
    """
    steering = Steering(sae, p99, spread)
    readings = steering.read(x)
    check_latents(edits, steering.n_latents)
    moved = steering.move(readings, [edits] * len(readings), [mode] * len(readings))
    latents = np.unique(np.concatenate([readings.latents, moved.latents]))
    before = np.zeros((len(readings), len(latents)), readings.x.dtype)
    _fill(before, latents, readings.starts, readings.latents, readings.values)
    after = before.copy()
    _fill(after, latents, moved.starts, moved.latents, moved.after)
    everywhere = set.intersection(*({one.index for one in case} for case in moved.idle or [()]))
    return Steered(
        x=torch.from_numpy(moved.x).to(x) if moved.moved.any() else x,
        latents=torch.from_numpy(latents).to(x.device),
        before=torch.from_numpy(before).to(x.device),
        after=torch.from_numpy(after).to(x.device),
        idle=tuple(one for one in (moved.idle or [()])[0] if one.index in everywhere),
    )


def _fill(
    dense: npt.NDArray[np.floating],
    columns: npt.NDArray[np.int64],
    starts: npt.NDArray[np.int64],
    latents: npt.NDArray[np.int64],
    values: npt.NDArray[np.floating],
) -> None:
    rows = np.repeat(np.arange(len(dense)), np.diff(starts))
    dense[rows, np.searchsorted(columns, latents)] = values
