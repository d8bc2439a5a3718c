"""Releases are swapped without dropping a request, and bad ones are refused."""

from __future__ import annotations

import threading
from typing import Any

import grpc
import pytest
import torch
from grpc_health.v1 import health_pb2, health_pb2_grpc
from serving_stack import outcome_of

from reclens.api.inference.v1 import inference_pb2 as inference
from reclens.api.steering.v1 import steering_pb2 as pb

USER = pb.Subject(user_id="user-0")
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


def start(stack):
    server = stack.start_inference()
    gateway = stack.start_gateway(server.address)
    stack.refresh(server, gateway)
    return server, gateway


def version(stub) -> str:
    return stub.Recommend(pb.RecommendRequest(subject=USER)).versions.release_version


def test_swap_drops_no_request_and_each_answer_names_one_version(stack) -> None:
    old = stack.publisher.world(seed=0)
    server, gateway = start(stack)
    stub = stack.steering(gateway)
    stop = threading.Event()
    seen: list[str] = []
    problems: list[grpc.RpcError] = []

    def ask() -> None:
        while not stop.is_set():
            try:
                seen.append(version(stub))
            except grpc.RpcError as error:
                problems.append(error)

    askers = [threading.Thread(target=ask) for _ in range(3)]
    for asker in askers:
        asker.start()
    new = stack.publisher.world(seed=1)
    # The gateway reads the pointer first: inference must follow it there, not fail.
    stack.refresh(gateway)
    stack.refresh(server)
    swapped_at = len(seen)
    while len(seen) < swapped_at + 20 and not problems:
        pass
    stop.set()
    for asker in askers:
        asker.join()
    assert problems == []
    assert {old.release.version, new.release.version} == set(seen)
    assert version(stub) == new.release.version


def test_previous_version_still_ranks_for_requests_resolved_against_it(stack) -> None:
    old = stack.publisher.world(seed=0)
    server, _ = start(stack)
    new = stack.publisher.world(seed=1)
    stack.refresh(server)
    stub = stack.inference(server)
    for world in (old, new):
        answer = outcome_of(
            stub,
            inference.RankRequest(
                release="default",
                release_version=world.release.version,
                subject={"user_id": "user-0"},
                top_k=1,
            ),
        ).response
        with torch.inference_mode():
            own = world.model(world.batch(0))[0]
        assert answer.ranked.scores[0] == float(own.max())


def test_request_for_a_version_not_read_yet_makes_inference_look_once(stack) -> None:
    stack.publisher.world(seed=0)
    server, _ = start(stack)
    new = stack.publisher.world(seed=1)
    answer = stack.inference(server).GetModel(
        inference.GetModelRequest(release="default", release_version=new.release.version)
    )
    assert answer.release_version == new.release.version


def _not_finite(model) -> None:
    with torch.no_grad():
        next(model.parameters()).fill_(float("nan"))


def test_release_that_cannot_answer_is_refused_and_the_old_one_serves_on(stack) -> None:
    old = stack.publisher.world(seed=0)
    server, gateway = start(stack)
    bad = stack.publisher.world(seed=1, spoil=_not_finite)
    stack.refresh(server, gateway)
    stub = stack.steering(gateway)
    assert version(stub) == old.release.version
    release = stub.GetRelease(pb.GetReleaseRequest()).release
    assert release.versions.release_version == bad.release.version
    assert not release.serving
    assert "not finite" in release.refusal
    model = stack.inference(server).GetModel(inference.GetModelRequest(release="default"))
    assert model.release_version == old.release.version
    assert model.refused_version == bad.release.version
    assert "not finite" in model.refusal
    # The next good one is taken.
    good = stack.publisher.world(seed=2)
    stack.refresh(gateway)
    assert version(stub) == good.release.version


def test_corrupt_bytes_are_refused_and_the_old_one_serves_on(stack) -> None:
    old = stack.publisher.world(seed=0)
    server, gateway = start(stack)
    bad = stack.publisher.world(seed=1)
    key = stack.publisher.store.manifest(bad.release.autoencoder).key("weights.safetensors")
    stack.publisher.store.objects.put(key, b"not what the manifest promises")
    stack.refresh(server, gateway)
    stub = stack.steering(gateway)
    assert version(stub) == old.release.version
    assert "SHA-256" in stub.GetRelease(pb.GetReleaseRequest()).release.refusal


def test_autoencoder_of_another_recommender_is_refused(stack) -> None:
    one = stack.publisher.world(seed=0)
    other = stack.publisher.world(seed=1, name="other")
    mixed = one.release.model_copy(
        update={"recommender": other.release.recommender, "version": "f" * 16}
    )
    stack.publisher.store.releases.publish(mixed)
    _, gateway = start(stack)
    stub = stack.steering(gateway)
    with pytest.raises(grpc.RpcError) as caught:
        version(stub)
    assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert "was trained on" in stub.GetRelease(pb.GetReleaseRequest()).release.refusal


def test_health_serves_only_with_a_release_and_by_service_name(stack) -> None:
    server, gateway = start(stack)

    def check(address: str, service: str) -> int:
        stub: Any = health_pb2_grpc.HealthStub(stack.channel(address))
        return stub.Check(health_pb2.HealthCheckRequest(service=service)).status

    names = {
        server.address: "reclens.api.inference.v1.InferenceService",
        gateway.address: "reclens.api.steering.v1.SteeringService",
    }
    for address, name in names.items():
        assert check(address, name) == check(address, "") == NOT_SERVING
    stack.publisher.world()
    stack.refresh(server, gateway)
    for address, name in names.items():
        assert check(address, name) == check(address, "") == SERVING


def test_releases_are_listed_by_name_over_pages(stack) -> None:
    for name in ("b", "a", "default"):
        stack.publisher.world(name=name)
    _, gateway = start(stack)
    stub = stack.steering(gateway)
    first = stub.ListReleases(pb.ListReleasesRequest(page_size=2))
    rest = stub.ListReleases(pb.ListReleasesRequest(page_size=2, page_token=first.next_page_token))
    assert [r.name for r in [*first.releases, *rest.releases]] == ["a", "b", "default"]
    assert all(release.serving for release in first.releases)
    assert rest.next_page_token == ""
    answer = stub.Recommend(pb.RecommendRequest(subject=USER, release="a"))
    assert answer.versions.release == "a"
