"""What a job says while it runs and after."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from reclens.contracts.base import Record


class Progress(Record):
    """State of a running job, published at most every two seconds."""

    stage: str
    """What is being done, e.g. ``train``."""
    step: int = Field(default=0, ge=0)
    """Units done."""
    total: int | None = None
    """Units to do, where known."""
    unit: str = "steps"
    """What is counted."""
    rate: float | None = None
    """Units a second, averaged over the last few seconds."""
    eta_seconds: float | None = None
    """Estimated seconds left in this stage."""
    metrics: dict[str, float] = Field(default_factory=dict)
    """Current values, e.g. ``loss``, ``fvu``, ``l0``, ``dead_fraction``, ``hr@10``."""


class Waiting(Record):
    """Why a job that has begun does nothing just now, and when it tries again."""

    reason: str
    """Machine-readable, e.g. ``UNAVAILABLE``."""
    message: str
    """What it waits for, and what that answered."""
    since: str
    """UTC, ISO 8601: when it first went without."""
    next_try_at: str
    """UTC, ISO 8601."""


class FailureReport(Record):
    """What a part of a larger job returns instead of failing: how it failed for good."""

    reason: str
    """Machine-readable, e.g. ``UNAVAILABLE``."""
    type: str
    """Class of the error."""
    message: str
    """What went wrong."""
    field: str = ""
    """Dotted name of the offending input."""
    remedy: str = ""
    """What can be done about it."""
    retryable: bool = False
    """Whether the same job may succeed later."""
    traceback: str = ""
    """Where in the worker."""


class JobResult(Record):
    """What a finished job returns: references and numbers, never tensors."""

    artifact: str
    """``kind/id`` made, or ``releases/name``."""
    reused: bool = False
    """True when the artifact existed and nothing was computed."""
    seconds: float = 0.0
    """Wall time of this job, over all segments."""
    metrics: dict[str, Any] = Field(default_factory=dict)
    """The manifest's metrics."""
