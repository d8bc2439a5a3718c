"""Ranks all items for several users or histories at once, untouched and edited."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor

from reclens.recommenders import UserBatch
from reclens.steering.attribution import Attribution, attribute
from reclens.steering.edits import LatentEdit, Mode
from reclens.steering.engine import Moved
from reclens.steering.readings import Readings
from reclens.steering.writing import IdleEdit
from reclens_recommender.serving.approximate_ranking import Found, Wanted, find
from reclens_recommender.serving.representations import Case, Passes, Subject
from reclens_recommender.serving.scoring import DenseScores, FilteredScores, Scores
from reclens_recommender.serving.selection import Ranked, Selection, exact_scores
from reclens_recommender.serving.served_model import Method, ServedModel

_DEEPENING = 4
"""Times as many items are looked at where limits leave too few."""
_MAX_DENSE_SCORES = 1 << 25
"""Scores that are in memory at once where all of them are computed."""


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


@dataclass(frozen=True, eq=False)
class _Asked:
    """Questions, made ready to search for."""

    questions: Sequence[Question]
    cases: Sequence[Case]
    norms: npt.NDArray[np.float64]
    """Of the untouched representations."""
    moved: Moved
    excluded: Sequence[npt.NDArray[np.int64]]


def rank(served: ServedModel, questions: Sequence[Question]) -> list[Answer]:
    """Answer ``questions`` together. Equal scores are in order of the item's row.

    An answer has the same bits whatever other questions are answered with it.

    Raises:
        InvalidInput, NotReady: the model cannot represent one of the subjects; ask one by one to
            learn which.
    """
    with torch.inference_mode():
        if served.method is Method.FILTERED:
            return _rank(served, questions)
        size = max(1, _MAX_DENSE_SCORES // (2 * served.catalogue.n_items))
        answers: list[Answer] = []
        for start in range(0, len(questions), size):
            answers += _rank(served, questions[start : start + size])
        return answers


def _rank(served: ServedModel, questions: Sequence[Question]) -> list[Answer]:
    cases = served.representations.of([question.subject for question in questions])
    readings = Readings.together([case.readings for case in cases])
    moved = served.steering.move(
        readings, [question.edits for question in questions], [q.mode for q in questions]
    )
    excluded = [_excluded(question, case) for question, case in zip(questions, cases, strict=True)]
    search = _exactly if served.index is None else _approximately
    found = search(served, _Asked(questions, cases, readings.norms, moved, excluded))
    shifts = _relative_shifts(readings, moved)
    counts = moved.edited_latents.tolist()

    answers: list[Answer] = []
    for row, (question, case) in enumerate(zip(questions, cases, strict=True)):
        baseline, ranked = found[row]
        answers.append(
            Answer(
                ranked=ranked,
                baseline=baseline if question.include_baseline else None,
                baseline_items=baseline.items if question.steered else None,
                history=case.history,
                latents=_latents(served, readings, moved, row, ranked)
                if question.include_latents
                else None,
                relative_shift=shifts[row],
                edited_latents=counts[row],
                idle=moved.idle[row],
            )
        )
    return answers


def _exactly(served: ServedModel, asked: _Asked) -> list[tuple[RankedItems, RankedItems]]:
    """The untouched and the edited answer to each question, by the scores of all items."""
    questions, moved, excluded = asked.questions, asked.moved, asked.excluded
    untouched = _untouched(served, questions, asked.cases, asked.norms)
    edited_rows = np.flatnonzero(moved.moved).tolist()
    best: dict[int, Ranked] = {}
    targets: list[Ranked] | None = None
    if edited_rows:
        scores = _edited(served, questions, moved, edited_rows)
        selection = Selection(scores, [excluded[row] for row in edited_rows])
        chosen = _answers(served, [questions[row] for row in edited_rows], selection)
        best = dict(zip(edited_rows, (found for found, _ in chosen), strict=True))
        none = Ranked(np.zeros(0, np.int64), np.zeros(0, np.float32))
        targets = [none] * len(questions)
        rows = np.repeat(edited_rows, [len(found) for found in best.values()])
        items = np.concatenate([found.items for found in best.values()])
        scores_before = exact_scores(untouched, rows, items)
        ends = np.cumsum([len(found) for found in best.values()])
        for (row, found), of_row in zip(
            best.items(), np.split(scores_before, ends[:-1]), strict=True
        ):
            targets[row] = Ranked(found.items, of_row)
    selection = Selection(untouched, excluded, targets)
    answers: list[tuple[RankedItems, RankedItems]] = []
    for row, (own, places) in enumerate(_answers(served, questions, selection)):
        baseline = RankedItems(own.items, own.scores, places + 1, own.scores)
        ranked = baseline
        if row in best:
            assert targets is not None
            ranked = RankedItems(
                best[row].items, best[row].scores, selection.places(row), targets[row].scores
            )
        answers.append((baseline, ranked))
    return answers


def _approximately(served: ServedModel, asked: _Asked) -> list[tuple[RankedItems, RankedItems]]:
    """`_exactly`, by the candidates of the index; exactly where it finds too few."""
    assert served.index is not None
    moved = asked.moved
    wanted = [
        Wanted(
            x=case.x,
            edited=torch.from_numpy(moved.x[row]).clone() if moved.moved[row] else None,
            top_k=question.top_k,
            excluded=asked.excluded[row],
            limits=question.limits,
        )
        for row, (question, case) in enumerate(zip(asked.questions, asked.cases, strict=True))
    ]
    found = find(served.index, served.catalogue, served.tags, wanted)
    return [
        _from_index(one) if one is not None else _without_index(served, question)
        for one, question in zip(found, asked.questions, strict=True)
    ]


def _from_index(found: Found) -> tuple[RankedItems, RankedItems]:
    own, best = found.untouched, found.edited
    baseline = RankedItems(own.items, own.scores, found.places, own.scores)
    if best is None:
        return baseline, baseline
    return baseline, RankedItems(best.items, best.scores, found.places_before, found.scores_before)


def _without_index(served: ServedModel, question: Question) -> tuple[RankedItems, RankedItems]:
    question = replace(question, include_baseline=True, include_latents=False)
    (answer,) = _rank(replace(served, index=None), [question])
    assert answer.baseline is not None
    return answer.baseline, answer.ranked


def _excluded(question: Question, case: Case) -> npt.NDArray[np.int64]:
    if not question.exclude_seen:
        return question.excluded
    if not len(question.excluded):
        return case.seen
    return np.union1d(case.seen, question.excluded)


def _answers(
    served: ServedModel, questions: Sequence[Question], selection: Selection
) -> list[tuple[Ranked, npt.NDArray[np.int64]]]:
    """The best items of each row that keep its limits, and their places, from 0."""
    best = selection.best([question.top_k for question in questions])
    answers: list[tuple[Ranked, npt.NDArray[np.int64]]] = []
    for row, question in enumerate(questions):
        found, depth = best[row], question.top_k
        if not question.limits:
            answers.append((found, np.arange(len(found))))
            continue
        while True:
            places = served.tags.keep(found.items, question.limits, question.top_k)
            if len(places) == question.top_k or len(found) < depth:
                break
            depth = min(_DEEPENING * depth, served.catalogue.n_items + 1)
            found = selection.best_of(row, depth)
        answers.append((found.take(places), places))
    return answers


def _untouched(
    served: ServedModel,
    questions: Sequence[Question],
    cases: Sequence[Case],
    norms: npt.NDArray[np.float64],
) -> Scores:
    kept = [case.scores for case in cases if case.scores is not None]
    if len(kept) == len(cases):
        return DenseScores(torch.stack(kept))
    match served.method:
        case Method.FILTERED:
            return FilteredScores(served.catalogue, [case.x for case in cases], norms)
        case Method.LONE:
            return DenseScores(torch.stack([served.catalogue.lone(case.x) for case in cases]))
        case Method.PASSES:
            return DenseScores(_passes(served, [question.subject for question in questions], None))


def _edited(
    served: ServedModel, questions: Sequence[Question], moved: Moved, rows: Sequence[int]
) -> Scores:
    device = served.catalogue.weights.device
    # Each in memory of its own: kernels may compute otherwise where a vector is not aligned.
    x = [torch.from_numpy(moved.x[row]).to(device, copy=True) for row in rows]
    match served.method:
        case Method.FILTERED:
            norms = np.linalg.norm(moved.x[rows].astype(np.float64), axis=1)
            return FilteredScores(served.catalogue, x, norms)
        case Method.LONE:
            return DenseScores(torch.stack([served.catalogue.lone(vector) for vector in x]))
        case Method.PASSES:
            subjects = [questions[row].subject for row in rows]
            return DenseScores(_passes(served, subjects, torch.stack(x)))


def _passes(
    served: ServedModel,
    subjects: Sequence[Subject],
    x: Float[Tensor, "n_subjects d_model"] | None,
) -> Float[Tensor, "n_subjects n_items"]:
    """Scores by the model's own forward pass, with ``x`` written in where it is given."""
    everyone = list(range(len(subjects)))
    together = served.representations.passes is Passes.TOGETHER
    scores: list[Tensor] = []
    for rows in [everyone] if together else [[row] for row in everyone]:
        batch = UserBatch.of(
            [subjects[row].history for row in rows], [subjects[row].user_index for row in rows]
        ).to(served.model.device)
        if x is None:
            scores.append(served.model(batch))
            continue
        written = x[rows]
        with served.site.intervene(served.model, lambda _, written=written: written):
            scores.append(served.model(batch))
    return torch.cat(scores)


def _relative_shifts(readings: Readings, moved: Moved) -> list[float]:
    distances = np.linalg.norm((moved.x - readings.x).astype(np.float64), axis=1)
    norms = readings.norms
    return np.divide(distances, norms, out=np.zeros_like(norms), where=norms > 0).tolist()


def _latents(
    served: ServedModel, readings: Readings, moved: Moved, row: int, ranked: RankedItems
) -> LatentTable:
    firing, activations = readings.case(row)
    named = moved.case(row)
    latents = np.union1d(firing, moved.latents[named])
    before = np.zeros(len(latents), readings.x.dtype)
    before[np.searchsorted(latents, firing)] = activations
    after = before.copy()
    after[np.searchsorted(latents, moved.latents[named])] = moved.after[named]
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
