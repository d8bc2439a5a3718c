"""Policies as tests write and name them."""

from __future__ import annotations

from reclens.api.steering.v1 import steering_pb2 as pb

NOIR = pb.Edit(concept_id="film-noir", add=0.5)
COMEDY = pb.Edit(concept_id="comedy", add=-0.7)


def recommend(*edits: pb.Edit, **fields) -> pb.RecommendRequest:
    return pb.RecommendRequest(subject=pb.Subject(user_id="user-0"), edits=edits, **fields)


def create(steering, policy_id: str, *edits: pb.Edit, **given) -> pb.Policy:
    policy = pb.Policy(policy_id=policy_id, edits=edits, **given)
    return steering.CreatePolicy(pb.CreatePolicyRequest(policy=policy)).policy


def update(steering, policy: pb.Policy, *edits: pb.Edit, **given) -> pb.Policy:
    new = pb.Policy(policy_id=policy.policy_id, version=policy.version, edits=edits, **given)
    return steering.UpdatePolicy(pb.UpdatePolicyRequest(policy=new)).policy


def delete(steering, policy_id: str, **given) -> pb.Policy:
    request = pb.DeletePolicyRequest(policy_id=policy_id, **given)
    return steering.DeletePolicy(request).policy


def ref(policy_id: str, version: int = 0) -> pb.PolicyRef:
    return pb.PolicyRef(policy_id=policy_id, version=version)


def answer(steering, *edits: pb.Edit, **given) -> pb.RecommendResponse:
    """The answer, but for what must differ from call to call."""
    response = steering.Recommend(recommend(*edits, request_id="same", **given))
    response.ClearField("policy")
    return response
