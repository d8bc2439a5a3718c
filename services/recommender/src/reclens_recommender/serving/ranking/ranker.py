"""Ranks all items for several users or histories at once, untouched and edited."""

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
from reclens_recommender.serving.ranking import approximate_ranking, exact_ranking
from reclens_recommender.serving.ranking.finding import Found, Wanted
from reclens_recommender.serving.representations import Case, Subject
from reclens_recommender.serving.served_model import ServedModel


@dataclass(frozen=True, eq=False)
class Question:
    """What is asked, checked against the data set and the dictionary."""

    subject: Subject
    """Whom to rank for."""
    top_k: int
    """Items to return."""
    exclude_seen: bool = True
    """Leave out the history."""
    excluded: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    """Further items that are no candidates."""
    limits: Mapping[str, int] = field(default_factory=dict[str, int])
    """Most items of an answer that may carry a tag."""
    edits: tuple[LatentEdit, ...] = ()
    """Changes of latents."""
    mode: Mode = Mode.RESIDUAL
    """How they are written back."""
    include_baseline: bool = False
    """Also list the untouched answer."""
    include_latents: bool = False
    """Also list the latents and what they add."""

    @property
    def steered(self) -> bool:
        """Whether anything but the untouched answer is asked for."""
        return bool(self.edits) or self.mode is Mode.RECONSTRUCT


@dataclass(frozen=True, eq=False)
class RankedItems:
    """Items in order, best first, as columns."""

    items: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float32]
    baseline_ranks: npt.NDArray[np.int64]
    """Places by the untouched scores, from 1, among the same candidates. 0: not known, as an
    approximate index was searched and the item is further down than it looked."""
    baseline_scores: npt.NDArray[np.float32]
    """The untouched scores."""


@dataclass(frozen=True, eq=False)
class LatentTable:
    """Latents that fire before or after the edits, strongest first."""

    latents: npt.NDArray[np.int64]
    before: npt.NDArray[np.float64]
    """Activations in units of p99; as they are where a latent never fired."""
    after: npt.NDArray[np.float64]
    """The same, edited."""
    attribution: Attribution
    """What each latent adds to the score of each item of the answer."""


@dataclass(frozen=True, eq=False)
class Answer:
    """What came out."""

    ranked: RankedItems
    """The answer."""
    baseline: RankedItems | None
    """The untouched answer, where it was asked for."""
    baseline_items: npt.NDArray[np.int64] | None
    """Items of the untouched answer, where something else was asked for."""
    history: npt.NDArray[np.int64]
    """Items that were ranked from, oldest first."""
    latents: LatentTable | None
    """Where they were asked for."""
    relative_shift: float
    """Norm of x' - x over the norm of x."""
    edited_latents: int
    """Latents whose activation changed."""
    idle: tuple[IdleEdit, ...]
    """Edits that changed nothing."""


def rank(served: ServedModel, questions: Sequence[Question]) -> list[Answer]:
    """Answer ``questions`` together. Equal scores are in order of the item's row.

    An answer has the same bits whatever other questions are answered with it.

    Raises:
        InvalidInput, NotReady: the model cannot represent one of the subjects; ask one by one to
            learn which.
    """
    with torch.inference_mode():
        return _rank(served, questions)


def _rank(served: ServedModel, questions: Sequence[Question]) -> list[Answer]:
    cases = served.representations.of([question.subject for question in questions])
    device = served.catalogue.weights.device
    moves: list[Moved] = []
    wanted: list[Wanted] = []
    for question, case in zip(questions, cases, strict=True):
        moved = served.steering.move(case.reading, question.edits, question.mode)
        moves.append(moved)
        wanted.append(
            Wanted(
                subject=question.subject,
                case=case,
                edited=torch.from_numpy(moved.x).to(device, copy=True) if moved.moved else None,
                top_k=question.top_k,
                excluded=_excluded(question, case),
                limits=question.limits,
            )
        )
    return [
        _answer(served, *of_one)
        for of_one in zip(questions, cases, moves, _find(served, wanted), strict=True)
    ]


def _answer(
    served: ServedModel, question: Question, case: Case, moved: Moved, found: Found
) -> Answer:
    baseline, ranked = _columns(found)
    latents = _latents(served, case.reading, moved, ranked) if question.include_latents else None
    return Answer(
        ranked=ranked,
        baseline=baseline if question.include_baseline else None,
        baseline_items=baseline.items if question.steered else None,
        history=case.history,
        latents=latents,
        relative_shift=_relative_shift(case.reading, moved),
        edited_latents=moved.edited_latents,
        idle=moved.idle,
    )


def _find(served: ServedModel, wanted: Sequence[Wanted]) -> list[Found]:
    if served.index is None:
        return exact_ranking.find(served, wanted)
    found = approximate_ranking.find(served.index, served.catalogue, served.tags, wanted)
    # Where the index holds too few.
    left = [one for one, of_one in zip(wanted, found, strict=True) if of_one is None]
    rest = iter(exact_ranking.find(served, left) if left else ())
    return [next(rest) if one is None else one for one in found]


def _columns(found: Found) -> tuple[RankedItems, RankedItems]:
    """The untouched and the edited answer."""
    own, best = found.untouched, found.edited
    baseline = RankedItems(own.items, own.scores, found.places, own.scores)
    if best is None:
        return baseline, baseline
    return baseline, RankedItems(best.items, best.scores, found.places_before, found.scores_before)


def _excluded(question: Question, case: Case) -> npt.NDArray[np.int64]:
    if not question.exclude_seen:
        return question.excluded
    if not len(question.excluded):
        return case.seen
    return np.union1d(case.seen, question.excluded)


def _relative_shift(reading: Reading, moved: Moved) -> float:
    if not (moved.moved and reading.norm > 0):
        return 0.0
    return float(np.linalg.norm((moved.x - reading.x).astype(np.float64))) / reading.norm


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
