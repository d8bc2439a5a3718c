"""Full-ranking evaluation: every item is a candidate, the ones already seen are not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from reclens.data import Dataset, Split
from reclens.errors import InvalidInput
from reclens.recommenders.base import Recommender, UserBatch

_SEEN_BEFORE: dict[Split, tuple[Split, ...]] = {
    Split.VALID: (Split.TRAIN,),
    Split.TEST: (Split.TRAIN, Split.VALID),
}


@torch.no_grad()
def evaluate(
    model: Recommender,
    dataset: Dataset,
    split: Split,
    ks: Sequence[int] = (5, 10, 20, 50),
    batch_size: int = 256,
) -> dict[str, float]:
    """Hit rate and NDCG of ``model`` on the ``split`` of ``dataset``, over all items.

    A user counts when there is something before the split and something new within it: the model
    sees train (and valid, for test), these items are excluded from the ranking, and the relevant
    items are those of the split that are not among them. The model is put into eval mode and back.

    Returns:
        ``hr@k`` and ``ndcg@k`` for each of ``ks``, in [0, 1], averaged over users.

    Raises:
        InvalidInput: the split is not VALID or TEST, no user counts, or a score is not finite.
    """
    if split not in _SEEN_BEFORE:
        raise InvalidInput(
            f"cannot evaluate on {split.label}.", field="split", remedy="use VALID or TEST."
        )
    was_training = model.training
    model.eval()
    try:
        per_user = [
            user_metrics(ranks, ks)
            for scores, seen, relevant in _scored(model, dataset, split, batch_size)
            for ranks in ranks_of_relevant(scores, seen, relevant)
        ]
    finally:
        model.train(was_training)
    if not per_user:
        raise InvalidInput(
            f"no user has a history and then something new in {split.label}.",
            field="split",
            remedy="choose another way to split the data.",
        )
    return {name: float(np.mean([user[name] for user in per_user])) for name in per_user[0]}


def ranks_of_relevant(
    scores: Float[Tensor, "batch n_items"],
    seen: Bool[Tensor, "batch n_items"],
    relevant: Sequence[np.ndarray],
) -> Iterator[np.ndarray]:
    """Places of each user's relevant items among the items not seen, from 1, rising.

    Of equal scores the lower item index comes first, so a constant model gains nothing by ties.

    Raises:
        InvalidInput: a score is NaN or infinite, which would otherwise rank at will.
    """
    if not bool(torch.isfinite(scores).all()):
        raise InvalidInput(
            "the model gives scores that are not finite.",
            field="model",
            remedy="train again with a lower learning_rate.",
        )
    scores = scores.masked_fill(seen, -torch.inf)
    item = torch.arange(scores.shape[1], device=scores.device)
    for row, items in zip(scores, relevant, strict=True):
        index = torch.as_tensor(items, device=row.device)
        score = row[index, None]
        before = (row > score) | ((row == score) & (item < index[:, None]))
        yield np.sort(before.sum(dim=1).cpu().numpy() + 1)


def user_metrics(ranks: Int[np.ndarray, " n_relevant"], ks: Sequence[int]) -> dict[str, float]:
    """Hit rate and NDCG of one user.

    HR@k is 1 when any relevant item is within the first k. NDCG@k is the sum of
    ``1 / log2(rank + 1)`` over relevant items within the first k, divided by the same sum for the
    best possible list, ranks 1 to min(k, n_relevant).

    Source: Järvelin and Kekäläinen, Cumulated gain-based evaluation, 2002, with binary gains.
    """
    metrics: dict[str, float] = {}
    for k in ks:
        within = ranks[ranks <= k]
        best = np.arange(1, min(k, len(ranks)) + 1)
        metrics[f"hr@{k}"] = float(len(within) > 0)
        metrics[f"ndcg@{k}"] = float(_discount(within).sum() / _discount(best).sum())
    return metrics


def _discount(ranks: np.ndarray) -> np.ndarray:
    return 1.0 / np.log2(ranks + 1.0)


def _scored(
    model: Recommender, dataset: Dataset, split: Split, batch_size: int
) -> Iterator[tuple[Tensor, Tensor, list[np.ndarray]]]:
    cases: list[tuple[int, np.ndarray, np.ndarray]] = []
    for user in range(dataset.n_users):
        history = dataset.history(user, _SEEN_BEFORE[split])
        relevant = np.setdiff1d(dataset.history(user, (split,)), history)
        if len(history) and len(relevant):
            cases.append((user, history, relevant))
    for start in range(0, len(cases), batch_size):
        users, histories, relevant = zip(*cases[start : start + batch_size], strict=True)
        batch = UserBatch.of(histories, users, model.max_length).to(model.device)
        yield model(batch), seen_mask(histories, dataset.n_items, model.device), list(relevant)


def seen_mask(
    histories: Sequence[np.ndarray], n_items: int, device: torch.device | str = "cpu"
) -> Bool[Tensor, "batch n_items"]:
    """True where the item is in the user's history."""
    mask = np.zeros((len(histories), n_items), dtype=bool)
    for row, history in enumerate(histories):
        mask[row, history] = True
    return torch.from_numpy(mask).to(device)
