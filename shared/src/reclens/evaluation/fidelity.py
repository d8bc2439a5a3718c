"""Fidelity: what is left of a recommender when its representation is replaced."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from reclens.data import Dataset, Split
from reclens.evaluation.statistics import interval_json, kendall, overlap, spearman
from reclens.probing import ProbeSite
from reclens.recommenders.base import Recommender, UserBatch
from reclens.recommenders.evaluation import ranks_of_relevant, seen_mask, user_metrics

Replacement = Callable[[Float[Tensor, "batch d_model"]], Float[Tensor, "batch d_model"]]
"""Makes the vector that the recommender goes on with."""

BASE = "base"
"""Name of the untouched recommender among the variants."""


@dataclass(frozen=True, eq=False)
class HeldOutUser:
    """A user whose test items are to be found."""

    user_index: int
    """Row of the data set's users."""
    history: np.ndarray
    """Item indices before the test items, oldest first."""
    relevant: np.ndarray
    """Test items that are not in the history."""


def held_out_users(dataset: Dataset, users: Sequence[int]) -> list[HeldOutUser]:
    """Those of ``users`` that have a history and something new in test."""
    found = []
    for user in users:
        history = dataset.history(user, (Split.TRAIN, Split.VALID))
        relevant = np.setdiff1d(dataset.history(user, (Split.TEST,)), history)
        if len(history) and len(relevant):
            found.append(HeldOutUser(user, history, relevant))
    return found


def popularity_quality(dataset: Dataset, ks: Sequence[int]) -> dict[str, float]:
    """Hit rate and NDCG on test of the ranking by number of train interactions: a floor.

    The same protocol as for a model: all users with a history and something new in test, every
    item that is not in the history a candidate.
    """
    users = held_out_users(dataset, range(dataset.n_users))
    popularity = torch.from_numpy(dataset.items.popularity.astype(np.float32))
    per_user = [
        user_metrics(ranks, ks)
        for user in users
        for ranks in ranks_of_relevant(
            popularity[None], seen_mask([user.history], dataset.n_items), [user.relevant]
        )
    ]
    return {name: float(np.mean([one[name] for one in per_user])) for name in per_user[0]}


@torch.no_grad()
def fidelity_rows(
    model: Recommender,
    site: ProbeSite,
    users: Sequence[HeldOutUser],
    replacements: Mapping[str, Replacement],
    *,
    ks: Sequence[int],
    overlap_at: int,
    by_history: bool = False,
    batch_size: int = 128,
) -> Iterator[dict[str, float | int | str]]:
    """Rank all unseen items for every user, untouched and with each replacement.

    The replacement is written into the recommender's own forward pass at ``site``, so what is
    measured is what serving would answer with it.

    Args:
        model: in eval mode.
        site: where its representation passes.
        users: whom to ask for.
        replacements: by name; ``base`` is added.
        ks: lengths for hit rate and NDCG.
        overlap_at: length of the lists whose overlap with the base's list is taken.
        by_history: ask as for unknown users, by their history alone.
        batch_size: users per forward pass.

    Yields:
        Per user and variant: ``user_index``, ``variant``, ``hr@k``, ``ndcg@k``, ``overlap@k``, and
        ``kendall`` and ``spearman`` of the scores of all unseen items with the base's.
    """
    for start in range(0, len(users), batch_size):
        chunk = users[start : start + batch_size]
        histories = [user.history for user in chunk]
        index = None if by_history else [user.user_index for user in chunk]
        batch = UserBatch.of(histories, index, model.max_length).to(model.device)
        seen = seen_mask(histories, model.n_items, model.device)
        relevant = [user.relevant for user in chunk]
        base = model(batch)
        answers = {BASE: base}
        for name, replace in replacements.items():
            with site.intervene(model, replace):
                answers[name] = model(batch)
        unseen = (~seen).cpu().numpy()
        base_scores = base.float().cpu().numpy()
        for name, scores in answers.items():
            own = scores.float().cpu().numpy()
            for row, ranks in enumerate(ranks_of_relevant(scores, seen, relevant)):
                candidates = unseen[row]
                mine, theirs = own[row, candidates], base_scores[row, candidates]
                same = name == BASE
                yield {
                    "user_index": chunk[row].user_index,
                    "variant": name,
                    **user_metrics(ranks, ks),
                    f"overlap@{overlap_at}": 1.0 if same else overlap(mine, theirs, overlap_at),
                    "kendall": 1.0 if same else kendall(mine, theirs),
                    "spearman": 1.0 if same else spearman(mine, theirs),
                }


TEST: Final = "test"
"""Users that nothing was made from or judged on."""
HELD_OUT = "held_out"
"""All users that the autoencoder was not trained on."""

_KEYS = frozenset({"user_id", "user_index", "split", "origin", "variant"})


def summarise_fidelity(rows: Sequence[dict[str, Any]], *, seed: int) -> dict[str, Any]:
    """Means over users, with 95 % bootstrap intervals.

    Args:
        rows: the table ``FIDELITY``, at least one row.
        seed: of the intervals.

    Returns:
        By origin, then ``test`` or ``held_out``: ``users``; under ``variants`` every measure and
        under ``intervals`` its interval; and under ``difference`` each variant's NDCG at the second
        shortest list less the base's, user by user: mean, low, high.
    """
    summary: dict[str, Any] = {}
    for origin in dict.fromkeys(row["origin"] for row in rows):
        of_origin = [row for row in rows if row["origin"] == origin]
        of_test = [row for row in of_origin if row["split"] == TEST]
        groups = {TEST: of_test, HELD_OUT: of_origin}
        summary[origin] = {name: _group(group, seed) for name, group in groups.items() if group}
    return summary


def _group(rows: Sequence[dict[str, Any]], seed: int) -> dict[str, Any]:
    measures = [name for name in rows[0] if name not in _KEYS]
    values = {
        variant: {
            name: np.array([row[name] for row in rows if row["variant"] == variant], float)
            for name in measures
        }
        for variant in dict.fromkeys(row["variant"] for row in rows)
    }
    ndcg = [name for name in measures if name.startswith("ndcg@")]
    compared = ndcg[min(1, len(ndcg) - 1)]
    base = values[BASE][compared]
    return {
        "users": len(base),
        "variants": {variant: _means(own, seed) for variant, own in values.items()},
        "difference": {
            variant: {compared: interval_json(own[compared] - base, seed=seed)}
            for variant, own in values.items()
            if variant != BASE
        },
    }


def _means(values: dict[str, np.ndarray], seed: int) -> dict[str, Any]:
    found = {name: interval_json(own, seed=seed) for name, own in values.items()}
    means = {name: mean for name, (mean, _, _) in found.items()}
    return {**means, "intervals": {name: bounds for name, (_, *bounds) in found.items()}}
