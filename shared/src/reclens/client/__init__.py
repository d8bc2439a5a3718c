"""Typed clients of SteeringService, and the edits to ask for."""

from reclens.client.asynchronous import AsyncSession, AsyncSteeringClient
from reclens.client.edits import (
    ablate,
    above,
    add_latent,
    below,
    blend,
    less,
    more,
    scale,
    set_concept,
    set_latent,
    when,
)
from reclens.client.requests import (
    PolicyOptions,
    RecommendOptions,
    SubjectOptions,
    policy_message,
    recommend_request,
)
from reclens.client.sessions import SessionAnswer
from reclens.client.synchronous import Session, SteeringClient
from reclens.rpc_status import failure_error

__all__ = [
    "AsyncSession",
    "AsyncSteeringClient",
    "PolicyOptions",
    "RecommendOptions",
    "Session",
    "SessionAnswer",
    "SteeringClient",
    "SubjectOptions",
    "ablate",
    "above",
    "add_latent",
    "below",
    "blend",
    "failure_error",
    "less",
    "more",
    "policy_message",
    "recommend_request",
    "scale",
    "set_concept",
    "set_latent",
    "when",
]
