"""How commands find the system: the environment first, then the local stack's folder."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from reclens.adapters.settings import ClientSettings
from reclens.local.state import StateFolder

if TYPE_CHECKING:
    from reclens.client import SteeringClient


def client_settings() -> ClientSettings:
    """Settings from ``RECLENS_...`` variables; what they leave out from a local stack, if any.

    A section (Redis, S3, the gateway) comes from one place as a whole, so that the address of one
    system is never used with the credentials of another.
    """
    state = StateFolder.default()
    if not state.endpoints_file.exists():
        return ClientSettings()
    local = state.settings()
    from_stack: dict[str, Any] = {
        name: getattr(local, name)
        for name in ClientSettings.model_fields
        if not _in_environment(name)
    }
    return ClientSettings(**from_stack)


def steering_client() -> SteeringClient:
    """A client of the gateway."""
    from reclens.client import SteeringClient  # noqa: PLC0415 - most commands ask no gateway

    gateway = client_settings().client
    token = gateway.token.get_secret_value() if gateway.token is not None else ""
    return SteeringClient(gateway.target, token=token, ca=gateway.ca)


def _in_environment(section: str) -> bool:
    variable = f"RECLENS_{section.upper()}"
    return any(key == variable or key.startswith(f"{variable}__") for key in os.environ)
