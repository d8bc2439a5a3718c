"""Representations that share a pass have the bits that they have alone, and are kept."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from served_models import N_LATENTS, N_USERS, served_model
from torch import Tensor

from reclens.contracts import SasRecConfig
from reclens.recommenders import Recommender, UserBatch, build_recommender
from reclens.recommenders.base import UNKNOWN_USER
from reclens.steering import LatentEdit, Operation, Unit
from reclens_recommender.serving.queries import RankQuery, rank
from reclens_recommender.serving.ranking import choice
from reclens_recommender.serving.representations import (
    RepresentationCache,
    Subject,
    represent,
)

N_ITEMS = 100


def sasrec(d_model: int = 16) -> Recommender:
    config = SasRecConfig(d_model=d_model, n_layers=2, max_length=16, dropout=0.0)
    return build_recommender(config, N_USERS, N_ITEMS, seed=1).eval()


def histories(count: int, length: int) -> list[np.ndarray[Any, Any]]:
    return [np.random.default_rng(row).integers(0, N_ITEMS, length) for row in range(count)]


def test_only_proved_lengths_share_a_pass_and_every_case_has_its_own_bits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, steering = sasrec(), served_model("bprmf", d_model=16).steering
    kept = RepresentationCache(
        model,
        model.site,
        steering,
        max_bytes=1 << 20,
        lengths=frozenset({12, 16}),
    )
    # Longer than the model sees are as long as it sees.
    asked = histories(40, 16) + histories(3, 21) + histories(3, 12) + histories(3, 9)
    subjects = [Subject(UNKNOWN_USER, history, history.tobytes()) for history in asked]
    sizes: list[int] = []
    own = model.represent

    def counted(batch: UserBatch) -> Tensor:
        sizes.append(len(batch))
        return own(batch)

    with torch.inference_mode():
        alone = [represent(model, model.site, UserBatch.of([one], [-1])) for one in asked]
        monkeypatch.setattr(model, "represent", counted)
        cases = kept.of(subjects)
    # No more in one pass than were tried, 32.
    assert sizes == [32, 11, 3, 1, 1, 1]
    for case, expected in zip(cases, alone, strict=True):
        assert case.encoded.x.tobytes() == expected.numpy().tobytes()


def test_memory_counts_what_a_long_history_is_kept_by() -> None:
    served = served_model("bprmf", representations_mb=1024)
    history = np.arange(N_ITEMS).repeat(50)
    key = history.tobytes()
    with torch.inference_mode():
        (case,) = served.representations.of([Subject(UNKNOWN_USER, history, key)])
    assert served.representations.kept.size >= history.nbytes + len(key) + case.seen.nbytes


@pytest.mark.parametrize("kind", ["sasrec", "bprmf"])
def test_answers_have_the_same_bits_with_and_without_kept_scores(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeping = served_model(kind, n_items=333)
    monkeypatch.setattr(choice, "_SMALL_CATALOGUE", 0)
    plain = served_model(kind, n_items=333)
    edit = LatentEdit.of(range(0, N_LATENTS, 5), Operation.ADD, 0.7, Unit.SCORE_SPREAD)
    asked = [
        RankQuery(
            Subject(user, keeping.dataset.history(user), user),
            top_k=30,
            excluded=np.array([1, 5, 8]),
            limits={"a": 4} if user % 3 == 0 else {},
            edits=(edit,) if user % 2 else (),
            include_baseline=True,
            include_latents=True,
        )
        for user in range(N_USERS)
    ]
    for _ in range(2):  # made, then kept
        with_scores, without = rank(keeping, asked), rank(plain, asked)
        for one, other in zip(with_scores, without, strict=True):
            assert one == other
    with torch.inference_mode():
        (kept,) = keeping.representations.of([asked[0].subject])
        (bare,) = plain.representations.of([asked[0].subject])
    assert kept.scores is not None
    assert bare.scores is None
