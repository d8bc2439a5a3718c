"""What ``recommend``, ``compare`` and ``propose`` make of their options, and show of the answer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest

from reclens.api.steering.v1 import steering_pb2 as pb
from reclens.api.steering.v1 import steering_pb2_grpc
from reclens.cli.main import run

ITEM = pb.Recommendation(item_id="50", title="Star Wars", score=1.5, rank=1, baseline_rank=4)
EFFECT = pb.Effect(
    overlap=0.5,
    relative_shift=0.4,
    edited_latents=3,
    concept_hits=[pb.ConceptHits(concept_id="noir", label="Film-Noir", before=1, after=6)],
    missing_items=2,
    unknown_excluded_items=1,
)


class _Recording(steering_pb2_grpc.SteeringServiceServicer):
    """Answers what the test prepared and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.headers: list[dict[str, str]] = []

    def Recommend(self, request: pb.RecommendRequest, context: Any) -> pb.RecommendResponse:  # noqa: N802
        self.asked.append(request)
        self.headers.append(dict(context.invocation_metadata()))
        return pb.RecommendResponse(items=[ITEM], effect=EFFECT)

    def Compare(self, request: pb.CompareRequest, context: Any) -> pb.CompareResponse:  # noqa: N802
        self.asked.append(request)
        outcomes = [
            pb.VariantOutcome(name="up", answer=pb.VariantAnswer(items=[ITEM], effect=EFFECT)),
            pb.VariantOutcome(
                name="odd", failure=pb.RecommendFailure(code=5, field="edits[0]", message="what?")
            ),
        ]
        return pb.CompareResponse(baseline=[ITEM], outcomes=outcomes)

    def GetConcept(self, request: pb.GetConceptRequest, context: Any) -> pb.GetConceptResponse:  # noqa: N802
        concept = pb.Concept(concept_id=request.concept_id, label="Film-Noir", latents=[3])
        response = pb.GetConceptResponse(concept=concept)
        if request.include_push and request.concept_id == "noir":
            labels = {12: "Crime", 7: "", 5: "War", 6: "Comedy", 8: "1940s", 9: "Drama"}
            response.push.extend(
                pb.ProposedPart(latent=latent, weight=1 / (-2) ** place, label=label)
                for place, (latent, label) in enumerate(labels.items())
            )
        return response

    def ProposeEdit(  # noqa: N802
        self, request: pb.ProposeEditRequest, context: Any
    ) -> pb.ProposeEditResponse:
        self.asked.append(request)
        parts = [pb.BlendPart(latent=12, weight=1), pb.BlendPart(latent=7, weight=-0.25)]
        return pb.ProposeEditResponse(
            edit=pb.Edit(blend=pb.Blend(parts=parts), add=0.4),
            parts=[pb.ProposedPart(latent=12, weight=1, concept_id="noir", label="Film-Noir")],
            alignment=0.75,
            items=[pb.ProposedItem(item=pb.HistoryItem(item_id="3", title="Laura"), weight=1)],
            unmatched_words=["slow"],
        )


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch) -> Iterator[_Recording]:
    servicer = _Recording()
    server = grpc.server(ThreadPoolExecutor(1))
    steering_pb2_grpc.add_SteeringServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    monkeypatch.setenv("RECLENS_CLIENT__TARGET", f"127.0.0.1:{port}")
    yield servicer
    server.stop(grace=None).wait()


def test_blends_conditions_and_constraints_reach_the_gateway(
    gateway: _Recording, capsys: pytest.CaptureFixture[str]
):
    options = ["--more", "noir:0.5", "--blend", "noir:2,7:-1@0.3", "--when", "12>0.25"]
    options += ["--when", "horror<1", "--policy", "calm@3", "--exclude", "1, 2"]
    options += ["--limit", "Horror:0", "--limit", "Sci:Fi:2"]
    assert run(["recommend", "--user", "7", *options]) == 0
    (request,) = gateway.asked
    tests = [pb.Condition(latent=12, above=0.25), pb.Condition(concept_id="horror", below=1)]
    parts = [pb.BlendPart(concept_id="noir", weight=2), pb.BlendPart(latent=7, weight=-1)]
    assert list(request.edits) == [
        pb.Edit(concept_id="noir", add=0.5, when=tests),
        pb.Edit(blend=pb.Blend(parts=parts), add=0.3, when=tests),
    ]
    assert request.policy == pb.PolicyRef(policy_id="calm", version=3)
    assert list(request.constraints.exclude_item_ids) == ["1", "2"]
    assert [(one.tag, one.max_items) for one in request.constraints.tag_limits] == [
        ("Horror", 0),
        ("Sci:Fi", 2),
    ]
    shown = capsys.readouterr().out
    assert "50% of the untouched top 10 kept" in shown
    assert "Film-Noir: 6 items, untouched 1" in shown
    assert "2 items fewer" in shown
    assert "1 excluded ids are not in the data set" in shown


@pytest.mark.parametrize(
    "options",
    [
        ["--blend", "noir:x"],
        ["--blend", "@0.4"],
        ["--when", "noir"],
        ["--when", "noir>many"],
        ["--limit", "Horror"],
        ["--limit", ":2"],
        ["--policy", "calm@new"],
        ["--more", "noir:-1"],
        ["--more", "noir:nan"],
    ],
)
def test_options_that_cannot_be_read_are_refused(gateway: _Recording, options: list[str]):
    assert run(["recommend", "--user", "7", *options]) == 2
    assert gateway.asked == []


def test_token_of_the_environment_is_shown(
    gateway: _Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECLENS_CLIENT__TOKEN", "secret")
    assert run(["recommend", "--user", "7"]) == 0
    assert gateway.headers[0]["authorization"] == "Bearer secret"


def test_variants_are_named_lists_of_edits(gateway: _Recording, capsys: pytest.CaptureFixture[str]):
    variants = ["up=noir:0.4,7:-1", "odd=x", "stored=@calm@2", "none="]
    assert run(["compare", *variants, "--user", "7"]) == 0
    (request,) = gateway.asked
    assert list(request.variants) == [
        pb.Variant(
            name="up", edits=[pb.Edit(concept_id="noir", add=0.4), pb.Edit(latent=7, add=-1)]
        ),
        pb.Variant(name="odd", edits=[pb.Edit(concept_id="x", add=0.2)]),
        pb.Variant(name="stored", policy=pb.PolicyRef(policy_id="calm", version=2)),
        pb.Variant(name="none"),
    ]
    shown = capsys.readouterr().out
    assert "↑3 Star Wars" in shown
    assert "odd: refused: edits[0]: what?" in shown
    assert "up: Film-Noir: 6 items, untouched 1" in shown
    assert run(["compare", "nameless", "--user", "7"]) == 2


def test_proposal_is_explained_and_ready_to_be_sent(
    gateway: _Recording, capsys: pytest.CaptureFixture[str]
):
    assert run(["propose", "slow noir", "--trusted", "--max-latents", "5"]) == 0
    (request,) = gateway.asked
    assert (request.text, request.trusted_only, request.max_latents) == ("slow noir", True, 5)
    shown = capsys.readouterr().out
    assert "not found  slow" in shown
    assert "does 75%" in shown
    command = next(line for line in shown.splitlines() if "--blend" in line)
    option = command.split("--blend ")[1]
    assert run(["recommend", "--user", "7", "--blend", option]) == 0
    parts = [pb.BlendPart(latent=12, weight=1), pb.BlendPart(latent=7, weight=-0.25)]
    assert gateway.asked[1].edits[0] == pb.Edit(blend=pb.Blend(parts=parts), add=0.4)


def test_examples_are_liked_or_disliked(gateway: _Recording, capsys: pytest.CaptureFixture[str]):
    assert run(["propose", "--like", "1,2", "--dislike", "3", "--json"]) == 0
    assert gateway.asked[0].examples == pb.Examples(
        liked_item_ids=["1", "2"], disliked_item_ids=["3"]
    )
    assert json.loads(capsys.readouterr().out)["alignment"] == 0.75
    assert run(["propose"]) == 2
    assert run(["propose", "noir", "--like", "1"]) == 2


def test_concept_is_shown_with_what_adding_it_pushes(
    gateway: _Recording, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["concepts", "show", "noir"]) == 0
    shown = capsys.readouterr().out
    line = "pushes +1.00 Crime, -0.50 7, +0.25 War, -0.12 Comedy, +0.06 1940s and 1 more"
    assert line in shown
    assert run(["concepts", "show", "noir", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [part["latent"] for part in told["push"]] == [12, 7, 5, 6, 8, 9]
    assert told["concept_id"] == "noir"
    assert run(["concepts", "show", "other"]) == 0
    assert "pushes its own latents" in capsys.readouterr().out
