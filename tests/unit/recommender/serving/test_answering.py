"""Requests of one batch: each is answered or refused by itself."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from served_models import N_LATENTS, served_model

from reclens.api.inference.v1 import inference_pb2 as pb
from reclens.errors import InvalidInput, NotFound, RecLensError
from reclens_recommender.serving.answering import answer
from reclens_recommender.serving.representations import Representation, Subject
from reclens_recommender.serving.served_model import ServedModel

INVALID, NOT_FOUND = "INVALID_ARGUMENT", "NOT_FOUND"


def served(model: ServedModel) -> Any:
    return SimpleNamespace(loaded=model)


@pytest.fixture(scope="module")
def model() -> ServedModel:
    return served_model("sasrec")


def request(user: str = "u3", **fields: Any) -> pb.RankRequest:
    given: dict[str, Any] = {"subject": {"user_id": user}, "top_k": 5, "exclude_seen": True}
    return pb.RankRequest(**{**given, **fields})


def edit(**fields: Any) -> dict[str, Any]:
    group = {"latents": [1, 2], "weights": [1.0, 1.0], "share": 1.0}
    given: dict[str, Any] = {
        "groups": [group],
        "operation": "EDIT_OPERATION_ADD",
        "strength": 0.4,
        "unit": "STRENGTH_UNIT_INPUT_NORM",
    }
    return {**given, **fields}


def group(*latents: int, **fields: Any) -> list[dict[str, Any]]:
    return [{"latents": latents, "share": 1.0, **fields}]


CONDITION = {"latents": [1], "comparison": "COMPARISON_ABOVE", "level": 0.5}
BAD = [
    (request(subject={}), INVALID, "subject"),
    (request("nobody"), NOT_FOUND, "subject.user_id"),
    (request(subject={"history": {"items": []}}), INVALID, "subject.history.items"),
    (request(subject={"history": {"items": [0, 100]}}), NOT_FOUND, "subject.history.items[1]"),
    (request(subject={"history": {"items": [2**32 - 1]}}), NOT_FOUND, "subject.history.items[0]"),
    (request(subject={"history": {"items": [1] * 10_001}}), INVALID, "subject.history.items"),
    (request(top_k=0), INVALID, "top_k"),
    (request(top_k=1001), INVALID, "top_k"),
    (request(mode=9), INVALID, "mode"),
    (request(excluded_items=[5, 100]), NOT_FOUND, "excluded_items[1]"),
    (request(excluded_items=[5] * 10_001), INVALID, "excluded_items"),
    (request(tag_limits=[{"tag": "a"}, {"tag": "z"}]), NOT_FOUND, "tag_limits[1].tag"),
    (request(tag_limits=[{"tag": "a"}] * 101), INVALID, "tag_limits"),
    (request(edits=[edit()] * 101), INVALID, "edits"),
    (request(edits=[edit(), edit(groups=[])]), INVALID, "edits[1].groups"),
    (request(edits=[edit(groups=group())]), INVALID, "edits[0].groups[0].latents"),
    (request(edits=[edit(groups=group(1, 1))]), INVALID, "edits[0].groups[0].latents"),
    (request(edits=[edit(groups=group(3, N_LATENTS))]), INVALID, "edits[0].groups[0].latents[1]"),
    (
        request(edits=[edit(groups=group(3, weights=[math.nan]))]),
        INVALID,
        "edits[0].groups[0].weights",
    ),
    (request(edits=[edit(groups=group(3, share=math.inf))]), INVALID, "edits[0].groups[0].share"),
    (request(edits=[edit(strength=math.nan)]), INVALID, "edits[0].strength"),
    (request(edits=[edit(operation=0)]), INVALID, "edits[0].operation"),
    (request(edits=[edit(operation=77)]), INVALID, "edits[0].operation"),
    (request(edits=[edit(unit=5)]), INVALID, "edits[0].operation"),
    (request(edits=[edit(conditions=[CONDITION] * 11)]), INVALID, "edits[0].conditions"),
    (
        request(edits=[edit(conditions=[CONDITION, {"latents": [1], "level": 1}])]),
        INVALID,
        "edits[0].conditions[1].comparison",
    ),
    (
        request(edits=[edit(conditions=[{**CONDITION, "level": -1}])]),
        INVALID,
        "edits[0].conditions[0].level",
    ),
    (
        request(edits=[edit(conditions=[{**CONDITION, "latents": [99]}])]),
        INVALID,
        "edits[0].conditions[0].latents[0]",
    ),
]


def test_bad_requests_are_refused_by_field_and_leave_their_neighbours_alone(
    model: ServedModel,
) -> None:
    good = [request(f"u{number % 20}", edits=[edit()]) for number in range(len(BAD))]
    alone = [answer(served(model), [one])[0] for one in good]
    mixed = [one for pair in zip([bad for bad, _, _ in BAD], good, strict=True) for one in pair]
    outcomes = answer(served(model), mixed)
    refused: list[Any] = outcomes[::2]
    assert [(outcome.failure.code, outcome.failure.field) for outcome in refused] == [
        (grpc.StatusCode[code].value[0], field) for _, code, field in BAD
    ]
    assert all(outcome.failure.message and outcome.failure.remedy for outcome in refused)
    assert outcomes[1::2] == alone
    assert all(outcome.response.ranked.items for outcome in outcomes[1::2])  # pyright: ignore


def test_request_that_breaks_the_model_fails_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    model = served_model("sasrec")
    of = model.representations.of

    def fragile(subjects: list[Subject]) -> list[Representation]:
        if any(subject.user_index == 7 for subject in subjects):
            raise ZeroDivisionError("secret detail")
        if any(subject.user_index == 8 for subject in subjects):
            raise InvalidInput("no such thing.", field="history")
        return of(subjects)

    monkeypatch.setattr(model.representations, "of", fragile)
    asked = [request(f"u{user}", request_id=f"id-{user}") for user in range(10)]
    outcomes: list[Any] = answer(served(model), asked)
    fine = [outcome for user, outcome in enumerate(outcomes) if user not in {7, 8}]
    assert fine == answer(served(model), [asked[user] for user in range(10) if user not in {7, 8}])
    assert all(len(outcome.response.ranked.items) == 5 for outcome in fine)
    assert (outcomes[7].failure.code, outcomes[7].failure.reason) == (13, "INTERNAL")
    assert "id-7" in outcomes[7].failure.message
    assert "secret" not in str(outcomes[7])
    assert (outcomes[8].failure.code, outcomes[8].failure.field) == (3, "history")


def test_constraints_and_edits_of_the_wire_reach_the_answer(model: ServedModel) -> None:
    plain, limited, steered = answer(
        served(model),
        [
            request(top_k=20),
            request(
                top_k=20,
                excluded_items=[8, 3],
                tag_limits=[{"tag": "a", "max_items": 1}, {"tag": "a", "max_items": 4}],
            ),
            request(top_k=20, edits=[edit()], include_baseline=True, include_latents=True),
        ],
    )
    assert isinstance(plain, pb.RankOutcome)
    assert isinstance(limited, pb.RankOutcome)
    assert isinstance(steered, pb.RankOutcome)
    tags = model.dataset.items.tags
    assert sum("a" in tags[item] for item in plain.response.ranked.items) > 1
    # Of two limits of a tag the lower counts.
    assert sum("a" in tags[item] for item in limited.response.ranked.items) <= 1
    assert not {8, 3} & set(limited.response.ranked.items)
    assert steered.response.baseline.items == plain.response.ranked.items
    assert steered.response.baseline_items == plain.response.ranked.items
    assert not plain.response.baseline_items
    assert not plain.response.history
    assert list(steered.response.history) == model.dataset.history(3).tolist()
    assert steered.response.relative_shift == pytest.approx(0.4, rel=1e-5)
    assert steered.response.edited_latents == 2


def test_proposals_are_answered_beside_rankings(model: ServedModel) -> None:
    ask = pb.ProposeRequest(items=[4, 9], weights=[1.0, -1.0], max_latents=3)
    proposal, ranked, missing, unusable = answer(
        served(model),
        [
            ask,
            request(),
            pb.ProposeRequest(items=[4, 100], weights=[1.0, 1.0], max_latents=3),
            pb.ProposeRequest(items=[4], weights=[math.nan], max_latents=3),
        ],
    )
    assert isinstance(proposal, pb.ProposeResponse)
    assert 1 <= len(proposal.latents) == len(proposal.shares) <= 3
    assert 0 < proposal.alignment <= 1
    assert isinstance(ranked, pb.RankOutcome)
    assert ranked.response.ranked.items
    refused = [
        (type(one), one.field) for one in (missing, unusable) if isinstance(one, RecLensError)
    ]
    assert refused == [(NotFound, "items[1]"), (InvalidInput, "weights")]
    # As groups of an ADD by the norm, the latents raise what was liked over what was not.
    edits = [
        edit(
            groups=[
                {"latents": [latent], "weights": [1.0], "share": share}
                for latent, share in zip(proposal.latents, proposal.shares, strict=True)
            ]
        )
    ]
    before, after = answer(
        served(model), [request(top_k=100, exclude_seen=False, edits=of) for of in ([], edits)]
    )
    gaps = []
    for outcome in (before, after):
        assert isinstance(outcome, pb.RankOutcome)
        ranked = outcome.response.ranked
        scores = dict(zip(ranked.items, ranked.scores, strict=True))
        gaps.append(scores[4] - scores[9])
    assert gaps[1] > gaps[0]
