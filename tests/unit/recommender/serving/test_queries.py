"""Answers are the model's own, with edits written in, alone or together with others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from served_models import N_LATENTS, N_USERS, served_model

from reclens.probing import ProbeSite
from reclens.recommenders import UserBatch
from reclens.recommenders.base import UNKNOWN_USER
from reclens.steering import LatentEdit, Mode, Operation, Unit
from reclens.steering.engine import steer
from reclens_recommender.serving.queries import RankQuery, rank
from reclens_recommender.serving.ranking import catalogue, choice
from reclens_recommender.serving.ranking.exact import (
    FilteredRanker,
    ForwardPassRanker,
    ProductRanker,
)
from reclens_recommender.serving.ranking.ranker import Ranker
from reclens_recommender.serving.representations import Subject
from reclens_recommender.serving.served_model import ServedModel

KINDS = ["sasrec", "bprmf", "lightgcn"]
# Within the encoder, so that what is edited there goes on through the model.
INNER_SITE = ProbeSite("encoder.blocks.0", position="last")


def known(served: ServedModel, user: int) -> Subject:
    return Subject(user, served.dataset.history(user), user)


def bare(*items: int) -> Subject:
    history = np.array(items)
    return Subject(UNKNOWN_USER, history, history.tobytes())


def ranked_by(ranker: type[Ranker], served: ServedModel) -> ServedModel:
    """The same model with another exact ranker."""
    if ranker is ForwardPassRanker:
        return replace(served, ranker=ForwardPassRanker(served.model, served.site))
    assert ranker in {FilteredRanker, ProductRanker}
    return replace(served, ranker=ranker(served.catalogue))  # pyright: ignore[reportCallIssue]


def own_scores(served: ServedModel, subject: Subject) -> np.ndarray:
    """What the model itself gives for one request."""
    with torch.inference_mode():
        return served.model(UserBatch.of([subject.history], [subject.user_index]))[0].numpy()


def edited_scores(
    served: ServedModel, subject: Subject, edits: tuple[LatentEdit, ...], mode: Mode
) -> np.ndarray:
    """The model's own forward pass with the edits written in while it runs."""
    p99 = torch.from_numpy(served.steering.p99)

    def write(x: torch.Tensor) -> torch.Tensor:
        return steer(x, served.sae, p99, edits, mode)

    batch = UserBatch.of([subject.history], [subject.user_index])
    with torch.inference_mode(), served.site.intervene(served.model, write):
        return served.model(batch)[0].numpy()


def bits(scores: Sequence[float]) -> bytes:
    """Scores of a message as the array that they were."""
    return np.array(scores, np.float32).tobytes()


def in_order(scores: np.ndarray, excluded: set[int]) -> list[int]:
    candidates = [item for item in range(len(scores)) if item not in excluded]
    return sorted(candidates, key=lambda item: (-scores[item], item))


def queries(served: ServedModel) -> list[RankQuery]:
    """Requests of all sorts."""
    rng = np.random.default_rng(5)
    made: list[RankQuery] = []
    for number in range(40):
        subject = known(served, number % N_USERS) if number % 3 else bare(number, 3, 50)
        edits = tuple(
            LatentEdit.of(
                rng.choice(N_LATENTS, 3, replace=False).tolist(),
                list(Operation)[rng.integers(4)],
                2 * rng.random(),
                list(Unit)[rng.integers(2)],
            )
            for _ in range(number % 4)
        )
        made.append(
            RankQuery(
                subject,
                top_k=int(rng.integers(1, 30)),
                exclude_seen=bool(number % 2),
                excluded=np.unique(rng.integers(0, 100, number % 5)),
                limits={"a": 2, "e": 0} if number % 7 == 0 else {},
                edits=edits,
                mode=Mode.RECONSTRUCT if number % 11 == 0 else Mode.RESIDUAL,
                include_baseline=number % 5 == 0,
                include_latents=number % 4 == 0,
            )
        )
    return made


@pytest.mark.parametrize("kind", KINDS)
def test_model_is_scored_in_the_fast_way_on_a_cpu(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Of few items a product of one vector costs least.
    assert isinstance(served_model(kind).ranker, ProductRanker)
    monkeypatch.setattr(choice, "_SMALL_CATALOGUE", 50)
    assert isinstance(served_model(kind).ranker, FilteredRanker)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ranker", [FilteredRanker, ProductRanker, ForwardPassRanker])
def test_untouched_answers_have_the_bits_of_the_models_own_pass_alone_and_together(
    kind: str, ranker: type[Ranker]
) -> None:
    served = ranked_by(ranker, served_model(kind))
    subjects = [known(served, user) for user in range(N_USERS)] + [bare(4, 9), bare(1)]
    asked = [RankQuery(subject, top_k=20) for subject in subjects]
    together = rank(served, asked)
    for query, answer in zip(asked, together, strict=True):
        scores = own_scores(served, query.subject)
        expected = in_order(scores, set(query.subject.history.tolist()))[:20]
        assert list(answer.ranked.items) == expected
        assert bits(answer.ranked.scores) == scores[expected].tobytes()
        assert answer.ranked.baseline_ranks == list(range(1, len(expected) + 1))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("d_model", [8, 64])
@pytest.mark.parametrize("few_items", [0, 8192])
def test_an_answer_is_the_same_to_the_bit_whoever_asks_beside_it(
    kind: str, d_model: int, few_items: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choice, "_SMALL_CATALOGUE", few_items)
    served = served_model(kind, n_items=203, d_model=d_model)
    asked = queries(served)
    together = rank(served, asked)
    # A model of its own, so that nothing is kept from the first time.
    again = served_model(kind, n_items=203, d_model=d_model)
    backwards = rank(again, asked[::-1])[::-1]
    alone = [rank(again, [query])[0] for query in asked]
    assert together == alone
    assert together == backwards


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ranker", [FilteredRanker, ProductRanker, ForwardPassRanker])
def test_edited_answers_are_those_of_the_pass_that_the_edits_are_written_into(
    kind: str, ranker: type[Ranker]
) -> None:
    served = ranked_by(ranker, served_model(kind))
    asked = queries(served)
    for query, answer in zip(asked, rank(served, asked), strict=True):
        scores = edited_scores(served, query.subject, query.edits, query.mode)
        np.testing.assert_allclose(
            answer.ranked.scores, scores[list(answer.ranked.items)], rtol=1e-5, atol=1e-5
        )
        before = own_scores(served, query.subject)
        seen = set(query.subject.history.tolist()) if query.exclude_seen else set[int]()
        order = in_order(before, seen | set(query.excluded.tolist()))
        ranks = [order.index(item) + 1 for item in answer.ranked.items]
        assert answer.ranked.baseline_ranks == ranks
        assert bits(answer.ranked.baseline_scores) == before[list(answer.ranked.items)].tobytes()
        if not query.limits:
            left = [score for i, score in enumerate(scores) if i in set(order)]
            best = sorted(left, reverse=True)[: query.top_k]
            np.testing.assert_allclose(answer.ranked.scores, best, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("together", [False, True])
def test_another_site_goes_through_the_rest_of_the_model(together: bool) -> None:
    served = served_model("sasrec", site=INNER_SITE, encode_together=together)
    assert isinstance(served.ranker, ForwardPassRanker)
    edits = (LatentEdit.of((3, 9), Operation.ADD, 0.8, Unit.INPUT_NORM),)
    subjects = [known(served, user) for user in range(6)]
    asked = [RankQuery(subject, 10, edits=edits) for subject in subjects]
    for subject, answer in zip(subjects, rank(served, asked), strict=True):
        scores = edited_scores(served, subject, edits, Mode.RESIDUAL)
        expected = in_order(scores, set(subject.history.tolist()))[:10]
        assert list(answer.ranked.items) == expected
        np.testing.assert_allclose(answer.ranked.scores, scores[expected], rtol=1e-5)
        assert answer.relative_shift == pytest.approx(0.8, rel=1e-5)
        # What was written is not what the last layer ends with: no shortcut gives this.
        assert not np.allclose(answer.ranked.scores, own_scores(served, subject)[expected])


@pytest.mark.parametrize("kind", KINDS)
def test_idle_edits_leave_every_bit_and_say_so(kind: str) -> None:
    served = served_model(kind)
    subject = known(served, 2)
    firing = served.representations.of([subject])[0].encoded.latents
    silent = next(latent for latent in range(N_LATENTS) if latent not in firing)
    edits = (LatentEdit.of((silent,), Operation.SCALE, 3.0),)
    plain, idle = rank(served, [RankQuery(subject, 10), RankQuery(subject, 10, edits=edits)])
    assert idle.ranked.scores == plain.ranked.scores
    assert idle.ranked.items == plain.ranked.items
    assert [one.index for one in idle.idle_edits] == [0]
    assert (idle.edited_latents, idle.relative_shift) == (0, 0.0)
    assert idle.baseline_items == plain.ranked.items
    assert not plain.baseline_items


def test_limits_are_kept_by_passing_items_over() -> None:
    served = served_model("bprmf", n_items=300)
    subject = known(served, 5)
    tags = served.dataset.items.tags
    edits = (LatentEdit.of((1, 2), Operation.ADD, 1.0, Unit.INPUT_NORM),)
    limits = {"a": 3, "b": 0, "d": 1}
    for edited in ((), edits):
        (answer,) = rank(served, [RankQuery(subject, 20, limits=limits, edits=edited)])
        scores = edited_scores(served, subject, edited, Mode.RESIDUAL)
        left, expected = dict(limits), list[int]()
        for item in in_order(scores, set(subject.history.tolist())):
            carried = [tag for tag in tags[item] if tag in left]
            if len(expected) < 20 and all(left[tag] for tag in carried):
                expected.append(item)
                for tag in carried:
                    left[tag] -= 1
        assert list(answer.ranked.items) == expected
        assert len(expected) == 20
        # Limits move no place in the untouched ranking.
        order = in_order(own_scores(served, subject), set(subject.history.tolist()))
        ranks = [order.index(item) + 1 for item in expected]
        assert answer.ranked.baseline_ranks == ranks


def test_limits_may_leave_fewer_items_than_were_asked_for() -> None:
    served = served_model("bprmf")
    limits = {"a": 1, "b": 1, "c": 1, "d": 1, "e": 2}
    (answer,) = rank(served, [RankQuery(known(served, 0), 50, limits=limits)])
    carried = [set(served.dataset.items.tags[item]) for item in answer.ranked.items]
    assert 2 <= len(carried) < 50
    for tag, most in limits.items():
        assert sum(tag in tags for tags in carried) <= most


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", list(Mode))
def test_parts_of_a_score_add_up_to_it(kind: str, mode: Mode) -> None:
    served = served_model(kind)
    edits = (LatentEdit.of((3, 8), Operation.ADD, 0.6, Unit.INPUT_NORM),)
    (message,) = rank(
        served, [RankQuery(known(served, 7), 12, edits=edits, mode=mode, include_latents=True)]
    )
    total = np.array(message.unexplained) + np.array(message.biases)
    for latent in message.latents:
        total += np.array(latent.contributions)
    assert np.abs(total - np.array(message.ranked.scores)).max() < 1e-4
    assert {3, 8} <= {latent.latent for latent in message.latents}
    assert message.history == served.dataset.history(7).tolist()


def test_representations_are_computed_once_and_dropped_when_there_are_too_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    served = served_model("sasrec")
    kept = served.representations.kept
    kept.max_size = 4 * 2500
    computed: list[int] = []
    own = served.model.represent

    def counted(batch: UserBatch) -> torch.Tensor:
        computed.append(len(batch))
        return own(batch)

    monkeypatch.setattr(served.model, "represent", counted)
    first, second = known(served, 0), bare(1, 2)
    rank(served, [RankQuery(first, 3), RankQuery(second, 3), RankQuery(first, 5)])
    assert sum(computed) == 2
    rank(served, [RankQuery(second, 3), RankQuery(first, 3)])
    assert sum(computed) == 2
    rank(served, [RankQuery(known(served, user), 3) for user in range(1, 10)])
    assert kept.size <= 4 * 2500
    assert 0 < len(kept) <= 6
    rank(served, [RankQuery(first, 3)])
    assert sum(computed) == 12  # the oldest had gone
    nothing = served_model("sasrec", representations_mb=0)
    assert (
        rank(nothing, [RankQuery(first, 3)])[0].ranked
        == rank(served, [RankQuery(first, 3)])[0].ranked
    )
    assert len(nothing.representations.kept) == 0


def test_threads_that_share_the_search_change_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "_CHUNK_ITEMS", 128)
    one, more = (served_model("bprmf", n_items=1500, search_threads=threads) for threads in (1, 3))
    asked = queries(one)
    expected = rank(one, asked)
    for _ in range(5):
        assert rank(more, asked) == expected
