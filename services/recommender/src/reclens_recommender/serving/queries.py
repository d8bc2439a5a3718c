"""Queries to a served model: rankings of all items, untouched and edited, for several subjects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch

from reclens.steering.edits import LatentEdit, Mode
from reclens.steering.engine import Moved
from reclens.steering.plans import IdleEdit
from reclens.steering.readings import Reading
from reclens.steering.scores import Attribution, attribute
from reclens_recommender.serving.ranking.ranker import RankedItems, TopKQuery, TopKResult
from reclens_recommender.serving.representations.cache import Representation, Subject
from reclens_recommender.serving.served_model import ServedModel


@dataclass(frozen=True, eq=False)
class RankQuery:
    """Whom to rank for and what to edit, checked against the data set and the dictionary."""

    subject: Subject
    """The user or history to rank for."""
    top_k: int
    """How many items to return."""
    exclude_seen: bool = True
    """Whether items of the history are left out."""
    excluded: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    """Further items that are no candidates."""
    limits: Mapping[str, int] = field(default_factory=dict[str, int])
    """Most items of a ranking that may carry a tag."""
    edits: tuple[LatentEdit, ...] = ()
    """Edits of latents."""
    mode: Mode = Mode.RESIDUAL
    """How they are written back."""
    include_baseline: bool = False
    """Also list the untouched ranking."""
    include_latents: bool = False
    """Also list the latents and what they add."""

    @property
    def steered(self) -> bool:
        """Whether anything but the untouched ranking is asked for."""
        return bool(self.edits) or self.mode is Mode.RECONSTRUCT


@dataclass(frozen=True, eq=False)
class LatentTable:
    """Latents that fire before or after the edits, strongest first."""

    latents: npt.NDArray[np.int64]
    before: npt.NDArray[np.float64]
    """Activations in units of p99; as they are where a latent never fired."""
    after: npt.NDArray[np.float64]
    """Activations after the edits, in the same units."""
    attribution: Attribution
    """What each latent adds to the score of each item of the ranking."""


@dataclass(frozen=True, eq=False)
class RankResult:
    """The ranking that answers a query, and what the edits did."""

    ranked: RankedItems
    """The ranking, edited where edits were asked for."""
    baseline: RankedItems | None
    """The untouched ranking, where it was asked for."""
    baseline_items: npt.NDArray[np.int64] | None
    """Items of the untouched ranking, where something else was asked for."""
    history: npt.NDArray[np.int64]
    """Items that were ranked from, oldest first."""
    latents: LatentTable | None
    """The latents, where they were asked for."""
    relative_shift: float
    """Norm of x' - x over the norm of x."""
    edited_latents: int
    """Latents whose activation changed."""
    idle: tuple[IdleEdit, ...]
    """Edits that changed nothing."""


def rank(served: ServedModel, queries: Sequence[RankQuery]) -> list[RankResult]:
    """Answer ``queries`` together. Equal scores are in order of the item's row.

    A result has the same bits whatever other queries are answered with it.

    Raises:
        InvalidInput, NotReady: the model cannot represent one of the subjects; ask one by one to
            learn which.
    """
    with torch.inference_mode():
        representations = served.representations.of([query.subject for query in queries])
        moves = [
            served.steering.move(representation.reading, query.edits, query.mode)
            for query, representation in zip(queries, representations, strict=True)
        ]
        found = served.ranker.rank(
            [
                _top_k_query(served, *one)
                for one in zip(queries, representations, moves, strict=True)
            ]
        )
        return [
            _result(served, *one)
            for one in zip(queries, representations, moves, found, strict=True)
        ]


def _top_k_query(
    served: ServedModel, query: RankQuery, representation: Representation, moved: Moved
) -> TopKQuery:
    excluded = query.excluded
    if query.exclude_seen:
        seen = representation.seen
        excluded = np.union1d(seen, excluded) if len(excluded) else seen
    device = served.catalogue.weights.device
    return TopKQuery(
        representation=representation,
        edited=torch.from_numpy(moved.x).to(device, copy=True) if moved.moved else None,
        top_k=query.top_k,
        excluded=excluded,
        limits=query.limits,
        tags=served.tags,
    )


def _result(
    served: ServedModel,
    query: RankQuery,
    representation: Representation,
    moved: Moved,
    found: TopKResult,
) -> RankResult:
    reading, (baseline, ranked) = representation.reading, found
    shift = 0.0
    if moved.moved and reading.norm > 0:
        shift = float(np.linalg.norm((moved.x - reading.x).astype(np.float64))) / reading.norm
    return RankResult(
        ranked=ranked,
        baseline=baseline if query.include_baseline else None,
        baseline_items=baseline.items if query.steered else None,
        history=representation.subject.history,
        latents=_latents(served, reading, moved, ranked) if query.include_latents else None,
        relative_shift=shift,
        edited_latents=moved.edited_latents,
        idle=moved.idle,
    )


def _latents(
    served: ServedModel, reading: Reading, moved: Moved, ranked: RankedItems
) -> LatentTable:
    latents = np.union1d(reading.latents, moved.latents)
    before = np.zeros(len(latents), reading.x.dtype)
    before[np.searchsorted(latents, reading.latents)] = reading.values
    after = before.copy()
    after[np.searchsorted(latents, moved.latents)] = moved.after
    units = served.steering.units[latents]
    strength = np.maximum(np.abs(before), np.abs(after)) / units
    order = np.argsort(-strength, kind="stable")
    order = order[strength[order] > 0]
    device = served.catalogue.weights.device
    items = torch.from_numpy(ranked.items).to(device)
    return LatentTable(
        latents=latents[order],
        before=(before / units)[order],
        after=(after / units)[order],
        attribution=attribute(
            torch.from_numpy(ranked.scores).to(device),
            torch.from_numpy(latents[order]).to(device),
            torch.from_numpy(after[order]).to(device),
            sae=served.sae,
            item_weights=served.catalogue.weights[items],
            item_biases=served.catalogue.biases[items],
        ),
    )
