"""Typed clients of SteeringService, and the edits to ask for."""

from reclens.client.async_session import AsyncSession
from reclens.client.asynchronous import AsyncSteeringClient
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
from reclens.client.policies import PolicyOptions, policy_message
from reclens.client.requests import RecommendOptions, SubjectOptions, recommend_request
from reclens.client.session import Session, SessionAnswer, failure_error
from reclens.client.synchronous import SteeringClient

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
