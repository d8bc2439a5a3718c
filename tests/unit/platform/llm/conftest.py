"""Clients that never really wait."""

from llm_clients import make_client, waiting

__all__ = ["make_client", "waiting"]
