"""Tokens, figures and traces through both servers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from reclens.api.steering.v1 import steering_pb2 as pb
from reclens.platform.grpc.auth import Scope, TokenEntry, digest, new_token, write_tokens
from reclens.platform.grpc.tls import bearer
from reclens.platform.observability import metrics, tracing

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
USER = pb.Subject(user_id="user-0")


@pytest.fixture
def exporter() -> Iterator[InMemorySpanExporter]:
    memory, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(memory))
    tracing.use_provider(provider)
    yield memory
    tracing.use_provider(None)


@pytest.fixture
def meters() -> Iterator[Any]:
    metrics.disable()
    metrics.set_releases({"default": "v1"})
    yield metrics.enable().registry
    metrics.disable()


def test_trace_of_a_request_goes_through_the_hop_to_its_place_in_the_batch(
    sasrec: Any, exporter: InMemorySpanExporter
) -> None:
    request = pb.RecommendRequest(subject=USER, top_k=3)
    sasrec.steering.Recommend(request, metadata=(("traceparent", PARENT),), timeout=30)
    spans = {span.name: span for span in exporter.get_finished_spans()}
    call, entry = (
        spans["reclens.api.steering.v1.SteeringService/Recommend"],
        spans["model batch entry"],
    )
    hop = spans["reclens.api.inference.v1.InferenceService/BatchRank"]
    batch = spans["model batch"]
    assert f"{call.context.trace_id:032x}" == PARENT[3:35]
    assert call.parent is not None
    assert f"{call.parent.span_id:016x}" == PARENT[36:52]
    assert entry.context.trace_id == call.context.trace_id
    assert entry.parent is not None
    assert entry.parent.span_id == call.context.span_id
    assert [link.context.span_id for link in entry.links] == [batch.context.span_id]
    # A hop is of many requests, so it is in no request's trace.
    assert hop.context.trace_id != call.context.trace_id
    assert "user-0" not in "".join(span.to_json() for span in exporter.get_finished_spans())


def test_what_edits_did_and_how_requests_went_is_counted(sasrec: Any, meters: Any) -> None:
    untouched = pb.RecommendRequest(subject=USER, top_k=3)
    steered = pb.RecommendRequest(
        subject=USER,
        top_k=3,
        edits=[pb.Edit(latent=1, add=0.2), pb.Edit(latent=0, ablate=pb.Ablate())],
    )
    sasrec.steering.Recommend(untouched, timeout=30)
    effect = sasrec.steering.Recommend(steered, timeout=30).effect
    value = meters.get_sample_value
    method = "/reclens.api.steering.v1.SteeringService/Recommend"
    labels = {"method": method, "code": "OK", "release": "default"}
    assert value("reclens_request_seconds_count", labels) == 2
    assert value("reclens_edits_total", {"operation": "add"}) == 1
    assert value("reclens_edits_total", {"operation": "ablate"}) == 1
    # Only the steered one.
    assert value("reclens_effect_overlap_count", {"release": "default"}) == 1
    assert value("reclens_effect_overlap_sum", {"release": "default"}) == pytest.approx(
        effect.overlap
    )
    shift = value("reclens_effect_relative_shift_sum", {"release": "default"})
    assert shift == pytest.approx(effect.relative_shift)
    assert value("reclens_hop_requests_sum") == 2
    assert value("reclens_batch_requests_sum") == 2


def test_gateway_shows_its_token_to_inference_and_names_the_author_of_a_policy(
    stack: Any, tmp_path: Path
) -> None:
    tokens = {name: new_token() for name in ("gateway", "shop", "ops")}
    scopes = {
        "gateway": frozenset({Scope.STEER}),
        "shop": frozenset({Scope.READ, Scope.STEER}),
        "ops": frozenset({Scope.ADMIN}),
    }
    file = tmp_path / "tokens.json"
    write_tokens(
        file,
        [
            TokenEntry(client=name, sha256=digest(token), scopes=scopes[name])
            for name, token in tokens.items()
        ],
    )
    stack.publisher.world()
    auth = {"tokens_file": file}
    inference = stack.start_inference(auth=auth)
    gateway = stack.start_gateway(inference.address, auth=auth, inference_token=tokens["gateway"])
    stack.refresh(inference, gateway)
    stub = stack.steering(gateway)
    steered = pb.RecommendRequest(
        subject=USER, top_k=3, edits=[pb.Edit(concept_id="comedy", add=0.4)]
    )
    answer = stub.Recommend(steered, metadata=bearer(tokens["shop"]), timeout=30)
    assert len(answer.items) == 3
    policy = pb.Policy(policy_id="calm", edits=[pb.Edit(concept_id="comedy", add=0.4)])
    write = pb.CreatePolicyRequest(policy=policy)
    with pytest.raises(grpc.RpcError) as denied:
        stub.CreatePolicy(write, metadata=bearer(tokens["shop"]), timeout=30)
    assert denied.value.code() == grpc.StatusCode.PERMISSION_DENIED  # pyright: ignore
    created = stub.CreatePolicy(write, metadata=bearer(tokens["ops"]), timeout=30)
    assert created.policy.author == "ops"
    # Without its own token the gateway gets no answer, and says so.
    poor = stack.start_gateway(inference.address, auth=auth)
    stack.refresh(poor)
    with pytest.raises(grpc.RpcError) as failed:
        stack.steering(poor).Recommend(steered, metadata=bearer(tokens["shop"]), timeout=30)
    # Not UNAUTHENTICATED: the caller's own token is right.
    assert failed.value.code() == grpc.StatusCode.FAILED_PRECONDITION  # pyright: ignore
    assert "refuses the gateway" in failed.value.details()  # pyright: ignore
