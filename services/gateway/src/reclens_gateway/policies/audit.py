"""Says in the log who changed which policy, and how; the store has every version whole."""

from __future__ import annotations

import structlog

from reclens.platform.grpc.calls import request_id
from reclens.platform.observability import metrics
from reclens.platform.store.policy_log import PolicyChange

logger = structlog.get_logger(__name__)

_COMPARED = ("description", "release", "edits", "mode", "constraints", "autoencoder")


def log_change(operation: str, change: PolicyChange) -> None:
    """Log a change that is stored: which fields, how many edits, but nothing of what they hold."""
    metrics.observe_policy_change(operation)
    before, after = change.before, change.after
    changed = [
        name
        for name in _COMPARED
        if before is None or getattr(before, name) != getattr(after, name)
    ]
    logger.info(
        "policy changed",
        policy_id=after.policy_id,
        version=after.version,
        operation=operation,
        author=after.author,
        request_id=request_id(),
        edits_before=len(before.edits) if before is not None else None,
        edits_after=len(after.edits),
        changed=changed,
    )
