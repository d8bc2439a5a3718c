"""Policies and calls of policies that are refused, with the field's name."""

from __future__ import annotations

import math

import grpc
import pytest
from policy_calls import NOIR, recommend, ref
from refusals import refusal

from reclens.api.steering.v1 import steering_pb2 as pb

Code = grpc.StatusCode
INVALID = Code.INVALID_ARGUMENT


@pytest.mark.parametrize(
    ("given", "code", "field"),
    [
        ({"policy_id": ""}, INVALID, "policy.policy_id"),
        ({"policy_id": "Upper"}, INVALID, "policy.policy_id"),
        ({"policy_id": "1st"}, INVALID, "policy.policy_id"),
        ({"policy_id": "a/../b"}, INVALID, "policy.policy_id"),
        ({"policy_id": "line\n"}, INVALID, "policy.policy_id"),
        ({"policy_id": "x" * 64}, INVALID, "policy.policy_id"),
        ({"description": "x" * 1001}, INVALID, "policy.description"),
        ({"description": "\x1b[31m"}, INVALID, "policy.description"),
        ({"comment": "x" * 1001}, INVALID, "policy.comment"),
        ({"release": "other"}, Code.NOT_FOUND, "policy.release"),
        ({"mode": 7}, INVALID, "policy.mode"),
        ({"edits": [NOIR] * 101}, INVALID, "policy.edits"),
        ({"edits": [NOIR, pb.Edit(latent=32, add=1)]}, INVALID, "policy.edits[1].latent"),
        (
            {"edits": [pb.Edit(concept_id="nope", add=1)]},
            Code.NOT_FOUND,
            "policy.edits[0].concept_id",
        ),
        ({"edits": [pb.Edit(latent=1, add=math.nan)]}, INVALID, "policy.edits[0].add"),
        ({"edits": [pb.Edit(latent=1, set=-1)]}, INVALID, "policy.edits[0].set"),
        ({"edits": [pb.Edit(add=1)]}, INVALID, "policy.edits[0].target"),
        ({"edits": [pb.Edit(latent=1)]}, INVALID, "policy.edits[0].operation"),
        (
            {"edits": [pb.Edit(latent=1, add=1, when=[pb.Condition(latent=40, above=0)])]},
            INVALID,
            "policy.edits[0].when[0].latent",
        ),
        (
            {"edits": [pb.Edit(blend=pb.Blend(), add=1)]},
            INVALID,
            "policy.edits[0].blend.parts",
        ),
        (
            {"constraints": pb.Constraints(tag_limits=[pb.TagLimit(tag="Nope")])},
            Code.NOT_FOUND,
            "policy.constraints.tag_limits[0].tag",
        ),
        (
            {"constraints": pb.Constraints(exclude_item_ids=["x"] * 10_001)},
            INVALID,
            "policy.constraints.exclude_item_ids",
        ),
        (
            {
                "constraints": pb.Constraints(
                    exclude_item_ids=["x" * 60 + str(n) for n in range(5000)]
                )
            },
            INVALID,
            "policy",
        ),
    ],
)
def test_what_a_request_would_be_refused_for_is_not_stored(sasrec, given, code, field) -> None:
    policy = pb.Policy(**{"policy_id": "bad", **given})
    for method, request in (
        (sasrec.steering.CreatePolicy, pb.CreatePolicyRequest(policy=policy)),
        (sasrec.steering.UpdatePolicy, pb.UpdatePolicyRequest(policy=policy)),
    ):
        policy.version = 1
        request.policy.version = 1
        got = refusal(method, request)
        assert (got[0], got[2]) == (code, field)
    assert sasrec.gateway.policies.log.versions("bad") == []


@pytest.mark.parametrize(
    ("method", "request_", "code", "field"),
    [
        ("GetPolicy", pb.GetPolicyRequest(), INVALID, "policy_id"),
        ("GetPolicy", pb.GetPolicyRequest(policy_id="nope"), Code.NOT_FOUND, "policy_id"),
        ("DeletePolicy", pb.DeletePolicyRequest(policy_id="nope"), Code.NOT_FOUND, "policy_id"),
        ("DeletePolicy", pb.DeletePolicyRequest(policy_id="a b"), INVALID, "policy_id"),
        (
            "DeletePolicy",
            pb.DeletePolicyRequest(policy_id="nope", comment="\0"),
            INVALID,
            "comment",
        ),
        (
            "UpdatePolicy",
            pb.UpdatePolicyRequest(policy=pb.Policy(policy_id="nope")),
            INVALID,
            "policy.version",
        ),
        (
            "UpdatePolicy",
            pb.UpdatePolicyRequest(policy=pb.Policy(policy_id="nope", version=1)),
            Code.NOT_FOUND,
            "policy.policy_id",
        ),
        ("CreatePolicy", pb.CreatePolicyRequest(), INVALID, "policy.policy_id"),
        ("ListPolicies", pb.ListPoliciesRequest(page_size=1001), INVALID, "page_size"),
        ("ListPolicies", pb.ListPoliciesRequest(page_token="?"), INVALID, "page_token"),
        (
            "ListPolicyVersions",
            pb.ListPolicyVersionsRequest(policy_id="nope"),
            Code.NOT_FOUND,
            "policy_id",
        ),
        ("Recommend", recommend(policy=ref("nope")), Code.NOT_FOUND, "policy"),
        ("Recommend", recommend(policy=ref("../../x" * 1000)), Code.NOT_FOUND, "policy"),
        ("Recommend", recommend(policy=ref("", 3)), INVALID, "policy.policy_id"),
        ("Recommend", recommend(policy=ref("")), INVALID, "policy.policy_id"),
    ],
)
def test_calls_name_the_field_that_cannot_be_used(sasrec, method, request_, code, field) -> None:
    got = refusal(getattr(sasrec.steering, method), request_)
    assert (got[0], got[2]) == (code, field)
