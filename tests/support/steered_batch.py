"""A batch with one list of edits written into all its cases, and the latents behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from reclens.steering.edits import LatentEdit, Mode
from reclens.steering.encoding import SteerableAutoencoder, host
from reclens.steering.engine import Steering
from reclens.steering.engine import steer as write_edits
from reclens.steering.plans import IdleEdit
from reclens.steering.scores import ScoreSpread


@dataclass(frozen=True, eq=False)
class SteeredBatch:
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
    sae: SteerableAutoencoder,
    p99: Float[Tensor, " n_latents"],
    edits: Sequence[LatentEdit],
    mode: Mode = Mode.RESIDUAL,
    *,
    spread: ScoreSpread | None = None,
) -> SteeredBatch:
    """What `reclens.steering.engine.steer` makes of ``x``, and of the latents."""
    steering = Steering(sae, p99, spread)
    encoded = steering.encode(x)
    edited = [steering.edit(one, edits, mode) for one in encoded]
    named = [one.latents for one in (*encoded, *edited)]
    latents = np.unique(np.concatenate([*named, np.zeros(0, np.int64)]))
    before = np.zeros((len(encoded), len(latents)), host(x).dtype)
    for row, one in enumerate(encoded):
        before[row] = one.at(latents)
    after = before.copy()
    for row, one in enumerate(edited):
        after[row, latents.searchsorted(one.latents)] = one.after
    idle_in = [{idle.index for idle in one.idle} for one in edited]
    return SteeredBatch(
        x=write_edits(x, sae, p99, edits, mode, spread=spread),
        latents=torch.from_numpy(latents).to(x.device),
        before=torch.from_numpy(before).to(x.device),
        after=torch.from_numpy(after).to(x.device),
        idle=tuple(
            idle
            for idle in (edited[0].idle if edited else ())
            if all(idle.index in indices for indices in idle_in)
        ),
    )
