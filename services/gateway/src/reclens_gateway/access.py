"""What calling each method of SteeringService takes. A test holds that none is missing."""

from __future__ import annotations

from typing import Final

from reclens.api.steering.v1 import steering_pb2 as pb
from reclens.platform.grpc.auth import Rule, Scope


def _recommend(request: pb.RecommendRequest) -> Scope:
    # The reconstruction differs from the recommender's own answer even without edits.
    replaced = request.mode == pb.STEERING_MODE_RECONSTRUCT
    steered = bool(request.edits) or request.HasField("policy") or replaced
    return Scope.STEER if steered else Scope.READ


def _batch(request: pb.BatchRecommendRequest) -> Scope:
    scopes = {_recommend(entry) for entry in request.requests}
    return Scope.STEER if Scope.STEER in scopes else Scope.READ


RULES: Final = {
    "Recommend": Rule(_recommend),
    "BatchRecommend": Rule(_batch, weight=lambda request: len(request.requests)),
    # Sessions and comparisons are there for edits.
    "StreamRecommend": Rule(Scope.STEER),
    "Compare": Rule(Scope.STEER, weight=lambda request: len(request.variants)),
    "ProposeEdit": Rule(Scope.STEER),
    "Explain": Rule(Scope.READ),
    "ListConcepts": Rule(Scope.READ),
    "GetConcept": Rule(Scope.READ),
    "SearchConcepts": Rule(Scope.READ),
    "GetPolicy": Rule(Scope.READ),
    "ListPolicies": Rule(Scope.READ),
    "ListPolicyVersions": Rule(Scope.READ),
    "CreatePolicy": Rule(Scope.ADMIN),
    "UpdatePolicy": Rule(Scope.ADMIN),
    "DeletePolicy": Rule(Scope.ADMIN),
    "GetRelease": Rule(Scope.READ),
    "ListReleases": Rule(Scope.READ),
}
"""By method."""
