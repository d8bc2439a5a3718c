"""Representations of many cases, streamed in batches.

A case is what a recommender could have been asked: for a sequential model each prefix of each
history, fed on its own; for others each user once, with the whole history.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int

from reclens.data import Dataset
from reclens.errors import InvalidInput
from reclens.probing import ProbeSite
from reclens.recommenders.base import Recommender, UserBatch
from reclens.recommenders.evaluation import seen_mask

CaseKind = Literal["prefixes", "users"]

# Cases whose lengths are sorted together, so that little of a forward pass is padding.
_SORTED_CASES = 8192


@dataclass(frozen=True, eq=False)
class CaseBatch:
    """Some cases, in order of user and then of prefix length."""

    user_index: Int[np.ndarray, " batch"]
    """Row of the data set's users."""
    contexts: list[np.ndarray]
    """Item indices that the model saw, oldest first."""
    representation: Float[np.ndarray, "batch d_model"]
    """What passed the site, float32."""
    top_items: Int[np.ndarray, "batch top_k"]
    """The model's best items that are not in the context; -1 where there are none left."""
    top_scores: Float[np.ndarray, "batch top_k"]
    """Their scores, falling, float32."""

    def __len__(self) -> int:
        return len(self.contexts)


def case_kind(model: Recommender, kind: Literal["auto", "prefixes", "users"]) -> CaseKind:
    """Settle ``auto``: prefixes for sequential models, users for others.

    Raises:
        InvalidInput: prefixes of a model that does not look at the history of a known user.
    """
    if kind == "prefixes" and not model.is_sequential:
        raise InvalidInput(
            f"{type(model).__name__} has one representation per user, whatever the prefix.",
            field="cases",
            remedy="use `users` or `auto`.",
        )
    if kind == "auto":
        return "prefixes" if model.is_sequential else "users"
    return kind


def count_cases(dataset: Dataset, kind: CaseKind) -> Int[np.ndarray, " n_users"]:
    """Number of cases of each user."""
    lengths = np.bincount(dataset.interactions.user_index, minlength=dataset.n_users)
    return lengths if kind == "prefixes" else np.minimum(lengths, 1)


@torch.no_grad()
def capture_cases(
    model: Recommender,
    dataset: Dataset,
    *,
    kind: CaseKind,
    site: ProbeSite | None = None,
    top_k: int = 10,
    batch_size: int = 512,
) -> Iterator[CaseBatch]:
    """Run ``model`` over all cases of ``dataset`` and yield what passes ``site``.

    Contexts are drawn from all splits and cut to the model's ``max_length``. At most some
    thousand cases are in memory. A representation depends on its own context only, up to float
    rounding.

    Args:
        model: put into eval mode.
        dataset: the data set that it was trained on.
        kind: what a case is.
        site: where to probe; None: the model's own site.
        top_k: items to keep of the model's answer.
        batch_size: cases per forward pass.

    Raises:
        InvalidInput: the site does not fit the model, or gives more than one vector per case.
    """
    site = model.site if site is None else site
    if site.position == "all":
        raise InvalidInput(
            "a case has one representation, but position 'all' gives one per item.",
            field="site.position",
            remedy="use `last`; every prefix is a case of its own.",
        )
    model.eval()
    probe = partial(_capture, model, site, top_k=top_k, batch_size=batch_size)
    users: list[int] = []
    contexts: list[np.ndarray] = []
    for user, context in _cases(model, dataset, kind):
        users.append(user)
        contexts.append(context)
        if len(users) == _SORTED_CASES:
            yield probe(users, contexts)
            users, contexts = [], []
    if users:
        yield probe(users, contexts)


def _cases(
    model: Recommender, dataset: Dataset, kind: CaseKind
) -> Iterator[tuple[int, np.ndarray]]:
    for user in range(dataset.n_users):
        history = dataset.history(user)
        first = 1 if kind == "prefixes" else max(len(history), 1)
        for end in range(first, len(history) + 1):
            start = 0 if model.max_length is None else max(0, end - model.max_length)
            yield user, history[start:end]


def _capture(
    model: Recommender,
    site: ProbeSite,
    users: list[int],
    contexts: list[np.ndarray],
    *,
    top_k: int,
    batch_size: int,
) -> CaseBatch:
    n, k = len(users), min(top_k, model.n_items)
    lengths = np.array([len(context) for context in contexts])
    order = np.argsort(lengths, kind="stable")
    representation = np.empty((0, 0), dtype=np.float32)
    top_items = np.empty((n, k), dtype=np.int64)
    top_scores = np.empty((n, k), dtype=np.float32)
    for start in range(0, n, batch_size):
        rows = order[start : start + batch_size]
        histories = [contexts[row] for row in rows]
        batch = UserBatch.of(histories, [users[row] for row in rows]).to(model.device)
        with site.capture(model) as captured:
            scores = model(batch)
        x = captured.tensor.float().cpu().numpy()
        if len(x) != len(rows):
            raise InvalidInput(
                f"the site gives {len(x)} vectors for {len(rows)} cases.",
                field="site.module",
                remedy="probe a module that gives one vector per case.",
            )
        if start == 0:
            representation = np.empty((n, x.shape[1]), dtype=np.float32)
        representation[rows] = x
        scores.masked_fill_(seen_mask(histories, model.n_items, model.device), -torch.inf)
        best = torch.topk(scores, k)
        items = best.indices.masked_fill(best.values == -torch.inf, -1)
        top_items[rows] = items.cpu().numpy()
        top_scores[rows] = best.values.float().cpu().numpy()
    return CaseBatch(np.array(users), contexts, representation, top_items, top_scores)
