"""The released pipeline, asked as a product asks: plain grpcio and the published stubs."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
import numpy as np
import pytest
import torch
from running_stack import Stack

from reclens.api.steering.v1 import steering_pb2 as pb
from reclens.api.steering.v1 import steering_pb2_grpc
from reclens.data import read_dataset
from reclens.recommenders import UserBatch, load_recommender

USER = "7"


@pytest.fixture(scope="module")
def gateway(stack: Stack, pipeline_job: str) -> Iterator[steering_pb2_grpc.SteeringServiceStub]:
    with grpc.insecure_channel(stack.state.endpoints()["gateway"]) as channel:
        yield steering_pb2_grpc.SteeringServiceStub(channel)


def recommend(
    gateway: steering_pb2_grpc.SteeringServiceStub, **fields: object
) -> pb.RecommendResponse:
    fields.setdefault("subject", pb.Subject(user_id=USER))
    request = pb.RecommendRequest(release="default", top_k=20, **fields)  # type: ignore[arg-type]
    return gateway.Recommend(request, timeout=30)


def own_scores(stack: Stack, user: str) -> tuple[np.ndarray, list[str]]:
    """The recommender's own answer, without RecLens' serving: its artifact and a forward pass."""
    release = stack.store.releases.head("default")
    model = load_recommender(stack.store.fetch_all(release.recommender))
    lineage = stack.store.lineage(release.recommender)
    dataset = read_dataset(stack.store.fetch_all(lineage["dataset"]))
    index = dataset.users.index_of(user)
    history = dataset.history(index)
    with torch.no_grad():
        batch = UserBatch.of([history], [index], max_length=model.max_length)
        scores = model(batch)[0].numpy()
    scores[history] = -np.inf
    return scores, dataset.items.ids


def test_without_edits_the_answer_is_the_recommenders_own_bit_for_bit(
    stack: Stack, gateway: steering_pb2_grpc.SteeringServiceStub
):
    scores, item_ids = own_scores(stack, USER)
    best = np.argsort(-scores, kind="stable")[:20]
    answer = recommend(gateway, include_baseline=True)
    assert [item.item_id for item in answer.items] == [item_ids[i] for i in best]
    wire = np.array([item.score for item in answer.items], dtype=np.float32)
    assert wire.tobytes() == scores[best].astype(np.float32).tobytes()
    assert answer.effect.overlap == 1
    assert answer.effect.edited_latents == 0


def concept(gateway: steering_pb2_grpc.SteeringServiceStub) -> pb.Concept:
    request = pb.ListConceptsRequest(release="default", page_size=1)
    return gateway.ListConcepts(request, timeout=30).concepts[0]


def test_more_of_a_concept_moves_the_answer_and_says_how_far(
    gateway: steering_pb2_grpc.SteeringServiceStub,
):
    edit = pb.Edit(concept_id=concept(gateway).concept_id, add=0.8)
    answer = recommend(gateway, edits=[edit], include_baseline=True)
    half = recommend(gateway, edits=[pb.Edit(concept_id=edit.concept_id, add=0.4)])
    # A push is linear in its strength.
    assert half.effect.relative_shift > 0
    assert answer.effect.relative_shift == pytest.approx(2 * half.effect.relative_shift, rel=1e-3)
    assert answer.effect.overlap < 1
    (hits,) = answer.effect.concept_hits
    assert hits.concept_id == edit.concept_id
    assert hits.after >= hits.before
    assert [item.item_id for item in answer.items] != [item.item_id for item in answer.baseline]
    assert answer.versions.release == "default"
    undone = recommend(gateway, edits=[pb.Edit(concept_id=edit.concept_id, add=0.0)])
    assert [i.item_id for i in undone.items] == [i.item_id for i in answer.baseline]


def test_an_explanation_adds_up_to_the_scores(gateway: steering_pb2_grpc.SteeringServiceStub):
    request = pb.ExplainRequest(release="default", subject=pb.Subject(user_id=USER), top_k=5)
    answer = gateway.Explain(request, timeout=30)
    assert 0 < len(answer.explanation.latents) <= 8
    for place, item in enumerate(answer.items):
        total = sum(latent.contributions[place] for latent in answer.explanation.latents)
        total += answer.explanation.unexplained[place] + answer.explanation.biases[place]
        assert total == pytest.approx(item.score, abs=1e-4)


def test_a_bare_history_of_item_ids_is_enough(gateway: steering_pb2_grpc.SteeringServiceStub):
    history = pb.ItemHistory(item_ids=["50", "172", "181"])
    answer = recommend(gateway, subject=pb.Subject(history=history))
    assert len(answer.items) == 20
    assert not {"50", "172", "181"} & {item.item_id for item in answer.items}


@pytest.mark.parametrize(
    ("fields", "code", "named"),
    [
        ({"subject": pb.Subject(user_id="nobody")}, "NOT_FOUND", "user_id"),
        (
            {"subject": pb.Subject(history=pb.ItemHistory(item_ids=["50", "no-film"]))},
            "NOT_FOUND",
            "item_ids[1]",
        ),
        ({"subject": pb.Subject(history=pb.ItemHistory())}, "INVALID_ARGUMENT", "history"),
        ({"edits": [pb.Edit(concept_id="no-such", add=0.4)]}, "NOT_FOUND", "edits[0].concept_id"),
        ({"edits": [pb.Edit(latent=99999, add=1)]}, "INVALID_ARGUMENT", "edits[0].latent"),
        ({"edits": [pb.Edit(latent=1, add=float("nan"))]}, "INVALID_ARGUMENT", "edits[0].add"),
        ({"edits": [pb.Edit(latent=1, add=1e30)]}, "INVALID_ARGUMENT", "edits[0].add"),
    ],
)
def test_bad_input_gets_its_code_and_the_name_of_the_field(
    gateway: steering_pb2_grpc.SteeringServiceStub,
    fields: dict[str, object],
    code: str,
    named: str,
):
    with pytest.raises(grpc.RpcError) as caught:
        recommend(gateway, **fields)
    assert caught.value.code().name == code
    assert named in caught.value.details()
