"""Answers SteeringService. Errors are raised; the interceptor maps them."""

from __future__ import annotations

from typing import Final

from reclens.api.steering.v1 import steering_pb2, steering_pb2_grpc
from reclens_gateway.calls.catalog import CatalogCalls
from reclens_gateway.calls.policies import PolicyCalls
from reclens_gateway.calls.proposals import ProposalCalls
from reclens_gateway.calls.sessions import SessionCalls

SERVICE: Final = steering_pb2.DESCRIPTOR.services_by_name["SteeringService"]
"""What is served."""


class SteeringServicer(
    SessionCalls,
    ProposalCalls,
    CatalogCalls,
    PolicyCalls,
    steering_pb2_grpc.SteeringServiceServicer,
):
    """SteeringService, put together from its calls."""


RULES: Final = {
    method.name: handler.rule
    for method in SERVICE.methods
    if hasattr(handler := getattr(SteeringServicer, method.name), "rule")
}
"""What calling each method takes, as its handler declares; a server without one does not start."""
