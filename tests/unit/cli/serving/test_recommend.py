"""What ``recommend`` and ``concepts`` send to a gateway, and how they show its answer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from reclens.api.steering.v1 import steering_pb2 as pb
from reclens.api.steering.v1 import steering_pb2_grpc
from reclens.cli.main import run


class _Recording(steering_pb2_grpc.SteeringServiceServicer):
    """Answers what the test prepared and keeps what it was asked."""

    def __init__(self) -> None:
        self.requests: list[pb.RecommendRequest] = []

    def Recommend(self, request: pb.RecommendRequest, context: object) -> pb.RecommendResponse:  # noqa: N802
        self.requests.append(request)
        item = pb.Recommendation(
            item_id="50", title="Star Wars", tags=["Sci-Fi"], score=1.5, rank=1, baseline_rank=4
        )
        idle = [pb.IdleEdit(index=1, reason="the latent is silent")]
        effect = pb.Effect(overlap=0.5, relative_shift=0.4, edited_latents=3, idle_edits=idle)
        return pb.RecommendResponse(items=[item], effect=effect)


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


def test_edits_become_signed_pushes(gateway: _Recording, capsys: pytest.CaptureFixture[str]):
    arguments = [
        "--more",
        "film-noir",
        "--more",
        "a:b:0.5",
        "--less",
        "horror:0.25",
        "--less",
        "7:2",
    ]
    assert run(["recommend", "--user", "196", *arguments]) == 0
    (request,) = gateway.requests
    assert request.subject.user_id == "196"
    assert request.include_baseline
    assert list(request.edits) == [
        pb.Edit(concept_id="film-noir", add=0.2),
        pb.Edit(concept_id="a:b", add=0.5),
        pb.Edit(concept_id="horror", add=-0.25),
        pb.Edit(latent=7, add=-2),
    ]
    shown = capsys.readouterr().out
    assert "Star Wars" in shown
    assert "↑3" in shown
    assert "50% of the untouched top 10 kept" in shown
    assert "edit 2 changed nothing: the latent is silent" in shown


def test_a_history_release_and_length_are_passed_on(gateway: _Recording):
    options = ["--history", "50, 172,181", "--release", "demo", "--top-k", "3"]
    assert run(["recommend", *options]) == 0
    (request,) = gateway.requests
    assert list(request.subject.history.item_ids) == ["50", "172", "181"]
    assert (request.release, request.top_k, list(request.edits)) == ("demo", 3, [])


def test_json_is_the_message_under_its_proto_names(
    gateway: _Recording, capsys: pytest.CaptureFixture[str]
):
    assert run(["recommend", "--user", "1", "--json"]) == 0
    told = capsys.readouterr()
    answer = json.loads(told.out)
    assert answer["items"][0]["baseline_rank"] == 4
    assert answer["effect"]["idle_edits"] == [{"index": 1, "reason": "the latent is silent"}]
    assert told.err == ""


def test_a_call_that_the_gateway_lacks_is_an_error_not_a_traceback(
    gateway: _Recording, capsys: pytest.CaptureFixture[str]
):
    assert run(["explain", "--user", "1"]) != 0
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("error: ")
