"""Answers SteeringService. Errors are raised; the interceptor maps them."""

from __future__ import annotations

from reclens.api.steering.v1 import steering_pb2_grpc
from reclens_gateway.calls.comparing import ComparingCalls
from reclens_gateway.calls.concepts import ConceptCalls
from reclens_gateway.calls.policies import PolicyCalls
from reclens_gateway.calls.proposing import ProposingCalls
from reclens_gateway.calls.releases import ReleaseCalls
from reclens_gateway.calls.streaming import StreamingCalls


class SteeringServicer(
    StreamingCalls,
    ComparingCalls,
    ProposingCalls,
    ConceptCalls,
    PolicyCalls,
    ReleaseCalls,
    steering_pb2_grpc.SteeringServiceServicer,
):
    """SteeringService, put together from its calls."""
