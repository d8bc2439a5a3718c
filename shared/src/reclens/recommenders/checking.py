"""Does a model keep what ``Recommender`` promises? Asked before a model from outside is used."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
import torch
from torch import Tensor

from reclens.errors import InvalidInput
from reclens.recommenders.base import UNKNOWN_USER, Recommender, UserBatch
from reclens.recommenders.registry import build_recommender
from reclens.recommenders.samples import is_close

_LENGTHS = (1, 4, 2, 7)


@torch.no_grad()
def check_recommender(model: Recommender, tolerance: float = 1e-3) -> None:
    """Put a few histories through ``model`` and see that

    - its scores are finite and are ``x @ item_weights().T + item_biases()``, ``x`` being what
      passes its site;
    - what is written to the site is what the scores come from, so nothing bypasses it;
    - a user's ``x`` depends on neither the other users of the batch nor the padding;
    - all that its answer depends on is in its ``state_dict``.

    The model is put into eval mode and back.

    Args:
        model: whose promises are tested.
        tolerance: relative error by which numbers may differ that should be equal.

    Raises:
        InvalidInput: names the promise that is broken and what to do.
    """
    was_training = model.training
    model.eval()
    try:
        for kept, what, remedy in _promises(model, tolerance):
            if not kept:
                name = type(model).__name__
                raise InvalidInput(f"{name} {what}.", field="model", remedy=remedy)
    finally:
        model.train(was_training)


def _promises(model: Recommender, tolerance: float) -> Iterator[tuple[bool, str, str]]:
    """Whether each promise is kept, what ``model`` does where it is not, and the remedy."""
    close, rng = partial(is_close, tolerance=tolerance), np.random.default_rng(0)
    histories = [rng.integers(model.n_items, size=length) for length in _LENGTHS]
    users = [UNKNOWN_USER if row % 2 else row % model.n_users for row in range(len(_LENGTHS))]
    batch = UserBatch.of(histories, users).to(model.device)
    x, scores = _answer(model, batch)
    expected = [len(_LENGTHS), model.n_items]
    yield (
        list(scores.shape) == expected and bool(torch.isfinite(scores).all()),
        f"gives scores of shape {list(scores.shape)}, not finite ones of {expected}",
        "give one weight vector and one bias per item, in the data set's order of items.",
    )
    yield (
        close(scores, _scores(model, x)),
        "has scores that are not x @ item_weights().T + item_biases() of the x at its site",
        "name as `site` the module whose output `represent` returns, after its last normalisation "
        "or activation.",
    )
    moved = x + torch.linspace(-1, 1, x.shape[1], device=x.device) * x.norm(dim=1, keepdim=True)
    with model.site.intervene(model, lambda _: moved):
        edited = model(batch)
    yield (
        close(edited, _scores(model, moved)),
        "answers from something that bypasses its site",
        "let `represent` return what the module at `site` returned, unchanged.",
    )
    single = (UserBatch.of([one], [user]) for one, user in zip(histories, users, strict=True))
    alone = [_answer(model, asked.to(model.device))[0] for asked in single]
    yield (
        close(torch.cat(alone), x),
        "represents a user differently in a batch than alone",
        "keep the padding of short histories (-1, on the left) out of the computation.",
    )
    twin = build_recommender(model.config, model.n_users, model.n_items, seed=1)
    twin.load_state_dict(model.state_dict())
    yield (
        close(twin.to(model.device).eval()(batch), scores),
        "answers from something that is not in its state_dict, so it would be lost on disk",
        "make it a parameter or a buffer (`register_buffer`).",
    )


def _answer(model: Recommender, batch: UserBatch) -> tuple[Tensor, Tensor]:
    with model.site.capture(model) as captured:
        scores = model(batch)
    return captured.tensor, scores


def _scores(model: Recommender, x: Tensor) -> Tensor:
    return x @ model.item_weights().T + model.item_biases()
