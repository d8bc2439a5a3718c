"""Settings of the inference server."""

from __future__ import annotations

import os
from typing import Literal

from pydantic import Field

from reclens.platform.grpc.server import ServerSettings
from reclens.platform.settings.models import ComputeSettings


class InferenceSection(ServerSettings):
    """What answering InferenceService takes."""

    listen: str = "127.0.0.1:50052"
    """``host:port`` to listen on; port 0 takes a free one."""
    max_batch: int = Field(default=32, ge=1, le=1024)
    """Requests answered together at most; none waits for others."""
    max_waiting: int = Field(default=1024, ge=1, le=100_000)
    """Requests that may wait for the model or be answered; further ones are refused as
    RESOURCE_EXHAUSTED."""
    representations_mb: int = Field(default=256, ge=0, le=1 << 20)
    """Memory for what the model makes of users and histories, per version of a release: about
    2.5 KB each and, up to 8,192 items, 8 bytes an item for sorted scores. 0: none is kept."""
    encode_together: bool = False
    """Encode new histories of a batch in one pass. Pays on a GPU; the last bits of an answer then
    depend on which others came with it."""
    torch_threads: int | None = Field(default=1, ge=1, le=1024)
    """Threads of one operation of the model. Threads that wait for one whose core is taken cost
    more than they bring. None: as torch decides."""
    search_threads: int = Field(default_factory=lambda: min(4, os.cpu_count() or 1), ge=1, le=256)
    """Threads that search a catalogue of more than some 30,000 items, each a part of it. Not given:
    one a core, at most 4."""
    index: Literal["exact", "approximate"] = "exact"
    """How items are found. ``approximate``: an index made at load gives candidates, which are
    scored exactly, for catalogues of millions of items; it misses some. Needs ``reclens[index]``.
    """
    default_deadline_seconds: float = Field(default=30, gt=0, le=3600)
    """Deadline of callers that set none."""


class InferenceSettings(ComputeSettings):
    """All settings of ``reclens-recommender serve``."""

    inference: InferenceSection = InferenceSection()
    """Settings of the server itself."""
