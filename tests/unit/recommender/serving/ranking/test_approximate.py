"""Answers by an approximate index against those by the scores of all items."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from served_models import N_LATENTS, N_USERS, served_model
from structlog.testing import capture_logs

from reclens.api.inference.v1 import inference_pb2 as pb
from reclens.errors import NotReady
from reclens.probing import ProbeSite
from reclens.recommenders import UserBatch
from reclens.steering import LatentEdit, Mode, Operation, Unit
from reclens_recommender.serving.queries import RankQuery, rank
from reclens_recommender.serving.ranking.approximate import (
    ApproximateRanker,
    ItemIndex,
    build_item_index,
)
from reclens_recommender.serving.ranking.exact import FilteredRanker, ForwardPassRanker
from reclens_recommender.serving.representations import Subject
from reclens_recommender.serving.served_model import ServedModel
from reclens_recommender.serving.server import running_inference
from reclens_recommender.serving.settings import InferenceSection, InferenceSettings

PUSH = (LatentEdit.of((1, 2), Operation.ADD, 1.5, Unit.INPUT_NORM),)
FAR = (LatentEdit.of((1,), Operation.ADD, -6.0, Unit.INPUT_NORM),)


def known(served: ServedModel, user: int) -> Subject:
    return Subject(user, served.dataset.history(user), user)


def with_index(served: ServedModel, n_lists: int = 1, recall: float = 1.0) -> ServedModel:
    """With one list every search looks at all items, with many and little recall at few."""
    weights, biases = served.catalogue.weights, served.catalogue.biases
    index = build_item_index(weights, biases, weights[:50], recall, n_lists)
    ranker = ApproximateRanker(index, served.catalogue, FilteredRanker(served.catalogue))
    return replace(served, ranker=ranker)


def index_of(served: ServedModel) -> ItemIndex:
    """The index that it searches."""
    assert isinstance(served.ranker, ApproximateRanker)
    return served.ranker.index


def queries(served: ServedModel) -> list[RankQuery]:
    rng = np.random.default_rng(5)
    return [
        RankQuery(
            known(served, number % N_USERS),
            top_k=int(rng.integers(1, 30)),
            exclude_seen=bool(number % 2),
            excluded=np.unique(rng.integers(0, 100, number % 5)),
            limits={"a": 2, "e": 0} if number % 3 == 0 else {},
            edits=tuple(
                LatentEdit.of(
                    rng.choice(N_LATENTS, 3, replace=False).tolist(),
                    list(Operation)[rng.integers(4)],
                    2 * rng.random(),
                    list(Unit)[rng.integers(2)],
                )
                for _ in range(number % 4)
            ),
            mode=Mode.RECONSTRUCT if number % 11 == 0 else Mode.RESIDUAL,
            include_baseline=True,
            include_latents=number % 4 == 0,
        )
        for number in range(40)
    ]


def assert_same(found: pb.RankedItems, exact: pb.RankedItems) -> None:
    """The same but for places that are not known."""
    assert found.items == exact.items
    assert found.scores == exact.scores
    assert found.baseline_scores == exact.baseline_scores
    places = zip(found.baseline_ranks, exact.baseline_ranks, strict=True)
    assert all(place in (0, true) for place, true in places)


@pytest.mark.parametrize("kind", ["sasrec", "bprmf", "lightgcn"])
def test_where_everything_is_looked_at_answers_are_the_exact_ones(kind: str) -> None:
    served = served_model(kind)
    asked = queries(served)
    # Of 100 items all are candidates where enough are asked for: then every place is known.
    deep = [replace(query, top_k=100) for query in asked]
    exact = rank(served, deep)
    assert rank(with_index(served), deep) == exact


@pytest.mark.parametrize("kind", ["sasrec", "bprmf"])
def test_of_many_items_the_best_are_found_and_nearby_places_known(kind: str) -> None:
    served = served_model(kind, n_items=1503)
    asked = queries(served)
    places: list[int] = []
    pairs = zip(rank(with_index(served), asked), rank(served, asked), strict=True)
    for query, (found, exact) in zip(asked, pairs, strict=True):
        assert_same(found.ranked, exact.ranked)
        assert found.HasField("baseline")
        assert exact.HasField("baseline")
        assert_same(found.baseline, exact.baseline)
        assert found.baseline.baseline_ranks == exact.baseline.baseline_ranks
        assert (found.edited_latents, found.relative_shift, found.idle_edits) == (
            exact.edited_latents,
            exact.relative_shift,
            exact.idle_edits,
        )
        if query.edits:
            places += found.ranked.baseline_ranks
    assert 0 in places
    assert max(places) > 30


def test_the_place_of_an_item_from_far_below_is_not_known_but_its_score_is() -> None:
    served = served_model("bprmf", n_items=1503)
    subject = known(served, 3)
    query = RankQuery(subject, 30, edits=FAR)
    (found,), (exact,) = rank(with_index(served), [query]), rank(served, [query])
    true = np.array(exact.ranked.baseline_ranks)
    places = np.array(found.ranked.baseline_ranks)
    # Looked at: as many as are asked for, 64 more, and in case as many as are excluded.
    surely = 30 + 64
    at_most = surely + len(set(subject.history.tolist()))
    assert true.min() <= surely
    assert true.max() > at_most
    assert np.array_equal(places[true <= surely], true[true <= surely])
    assert not places[true > at_most].any()
    with torch.inference_mode():
        own = served.model(UserBatch.of([subject.history], [3]))[0].numpy()
    assert list(found.ranked.baseline_scores) == own[list(found.ranked.items)].tolist()


def test_limits_look_deeper_until_enough_are_left() -> None:
    served = served_model("bprmf", n_items=1503)
    limits = {"a": 1, "b": 1, "c": 1, "d": 1}
    asked = [
        RankQuery(known(served, user), 150, limits=limits, edits=edits, include_baseline=True)
        for user in range(4)
        for edits in ((), PUSH)
    ]
    for found, exact in zip(rank(with_index(served), asked), rank(served, asked), strict=True):
        assert len(found.ranked.items) == 150
        assert_same(found.ranked, exact.ranked)


def test_what_the_searched_lists_do_not_hold_is_found_among_all_items() -> None:
    served = served_model("bprmf", n_items=1503)
    few = with_index(served, n_lists=128, recall=0.05)
    assert index_of(few).report.lists_searched == 1
    asked = [
        RankQuery(known(served, user), 300, edits=PUSH, include_latents=True) for user in range(3)
    ]
    exact = rank(served, asked)
    assert rank(few, asked) == exact


def test_an_index_that_misses_items_tells_no_wrong_score_and_is_batch_invariant() -> None:
    served = served_model("bprmf", n_items=1503)
    # Few lists are searched, each with enough items for an answer.
    few = with_index(served, n_lists=8, recall=0.05)
    assert index_of(few).report.lists_searched == 1
    asked = [
        RankQuery(known(served, user), 5, exclude_seen=False, edits=edits)
        for user in range(N_USERS)
        for edits in ((), PUSH)
    ]
    together = rank(few, asked)
    assert [rank(few, [query])[0] for query in asked] == together
    exact = rank(served, asked)
    assert [list(answer.ranked.items) for answer in together] != [
        list(answer.ranked.items) for answer in exact
    ]
    for query, answer in zip(asked, together, strict=True):
        (everything,) = rank(served, [replace(query, top_k=1503)])
        scores = dict(zip(everything.ranked.items, everything.ranked.scores, strict=True))
        assert [scores[item] for item in answer.ranked.items] == list(answer.ranked.scores)
        assert list(answer.ranked.scores) == sorted(answer.ranked.scores, reverse=True)


def test_threads_that_share_the_searches_change_nothing() -> None:
    one, more = (
        served_model("bprmf", n_items=603, search_threads=n, index="approximate") for n in (1, 3)
    )
    asked = queries(one)
    expected = rank(one, asked)
    assert rank(more, asked) == expected


def test_a_release_gets_its_index_when_it_is_loaded() -> None:
    with capture_logs() as logs:
        served = served_model("sasrec", n_items=603, index="approximate")
    (entry,) = [entry for entry in logs if entry["event"] == "index built"]
    assert entry["recall"] >= 0.99
    assert (entry["queries"], entry["lists"]) == (N_USERS, index_of(served).report.lists)
    assert entry["seconds"] >= 0
    assert not isinstance(served_model("sasrec").ranker, ApproximateRanker)


def test_before_the_last_site_all_items_are_scored_and_that_is_logged() -> None:
    site = ProbeSite("encoder.blocks.0", position="last")
    with capture_logs() as logs:
        served = served_model("sasrec", site=site, index="approximate")
    assert isinstance(served.ranker, ForwardPassRanker)
    assert [entry["ranker"] for entry in logs if entry["event"].startswith("no index")] == [
        "ForwardPassRanker"
    ]


def test_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    assert InferenceSettings().inference.index == "exact"
    monkeypatch.setenv("RECLENS_INFERENCE__INDEX", "approximate")
    assert InferenceSettings().inference.index == "approximate"
    monkeypatch.setenv("RECLENS_INFERENCE__INDEX", "fast")
    with pytest.raises(ValidationError, match="index"):
        InferenceSettings()


async def test_without_the_library_the_server_does_not_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    settings = InferenceSettings(
        device="cpu", inference=InferenceSection(listen="127.0.0.1:0", index="approximate")
    )
    with pytest.raises(NotReady, match=r"locks/index\.txt") as raised:
        async with running_inference(settings):
            pass
    assert raised.value.field == "RECLENS_INFERENCE__INDEX"
