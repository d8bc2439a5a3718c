"""Settings of the inference server."""

from __future__ import annotations

from pydantic import Field

from reclens.adapters.grpc_server import ServerSettings
from reclens.adapters.settings import ComputeSettings


class InferenceSection(ServerSettings):
    """What answering InferenceService takes."""

    listen: str = "127.0.0.1:50052"
    """``host:port`` to listen on; port 0 takes a free one."""
    max_waiting: int = Field(default=128, ge=1, le=100_000)
    """Requests that may wait for the model; further ones are refused as RESOURCE_EXHAUSTED."""
    torch_threads: int | None = Field(default=None, ge=1, le=1024)
    """Threads of one forward pass. None: as torch decides."""
    default_deadline_seconds: float = Field(default=30, gt=0, le=3600)
    """Deadline of callers that set none."""


class InferenceSettings(ComputeSettings):
    """All settings of ``reclens-recommender serve``."""

    inference: InferenceSection = InferenceSection()
    """The server."""
