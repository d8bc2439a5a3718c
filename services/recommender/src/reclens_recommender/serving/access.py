"""What calling each method of InferenceService takes, where it asks for tokens at all."""

from __future__ import annotations

from typing import Final

from reclens.platform.grpc.auth import Rule, Scope

# Its one caller is the gateway, which has checked what its own callers may do.
RULES: Final = {
    "BatchRank": Rule(Scope.STEER, weight=lambda request: len(request.requests)),
    "Propose": Rule(Scope.STEER),
    "GetModel": Rule(Scope.STEER),
}
"""By method."""
