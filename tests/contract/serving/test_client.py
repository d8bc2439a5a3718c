"""Both clients say what the wire says, and raise what the gateway raised."""

from __future__ import annotations

import pytest

from reclens.client import (
    AsyncSteeringClient,
    SteeringClient,
    ablate,
    add_latent,
    less,
    more,
    recommend_request,
    scale,
    set_concept,
    set_latent,
)
from reclens.errors import DeadlineExceeded, InvalidInput, NotFound, Unavailable

HISTORY = ["item-5", "item-17", "item-2"]


@pytest.fixture
def client(sasrec):
    with SteeringClient(sasrec.gateway.address) as client:
        yield client


def test_more_and_less_of_a_concept_push_in_opposite_directions(client) -> None:
    # Its label has no words of the data: the items that it was read from carry it.
    carriers = {item.item_id for item in client.concept("film-noir").evidence}

    def noir(*edits) -> float:
        answer = client.recommend(user_id="user-0", edits=edits, top_k=40, include_seen=True)
        scores = {item.item_id: item.score for item in answer.items}
        mean = sum(scores.values()) / len(scores)
        return sum(scores[item] - mean for item in carriers)

    assert noir(less("film-noir", 0.2)) < noir() < noir(more("film-noir", 0.2))


def test_every_kind_of_edit_is_understood(client, sasrec) -> None:
    latent = sasrec.world.firing[0]
    for edit in (
        more("comedy"),
        less("comedy"),
        add_latent(latent, -0.5),
        set_latent(latent, 3.0),
        set_concept("western", 1.0),
        scale("film-noir", 2.0),
        scale(latent, 0.5),
        ablate("comedy"),
        ablate(latent),
    ):
        answer = client.recommend(history=HISTORY, edits=[edit], top_k=3)
        assert len(answer.items) == 3


def test_all_calls_answer(client, sasrec) -> None:
    assert [c.concept_id for c in client.concepts(min_confidence=0.65)] == ["film-noir", "comedy"]
    assert client.concept("western").label == "Western"
    assert client.concept_push("western")
    assert [c.concept_id for c in client.search_concepts("comedy")] == ["comedy"]
    assert client.search_concepts(user_id="user-0")
    assert client.explain(history=HISTORY).explanation.latents
    assert client.release().versions.release_version == sasrec.world.release.version
    assert [release.name for release in client.releases()] == ["default"]
    good, bad = client.batch_recommend(
        [recommend_request(user_id="user-1"), recommend_request(user_id="nobody")]
    )
    assert good.response.items
    assert bad.failure.reason == "NOT_FOUND"


def test_errors_arrive_as_their_own_classes(client) -> None:
    with pytest.raises(NotFound) as caught:
        client.recommend(user_id="user-0", edits=[more("film-nor")])
    assert caught.value.field == "edits[0].concept_id"
    assert "film-noir" in caught.value.remedy
    with pytest.raises(InvalidInput) as refused:
        client.recommend(user_id="user-0", edits=[more("film-noir", 1e30)])
    assert refused.value.field == "edits[0].add"


def test_nobody_or_everybody_is_refused_before_the_wire(client) -> None:
    with pytest.raises(InvalidInput, match="either"):
        client.recommend()
    with pytest.raises(InvalidInput, match="either"):
        client.recommend(user_id="user-0", history=HISTORY)
    with pytest.raises(InvalidInput, match="search"):
        client.search_concepts()


def test_gateway_that_is_not_there_is_unavailable() -> None:
    with SteeringClient("127.0.0.1:1", timeout=20) as client, pytest.raises(Unavailable) as caught:
        client.release()
    assert "127.0.0.1:1" in caught.value.message


def test_deadline_is_kept(sasrec) -> None:
    with (
        SteeringClient(sasrec.gateway.address, timeout=1e-6) as client,
        pytest.raises(DeadlineExceeded),
    ):
        client.recommend(user_id="user-0")


def test_async_client_answers_alike(client, sasrec) -> None:
    async def ask():
        async with AsyncSteeringClient(sasrec.gateway.address) as one:
            answer = await one.recommend(user_id="user-0", edits=[more("comedy")], request_id="r")
            concepts = [concept async for concept in one.concepts()]
            with pytest.raises(NotFound) as caught:
                await one.concept("nope")
            return answer, concepts, caught.value.field

    answer, concepts, field = sasrec.stack.loop.run(ask())
    assert answer == client.recommend(user_id="user-0", edits=[more("comedy")], request_id="r")
    assert concepts == list(client.concepts())
    assert field == "concept_id"
