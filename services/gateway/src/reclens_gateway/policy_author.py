"""Who writes a policy."""

from __future__ import annotations

from reclens.adapters.grpc_auth import caller


def author() -> str:
    """Name of the client that calls; empty where no credentials are asked for."""
    return caller()
