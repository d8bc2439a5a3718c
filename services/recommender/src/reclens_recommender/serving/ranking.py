"""Ranks all items for one user or history, untouched and edited."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor

from reclens.errors import InvalidInput, NotFound
from reclens.recommenders import UserBatch
from reclens.steering.attribution import Attribution, attribute
from reclens.steering.edits import LatentEdit, Mode
from reclens.steering.engine import Steered, steer
from reclens_recommender.serving.served_model import ServedModel

MAX_TOP_K = 1000
"""Items in one answer."""
MAX_HISTORY = 10_000
"""Items in a history given with a request."""


@dataclass(frozen=True)
class RankQuestion:
    """What is asked."""

    user_id: str | None
    """A known user; None: ``history`` is given."""
    history: tuple[int, ...]
    """Rows of items, oldest first."""
    top_k: int
    """Items to return."""
    exclude_seen: bool
    """Leave out the history."""
    edits: tuple[LatentEdit, ...] = ()
    """Changes of latents."""
    mode: Mode = Mode.RESIDUAL
    """How they are written back."""
    include_baseline: bool = False
    """Also list the untouched answer."""
    include_latents: bool = False
    """Also list the latents and what they add."""


@dataclass(frozen=True)
class RankedItem:
    """One place of an answer."""

    index: int
    score: float
    baseline_rank: int
    baseline_score: float


@dataclass(frozen=True)
class RankAnswer:
    """What came out."""

    items: list[RankedItem]
    """The answer, best first."""
    baseline: list[RankedItem]
    """The untouched answer, best first; empty where not asked for."""
    history: npt.NDArray[np.int64]
    """Item indices that were ranked from."""
    steered: Steered | None
    """Latents; None where neither edits nor latents were asked for."""
    attribution: Attribution | None
    """What each listed latent adds to each item; None where not asked for."""
    relative_shift: float
    """Norm of x' - x over the norm of x."""


def rank(served: ServedModel, question: RankQuestion) -> RankAnswer:
    """Answer ``question``. Equal scores are in order of item index.

    Raises:
        NotFound: unknown user or item, with its field.
        InvalidInput: a history, top_k or edit that cannot be used, with its field.
    """
    if not 1 <= question.top_k <= MAX_TOP_K:
        raise InvalidInput(
            f"{question.top_k} items cannot be returned.",
            field="top_k",
            remedy=f"ask for 1 to {MAX_TOP_K}.",
        )
    user_index, history = _subject(served, question)
    batch = UserBatch.of([history], [user_index]).to(served.model.device)
    with torch.inference_mode():
        x, untouched = _pass(served, batch)
        scores, steered = untouched, None
        if question.edits or question.mode is Mode.RECONSTRUCT:
            scores, steered = _edited_pass(served, batch, question)
        elif question.include_latents:
            steered = steer(x, served.sae, served.p99, ())

        candidates = _candidates(served.dataset.n_items, history, question.exclude_seen)
        ranks = _Ranks(untouched.cpu().numpy(), scores.cpu().numpy(), candidates)
        items = ranks.best(ranks.edited, question.top_k)
        attribution = None
        if question.include_latents and steered is not None:
            attribution = _attribution(served, steered, scores, items)
        shift = (
            0.0 if steered is None else float((steered.x - x).norm() / x.norm().clamp(min=1e-12))
        )
        return RankAnswer(
            items=items,
            baseline=ranks.best(ranks.untouched, question.top_k)
            if question.include_baseline or steered is not None
            else [],
            history=history,
            steered=steered,
            attribution=attribution,
            relative_shift=shift,
        )


def _subject(served: ServedModel, question: RankQuestion) -> tuple[int, npt.NDArray[np.int64]]:
    dataset = served.dataset
    if question.user_id is not None:
        try:
            user_index = dataset.users.index_of(question.user_id)
        except NotFound as error:
            raise NotFound(error.message, field="subject.user_id", remedy=error.remedy) from error
        return user_index, dataset.history(user_index)
    field = "subject.history.items"
    if not 1 <= len(question.history) <= MAX_HISTORY:
        raise InvalidInput(
            f"a history of {len(question.history)} items cannot be ranked from.",
            field=field,
            remedy=f"give 1 to {MAX_HISTORY} items, oldest first.",
        )
    for position, item in enumerate(question.history):
        if item >= dataset.n_items:
            raise NotFound(
                f"there is no item {item}.",
                field=f"{field}[{position}]",
                remedy=f"the data set has items 0 to {dataset.n_items - 1}.",
            )
    return -1, np.asarray(question.history, dtype=np.int64)


def _pass(
    served: ServedModel, batch: UserBatch
) -> tuple[Float[Tensor, "1 d_model"], Float[Tensor, " n_items"]]:
    with served.site.capture(served.model) as captured:
        scores = served.model(batch)[0]
    return captured.tensor, scores


def _edited_pass(
    served: ServedModel, batch: UserBatch, question: RankQuestion
) -> tuple[Float[Tensor, " n_items"], Steered]:
    done: list[Steered] = []

    def write(x: Tensor) -> Tensor:
        done.append(steer(x, served.sae, served.p99, question.edits, question.mode))
        return done[-1].x

    with served.site.intervene(served.model, write):
        scores = served.model(batch)[0]
    return scores, done[-1]


def _relative_shift(x: Tensor, moved: Tensor) -> float:
    length = float(x.norm())
    return float((moved - x).norm()) / length if length else 0.0


def _candidates(n_items: int, history: npt.NDArray[np.int64], exclude_seen: bool) -> np.ndarray:
    allowed = np.ones(n_items, dtype=bool)
    if exclude_seen:
        allowed[history] = False
    return np.flatnonzero(allowed)


class _Ranks:
    """Orders of the candidates by untouched and by edited score."""

    def __init__(self, untouched: np.ndarray, edited: np.ndarray, candidates: np.ndarray) -> None:
        self._untouched_scores, self._edited_scores = untouched, edited
        # Stable, over rising indices: equal scores stay in order of item index.
        self.untouched = candidates[np.argsort(-untouched[candidates], kind="stable")]
        self.edited = candidates[np.argsort(-edited[candidates], kind="stable")]
        self._rank = np.zeros(len(untouched), dtype=np.int64)
        self._rank[self.untouched] = np.arange(1, len(candidates) + 1)

    def best(self, order: np.ndarray, top_k: int) -> list[RankedItem]:
        scores = self._edited_scores if order is self.edited else self._untouched_scores
        return [
            RankedItem(
                index=int(item),
                score=float(scores[item]),
                baseline_rank=int(self._rank[item]),
                baseline_score=float(self._untouched_scores[item]),
            )
            for item in order[:top_k]
        ]


def _attribution(
    served: ServedModel, steered: Steered, scores: Tensor, items: list[RankedItem]
) -> Attribution:
    chosen = torch.tensor([item.index for item in items], dtype=torch.int64, device=scores.device)
    return attribute(
        scores[chosen],
        steered.latents,
        steered.after[0],
        sae=served.sae,
        item_weights=served.item_weights[chosen],
        item_biases=served.item_biases[chosen],
    )
