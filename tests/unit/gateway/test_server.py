"""What calling each method takes: none is open by accident."""

from __future__ import annotations

import pytest

from reclens.api.steering.v1 import steering_pb2 as pb
from reclens.platform.grpc.auth import Scope
from reclens_gateway.server import RULES

EDIT = pb.Edit(latent=3, add=0.4)
POLICY = pb.PolicyRef(policy_id="spring")


def test_every_method_of_the_service_has_a_rule() -> None:
    service = pb.DESCRIPTOR.services_by_name["SteeringService"]
    assert set(RULES) == {method.name for method in service.methods}


def test_whatever_writes_takes_the_right_to_administer() -> None:
    writing = {name for name, rule in RULES.items() if rule.scope is Scope.ADMIN}
    assert writing == {"CreatePolicy", "UpdatePolicy", "DeletePolicy"}


@pytest.mark.parametrize(
    ("request_", "scope"),
    [
        (pb.RecommendRequest(), Scope.READ),
        (pb.RecommendRequest(explain=True, include_baseline=True), Scope.READ),
        (pb.RecommendRequest(constraints=pb.Constraints(exclude_item_ids=["1"])), Scope.READ),
        (pb.RecommendRequest(mode=pb.STEERING_MODE_RESIDUAL), Scope.READ),
        (pb.RecommendRequest(mode=pb.STEERING_MODE_RECONSTRUCT), Scope.STEER),
        (pb.RecommendRequest(edits=[EDIT]), Scope.STEER),
        (pb.RecommendRequest(edits=[pb.Edit()]), Scope.STEER),
        (pb.RecommendRequest(policy=POLICY), Scope.STEER),
        (pb.RecommendRequest(policy=pb.PolicyRef()), Scope.STEER),
    ],
)
def test_recommending_takes_what_the_message_asks_for(
    request_: pb.RecommendRequest, scope: Scope
) -> None:
    assert RULES["Recommend"].required(request_) is scope
    # One entry that steers is enough.
    batch = pb.BatchRecommendRequest(requests=[pb.RecommendRequest(), request_])
    assert RULES["BatchRecommend"].required(batch) is scope


def test_batches_and_comparisons_count_as_what_they_hold() -> None:
    weigh_batch, weigh_comparison = RULES["BatchRecommend"].weight, RULES["Compare"].weight
    assert weigh_batch is not None
    assert weigh_comparison is not None
    assert weigh_batch(pb.BatchRecommendRequest(requests=[pb.RecommendRequest()] * 7)) == 7
    assert weigh_comparison(pb.CompareRequest(variants=[pb.Variant()] * 3)) == 3
