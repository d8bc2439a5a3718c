"""Typed clients of SteeringService, and the edits to ask for."""

from reclens.client.asynchronous import AsyncSteeringClient
from reclens.client.edits import ablate, add_latent, less, more, scale, set_concept, set_latent
from reclens.client.requests import recommend_request
from reclens.client.synchronous import SteeringClient

__all__ = [
    "AsyncSteeringClient",
    "SteeringClient",
    "ablate",
    "add_latent",
    "less",
    "more",
    "recommend_request",
    "scale",
    "set_concept",
    "set_latent",
]
