"""Concepts are listed, found and paged over the wire."""

from __future__ import annotations

import grpc
import pytest
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from reclens.api.steering.v1 import steering_pb2 as pb
from reclens.cli.main import run


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


def test_a_concept_says_how_far_it_is_trusted_and_by_whom(sasrec) -> None:
    request = pb.GetConceptRequest(concept_id="film-noir")
    concept = sasrec.steering.GetConcept(request).concept
    assert (concept.measured, concept.trusted, concept.auroc) == (True, True, 0.95)
    first, second = concept.judgements
    assert first == pb.Judgement(
        judge="keywords",
        confidence=0.9,
        precision=0.92,
        recall=0.88,
        recall_low=0.8,
        recall_high=0.94,
        specificity=0.91,
        specificity_low=0.83,
        specificity_high=0.96,
        auroc=0.97,
        n_positive=100,
        n_negative=90,
        trusted=True,
        shuffled_confidence=0.52,
        shuffled_auroc=0.49,
    )
    assert (second.judge, second.trusted, second.specificity_low) == ("llm", False, 0.1)
    # No control is not a control of 0.
    assert not second.HasField("shuffled_confidence")
    assert not second.HasField("shuffled_auroc")


def test_an_unmeasured_concept_is_told_from_a_measured_one_that_is_not_trusted(sasrec) -> None:
    page = sasrec.steering.ListConcepts(pb.ListConceptsRequest())
    said = {one.concept_id: (one.measured, one.trusted) for one in page.concepts}
    assert said == {
        "film-noir": (True, True),
        "comedy": (True, False),
        "western": (True, False),
        "never": (False, False),
    }


def test_firing_latents_say_whether_their_label_was_measured(sasrec) -> None:
    answer = sasrec.steering.Explain(pb.ExplainRequest(subject=pb.Subject(user_id="user-0")))
    said = {one.latent: (one.measured, one.trusted) for one in answer.explanation.latents}
    world = sasrec.world
    assert said[world.firing[0]] == (True, True)
    assert said[world.firing[1]] == (True, False)
    # Unlabelled.
    assert said[world.firing[2]] == (False, False)


def test_the_command_line_says_what_was_not_measured(sasrec, monkeypatch, capsys) -> None:
    monkeypatch.setenv("RECLENS_CLIENT__TARGET", sasrec.gateway.address)

    def told(*arguments: str) -> str:
        assert run(["concepts", *arguments]) == 0
        return capsys.readouterr().out

    noir, never = told("show", "film-noir"), told("show", "never")
    assert "  trusted    yes\n" in noir
    assert "  confidence 0.90 (precision 0.00, recall 0.00, AUROC 0.95)" in noir
    assert (
        "  judge      keywords: 0.90, AUROC 0.97 (another label 0.52, AUROC 0.49); "
        "recall 0.80-0.94, specificity 0.83-0.96 on 100 firing and 90 silent cases\n"
    ) in noir
    assert "  judge      llm: 0.50, AUROC 0.62 (no control); recall 0.40-0.90" in noir
    assert "  trusted    no\n  confidence not measured\n" in never
    assert "judge" not in never
    listed = told("list").splitlines()
    assert [line.split()[0] for line in listed if "✓" in line] == ["film-noir"]
    (unmeasured,) = [line for line in listed if line.split()[:1] == ["never"]]
    assert "not measured" in unmeasured
    assert "0.00" not in unmeasured


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
