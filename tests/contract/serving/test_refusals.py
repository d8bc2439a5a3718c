"""What cannot be answered is refused with its code, reason and field; never answered otherwise."""

from __future__ import annotations

import math
import time

import grpc
import pytest
from refusals import refusal
from serving_stack import alone, outcome_of

from reclens.api.inference.v1 import inference_pb2 as inference
from reclens.api.steering.v1 import steering_pb2 as pb

USER = pb.Subject(user_id="user-0")
Code = grpc.StatusCode
INVALID = Code.INVALID_ARGUMENT


def recommend(*edits: pb.Edit, **fields) -> pb.RecommendRequest:
    return pb.RecommendRequest(**{"subject": USER, "edits": edits, **fields})


def history(*item_ids: str) -> pb.Subject:
    return pb.Subject(history=pb.ItemHistory(item_ids=item_ids))


@pytest.mark.parametrize(
    ("request_", "code", "field"),
    [
        (recommend(subject=pb.Subject(user_id="nobody")), Code.NOT_FOUND, "subject.user_id"),
        (recommend(subject=pb.Subject(user_id="")), Code.NOT_FOUND, "subject.user_id"),
        (
            recommend(subject=history("item-1", "no-such")),
            Code.NOT_FOUND,
            "subject.history.item_ids[1]",
        ),
        (recommend(subject=history()), INVALID, "subject.history.item_ids"),
        (
            recommend(subject=history(*["item-1"] * 10_001)),
            INVALID,
            "subject.history.item_ids",
        ),
        (recommend(subject=pb.Subject()), INVALID, "subject"),
        (recommend(top_k=1001), INVALID, "top_k"),
        (recommend(mode=7), INVALID, "mode"),  # pyright: ignore
        (recommend(release="other"), Code.NOT_FOUND, "release"),
        (recommend(request_id="x" * 129), INVALID, "request_id"),
        (recommend(*[pb.Edit(latent=0, add=0.1)] * 101), INVALID, "edits"),
        (recommend(pb.Edit(add=0.1)), INVALID, "edits[0].target"),
        (recommend(pb.Edit(latent=0)), INVALID, "edits[0].operation"),
        (recommend(pb.Edit(latent=32, add=1)), INVALID, "edits[0].latent"),
        (recommend(pb.Edit(latent=0, set=-1)), INVALID, "edits[0].set"),
        (recommend(pb.Edit(latent=0, scale=-0.5)), INVALID, "edits[0].scale"),
        (recommend(pb.Edit(latent=0, scale=math.inf)), INVALID, "edits[0].scale"),
        *(
            (
                recommend(pb.Edit(latent=0, add=0.5), pb.Edit(concept_id="comedy", add=strength)),
                INVALID,
                "edits[1].add",
            )
            for strength in (math.nan, math.inf, -math.inf, 1e30, -101.0)
        ),
    ],
)
def test_recommend_names_the_field_that_cannot_be_used(sasrec, request_, code, field) -> None:
    got, reason, named, _ = refusal(sasrec.steering.Recommend, request_)
    assert (got, named) == (code, field)
    assert reason == ("NOT_FOUND" if code is Code.NOT_FOUND else "INVALID_INPUT")


def test_unknown_concept_comes_with_similar_ones(sasrec) -> None:
    request = recommend(pb.Edit(latent=1, add=0.1), pb.Edit(concept_id="film-nior", add=0.4))
    code, _, field, message = refusal(sasrec.steering.Recommend, request)
    assert (code, field) == (Code.NOT_FOUND, "edits[1].concept_id")
    assert "film-noir" in message


def test_long_unknown_names_still_get_their_status_through(sasrec) -> None:
    request = recommend(pb.Edit(concept_id="\N{CLAPPER BOARD}" * 100_000, add=0.4))
    assert refusal(sasrec.steering.Recommend, request)[0] is Code.NOT_FOUND
    request = recommend(subject=pb.Subject(user_id="\N{CLAPPER BOARD}" * 100_000))
    assert refusal(sasrec.steering.Recommend, request)[0] is Code.NOT_FOUND


@pytest.mark.parametrize(
    ("method", "request_", "code", "field"),
    [
        ("GetConcept", pb.GetConceptRequest(concept_id="nope"), Code.NOT_FOUND, "concept_id"),
        ("GetRelease", pb.GetReleaseRequest(name="nope"), Code.NOT_FOUND, "name"),
        ("SearchConcepts", pb.SearchConceptsRequest(), INVALID, "query"),
        ("SearchConcepts", pb.SearchConceptsRequest(text=" ?"), INVALID, "text"),
        ("SearchConcepts", pb.SearchConceptsRequest(text="crime " * 167), INVALID, "text"),
        ("SearchConcepts", pb.SearchConceptsRequest(item_id="x"), Code.NOT_FOUND, "item_id"),
        ("SearchConcepts", pb.SearchConceptsRequest(user_id="x"), Code.NOT_FOUND, "user_id"),
        (
            "ListConcepts",
            pb.ListConceptsRequest(page_size=1001),
            INVALID,
            "page_size",
        ),
        (
            "ListConcepts",
            pb.ListConceptsRequest(min_confidence=math.nan),
            INVALID,
            "min_confidence",
        ),
        (
            "ListConcepts",
            pb.ListConceptsRequest(page_token="?"),
            INVALID,
            "page_token",
        ),
        (
            "ListReleases",
            pb.ListReleasesRequest(page_token="W10="),
            INVALID,
            "page_token",
        ),
        ("BatchRecommend", pb.BatchRecommendRequest(), INVALID, "requests"),
        (
            "BatchRecommend",
            pb.BatchRecommendRequest(requests=[recommend()] * 257),
            INVALID,
            "requests",
        ),
        ("Explain", pb.ExplainRequest(), INVALID, "subject"),
        ("Explain", pb.ExplainRequest(subject=USER, top_k=5000), INVALID, "top_k"),
    ],
)
def test_other_calls_name_the_field_too(sasrec, method, request_, code, field) -> None:
    got, _, named, _ = refusal(getattr(sasrec.steering, method), request_)
    assert (got, named) == (code, field)


@pytest.mark.parametrize(
    ("request_", "code", "field"),
    [
        (inference.RankRequest(), INVALID, "subject"),
        (inference.RankRequest(subject={"user_id": "user-0"}), INVALID, "top_k"),
        (
            inference.RankRequest(
                subject={"user_id": "user-0"},
                top_k=5,
                edits=[{"groups": [{"latents": [0], "weights": [1]}], "strength": 1.0}],  # pyright: ignore
            ),
            INVALID,
            "edits[0].operation",
        ),
        (
            inference.RankRequest(
                subject={"user_id": "user-0"},
                top_k=5,
                edits=[{"operation": "EDIT_OPERATION_ABLATE"}],  # pyright: ignore
            ),
            INVALID,
            "edits[0].groups",
        ),
        (
            inference.RankRequest(
                subject={"user_id": "user-0"},
                top_k=5,
                edits=[
                    {  # pyright: ignore
                        "groups": [{"latents": [99], "weights": [1]}],
                        "operation": "EDIT_OPERATION_ABLATE",
                    }
                ],
            ),
            INVALID,
            "edits[0].groups[0].latents[0]",
        ),
        (
            inference.RankRequest(
                subject={"user_id": "user-0"}, top_k=5, release_version="0123456789abcdef"
            ),
            Code.FAILED_PRECONDITION,
            "release_version",
        ),
    ],
)
def test_inference_checks_for_itself(sasrec, request_, code, field) -> None:
    failure = outcome_of(sasrec.ranking, request_).failure
    assert (failure.code, failure.field) == (code.value[0], field)


def test_nothing_released_is_a_failed_precondition(stack) -> None:
    inference_server = stack.start_inference()
    gateway = stack.start_gateway(inference_server.address)
    stack.refresh(inference_server, gateway)
    code, reason, _, _ = refusal(stack.steering(gateway).Recommend, recommend())
    assert (code, reason) == (Code.FAILED_PRECONDITION, "NOT_READY")
    rank = inference.RankRequest(subject={"user_id": "user-0"}, top_k=1)
    failure = outcome_of(stack.inference(inference_server), rank).failure
    assert (failure.code, failure.reason) == (9, "NOT_READY")


def test_inference_down_is_unavailable_and_concepts_still_answer(stack) -> None:
    stack.publisher.world()
    gateway = stack.start_gateway("127.0.0.1:1", load_seconds=1)
    stack.refresh(gateway)
    stub = stack.steering(gateway)
    code, reason, _, _ = refusal(stub.Recommend, recommend(), timeout=20)
    assert (code, reason) == (Code.UNAVAILABLE, "UNAVAILABLE")
    assert len(stub.ListConcepts(pb.ListConceptsRequest()).concepts) == 4


def test_overload_is_refused_at_once(stack, hold_model) -> None:
    stack.publisher.world()
    server = stack.start_inference(max_waiting=2)
    stack.refresh(server)
    hold = hold_model(server)
    stub = stack.inference(server)
    rank = inference.RankRequest(subject={"user_id": "user-0"}, top_k=3)
    under_way = [stub.BatchRank.future(alone(rank), timeout=30) for _ in range(2)]
    assert hold.entered.wait(10)
    _eventually(lambda: refusal_code(stub, rank) == Code.RESOURCE_EXHAUSTED.value[0])
    hold.go.set()
    answers = [call.result().outcomes[0].response for call in under_way]
    assert [len(answer.ranked.items) for answer in answers] == [3, 3]


def test_deadline_passes_while_the_model_is_busy(stack, hold_model) -> None:
    stack.publisher.world()
    server = stack.start_inference()
    gateway = stack.start_gateway(server.address)
    stack.refresh(server, gateway)
    hold = hold_model(server)
    with pytest.raises(grpc.RpcError) as caught:
        stack.steering(gateway).Recommend(recommend(), timeout=0.5)
    assert caught.value.code() is Code.DEADLINE_EXCEEDED
    hold.go.set()


def test_fault_of_the_server_tells_nothing_but_the_requests_id(stack, monkeypatch) -> None:
    stack.publisher.world()
    server = stack.start_inference()
    gateway = stack.start_gateway(server.address)
    stack.refresh(server, gateway)
    kept = server.watch.current("default").loaded.representations

    def fail(_subjects):
        raise RuntimeError("secret detail")

    monkeypatch.setattr(kept, "of", fail)
    code, reason, _, message = refusal(
        stack.steering(gateway).Recommend, recommend(request_id="find-me")
    )
    assert (code, reason) == (Code.INTERNAL, "INTERNAL")
    assert "find-me" in message
    assert "secret" not in message


def refusal_code(stub, rank) -> int | None:
    try:
        (outcome,) = stub.BatchRank(alone(rank), timeout=0.2).outcomes
    except grpc.RpcError:
        return None
    return outcome.failure.code


def _eventually(condition) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline


def test_answer_above_the_message_cap_is_resource_exhausted(stack) -> None:
    stack.publisher.world()
    server = stack.start_inference()
    gateway = stack.start_gateway(server.address, max_message_bytes=1 << 16)
    stack.refresh(server, gateway)
    batch = pb.BatchRecommendRequest(requests=[recommend(top_k=40, explain=True)] * 256)
    with pytest.raises(grpc.RpcError) as caught:
        stack.steering(gateway).BatchRecommend(batch, timeout=30)
    assert caught.value.code() is Code.RESOURCE_EXHAUSTED
