"""Concepts are listed, found and paged over the wire."""

from __future__ import annotations

import grpc
import pytest
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from reclens.api.steering.v1 import steering_pb2 as pb


def ids(concepts) -> list[str]:
    return [concept.concept_id for concept in concepts]


def test_concepts_are_listed_most_trusted_first_over_pages(sasrec) -> None:
    found, token, sizes = [], "", []
    while True:
        page = sasrec.steering.ListConcepts(pb.ListConceptsRequest(page_size=3, page_token=token))
        found += ids(page.concepts)
        sizes.append(len(page.concepts))
        assert page.total_size == 4
        token = page.next_page_token
        if not token:
            break
    assert found == ["film-noir", "comedy", "western", "never"]
    assert sizes == [3, 1]


def test_floor_of_confidence_leaves_out_what_is_below(sasrec) -> None:
    page = sasrec.steering.ListConcepts(pb.ListConceptsRequest(min_confidence=0.65))
    assert ids(page.concepts) == ["film-noir", "comedy"]
    assert page.total_size == 2


def test_page_token_of_another_query_is_refused(sasrec) -> None:
    token = sasrec.steering.ListConcepts(pb.ListConceptsRequest(page_size=1)).next_page_token
    with pytest.raises(grpc.RpcError) as caught:
        sasrec.steering.ListConcepts(
            pb.ListConceptsRequest(page_size=1, page_token=token, min_confidence=0.5)
        )
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_concept_is_given_with_its_latents_and_evidence(sasrec) -> None:
    world = sasrec.world
    answer = sasrec.steering.GetConcept(pb.GetConceptRequest(concept_id="film-noir"))
    concept = answer.concept
    assert list(concept.latents) == [world.firing[0], world.silent[0]]
    assert concept.label == "Film-Noir"
    assert concept.keywords == ["film-noir"]
    assert concept.confidence == pytest.approx(0.9)
    assert concept.evidence[0].item_id == f"item-{world.firing[0]}"
    assert concept.evidence[0].title == f"Title {world.firing[0]}"
    assert (concept.n_positive, concept.n_negative, concept.source) == (10, 20, "keywords")
    assert answer.versions.release_version == world.release.version


def test_a_part_names_the_whole(sasrec) -> None:
    def parent(concept_id: str) -> str:
        request = pb.GetConceptRequest(concept_id=concept_id)
        return sasrec.steering.GetConcept(request).concept.parent_concept_id

    assert parent("never") == "western"
    assert parent("western") == ""


def test_concepts_are_found_by_words_items_and_users(sasrec) -> None:
    search, world = sasrec.steering.SearchConcepts, sasrec.world
    assert ids(search(pb.SearchConceptsRequest(text="NOIR film")).concepts) == ["film-noir"]
    by_item = search(pb.SearchConceptsRequest(item_id=f"item-{world.silent[1]}")).concepts
    assert "western" in ids(by_item)
    by_user = search(pb.SearchConceptsRequest(user_id="user-0")).concepts
    explained = sasrec.steering.Explain(pb.ExplainRequest(subject=pb.Subject(user_id="user-0")))
    strongest = [
        latent.concept_id
        for latent in explained.explanation.latents
        if latent.concept_id and latent.activation > 0
    ]
    assert ids(by_user) == list(dict.fromkeys(strongest))
    assert {"film-noir", "comedy"} <= set(ids(by_user))


def test_services_can_be_discovered_by_reflection(sasrec) -> None:
    channel = sasrec.stack.channel(sasrec.gateway.address)
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    (answer,) = stub.ServerReflectionInfo(iter([request]))  # pyright: ignore[reportCallIssue]
    names = {service.name for service in answer.list_services_response.service}
    assert {"reclens.api.steering.v1.SteeringService", "grpc.health.v1.Health"} <= names
