"""Answers SteeringService. Errors are raised; the interceptor maps them."""

from __future__ import annotations

from reclens.api.steering.v1 import steering_pb2_grpc
from reclens_gateway.calls.concepts import ConceptCalls
from reclens_gateway.calls.recommending import RecommendingCalls
from reclens_gateway.calls.releases import ReleaseCalls


class SteeringServicer(
    RecommendingCalls,
    ConceptCalls,
    ReleaseCalls,
    steering_pb2_grpc.SteeringServiceServicer,
):
    """SteeringService, put together from its calls."""
