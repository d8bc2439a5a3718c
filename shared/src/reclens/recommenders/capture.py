"""Representations of many cases, streamed in batches.

A case is what a recommender could have been asked. A model that reads the history has as many
cases as its users have prefixes. One that learned a vector per user has that vector, and one more
for each part of the user's history that is folded in as if the user were unknown.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Literal, NamedTuple, get_args

import numpy as np
import torch
from jaxtyping import Float, Int

from reclens.data import Dataset
from reclens.errors import InvalidInput
from reclens.probing import ProbeSite
from reclens.recommenders.base import UNKNOWN_USER, Recommender, UserBatch
from reclens.recommenders.evaluation import seen_mask

CaseKind = Literal["prefixes", "users", "folds"]

Origin = Literal["history", "learned", "folded"]
"""Where a representation comes from: computed from the context, the user's learned vector, or the
context folded in as if the user were unknown."""

ORIGINS: tuple[Origin, ...] = get_args(Origin)
"""Names of the codes in ``CaseBatch.origin``."""

# Cases whose lengths are sorted together, so that little of a forward pass is padding.
_SORTED_CASES = 8192


@dataclass(frozen=True, eq=False)
class CaseBatch:
    """Some cases, in order of user; of one user in order of length or as drawn."""

    user_index: Int[np.ndarray, " batch"]
    """Row of the data set's users."""
    origin: Int[np.ndarray, " batch"]
    """Index into ``ORIGINS``."""
    contexts: list[np.ndarray]
    """Item indices that the model saw, oldest first; the whole history for a learned vector."""
    representation: Float[np.ndarray, "batch d_model"]
    """What passed the site, float32."""
    top_items: Int[np.ndarray, "batch top_k"]
    """The model's best items that are not in the context; -1 where there are none left."""
    top_scores: Float[np.ndarray, "batch top_k"]
    """Their scores, falling, float32."""

    def __len__(self) -> int:
        return len(self.contexts)


class _Case(NamedTuple):
    user: int
    origin: Origin
    context: np.ndarray


def case_kind(model: Recommender, kind: CaseKind | Literal["auto"]) -> CaseKind:
    """Settle ``auto``: prefixes for models that read the history, folds for others.

    Raises:
        InvalidInput: prefixes of a model that does not look at the history of a known user, or
            folds of one that has nothing to fold in.
    """
    name = type(model).__name__
    if kind == "prefixes" and not model.reads_history:
        raise InvalidInput(
            f"{name} has one representation per known user, whatever the prefix.",
            field="cases",
            remedy="use `folds`, `users` or `auto`.",
        )
    if kind == "folds" and model.reads_history:
        raise InvalidInput(
            f"{name} computes every representation from a history, so none is folded in.",
            field="cases",
            remedy="use `prefixes`, `users` or `auto`.",
        )
    if kind == "auto":
        return "prefixes" if model.reads_history else "folds"
    return kind


def count_cases(dataset: Dataset, kind: CaseKind, folds: int = 0) -> Int[np.ndarray, " n_users"]:
    """Number of cases of each user."""
    lengths = np.bincount(dataset.interactions.user_index, minlength=dataset.n_users)
    if kind == "prefixes":
        return lengths
    per_user = 1 + folds if kind == "folds" else 1
    return np.where(lengths > 0, per_user, 0)


@torch.no_grad()
def capture_cases(
    model: Recommender,
    dataset: Dataset,
    *,
    kind: CaseKind,
    folds: int = 0,
    seed: int = 0,
    site: ProbeSite | None = None,
    top_k: int = 10,
    batch_size: int = 512,
    start: int = 0,
) -> Iterator[CaseBatch]:
    """Run ``model`` over all cases of ``dataset`` and yield what passes ``site``.

    Contexts are drawn from all splits and cut to the model's ``max_length``. At most some
    thousand cases are in memory. A representation depends on its own context only, up to float
    rounding.

    Args:
        model: put into eval mode.
        dataset: the data set that it was trained on.
        kind: what a case is.
        folds: for kind ``folds``, parts of each user's history to fold in.
        seed: of these parts.
        site: where to probe; None: the model's own site.
        top_k: items to keep of the model's answer.
        batch_size: cases per forward pass.
        start: cases before this one are left out; the others come out as they would with them.

    Raises:
        InvalidInput: the site does not fit the model, gives another number of vectors than cases,
            or a number that is not finite; names case and dimension.
    """
    site = model.site if site is None else site
    if site.position == "all":
        raise InvalidInput(
            "a case has one representation, but position 'all' gives one per item.",
            field="site.position",
            remedy="use `last`; every prefix is a case of its own.",
        )
    model.eval()
    # What is sorted together stays together: a vector is the same in other company up to float
    # rounding only.
    block, left_out = divmod(start, _SORTED_CASES)
    cases = _cases(model, dataset, kind, folds=folds, seed=seed, start=block * _SORTED_CASES)
    while waiting := list(islice(cases, _SORTED_CASES)):
        batch = _capture(model, site, waiting, top_k=top_k, batch_size=batch_size)
        if left_out < len(batch):
            yield CaseBatch(**{name: column[left_out:] for name, column in vars(batch).items()})
        left_out = 0


def _cases(
    model: Recommender, dataset: Dataset, kind: CaseKind, *, folds: int, seed: int, start: int
) -> Iterator[_Case]:
    # To draw what is left out would take as long as to draw what is not.
    before = np.cumsum(count_cases(dataset, kind, folds))
    first = int(np.searchsorted(before, start, side="right"))
    skipped = start - (int(before[first - 1]) if first else 0)
    users = range(first, dataset.n_users)
    return islice(_cases_of(model, dataset, kind, users, folds=folds, seed=seed), skipped, None)


def _cases_of(
    model: Recommender,
    dataset: Dataset,
    kind: CaseKind,
    users: Iterable[int],
    *,
    folds: int,
    seed: int,
) -> Iterator[_Case]:
    whole: Origin = "history" if model.reads_history else "learned"
    for user in users:
        history = dataset.history(user)
        first = 1 if kind == "prefixes" else max(len(history), 1)
        for end in range(first, len(history) + 1):
            start = 0 if model.max_length is None else max(0, end - model.max_length)
            yield _Case(user, whole, history[start:end])
        if kind == "folds" and len(history):
            for part in history_parts(history, folds, np.random.default_rng((seed, user))):
                yield _Case(user, "folded", part)


def history_parts(
    history: Int[np.ndarray, " length"], n: int, rng: np.random.Generator
) -> Iterator[np.ndarray]:
    """``n`` random parts of a history, in its order.

    Each is of a length drawn evenly from a quarter of the history (rounded up) to all of it, and
    any part of that length is as likely as another.
    """
    for _ in range(n):
        length = rng.integers(-(-len(history) // 4), len(history), endpoint=True)
        yield history[np.sort(rng.choice(len(history), size=length, replace=False))]


def _name(cases: list[_Case], row: int) -> str:
    case = cases[row]
    return f"the user in row {case.user}, with {len(case.context)} items ({case.origin})"


def _capture(
    model: Recommender, site: ProbeSite, cases: list[_Case], *, top_k: int, batch_size: int
) -> CaseBatch:
    n, k = len(cases), min(top_k, model.n_items)
    contexts = [case.context for case in cases]
    asked = [UNKNOWN_USER if case.origin == "folded" else case.user for case in cases]
    lengths = np.array([len(context) for context in contexts])
    order = np.argsort(lengths, kind="stable")
    parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    for start in range(0, n, batch_size):
        rows = order[start : start + batch_size]
        histories = [contexts[row] for row in rows]
        batch = UserBatch.of(histories, [asked[row] for row in rows]).to(model.device)
        with site.capture(model, cases=len(rows)) as captured:
            scores = model(batch)
        name = partial(_name, [cases[row] for row in rows])
        x = captured.finite(name).float().cpu().numpy()
        scores.masked_fill_(seen_mask(histories, model.n_items, model.device), -torch.inf)
        best = torch.topk(scores, k)
        items = best.indices.masked_fill(best.values == -torch.inf, -1)
        parts.append((x, items.cpu().numpy(), best.values.float().cpu().numpy()))
    as_asked = np.argsort(order)
    representation, top_items, top_scores = (
        np.concatenate(part)[as_asked] for part in zip(*parts, strict=True)
    )
    return CaseBatch(
        user_index=np.array([case.user for case in cases]),
        origin=np.array([ORIGINS.index(case.origin) for case in cases]),
        contexts=contexts,
        representation=representation,
        top_items=top_items,
        top_scores=top_scores,
    )
