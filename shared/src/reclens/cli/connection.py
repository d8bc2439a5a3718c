"""How commands find the system: the environment first, then the local stack's folder."""

from __future__ import annotations

import os
from typing import Any

from reclens.adapters.settings import ClientSettings
from reclens.local.state import StateFolder


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


def _in_environment(section: str) -> bool:
    variable = f"RECLENS_{section.upper()}"
    return any(key == variable or key.startswith(f"{variable}__") for key in os.environ)
