"""Kinds of requests: whom they ask for and what they change."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import grpc
import numpy as np
from serving_world import World, item_id, user_id

from reclens.api.steering.v1 import steering_pb2 as pb
from reclens.api.steering.v1 import steering_pb2_grpc

WARM_USERS = 300
"""Users that ask again and again."""
N_HISTORIES = 4000
POLICY = "benchmark"
_STRENGTHS: Final = (0.1, 0.2, 0.3)


@dataclass(frozen=True)
class Kind:
    """One kind of request."""

    name: str
    """E.g. ``steered``."""
    subjects: str
    """``cold``: each from another known user, in turn. ``warm``: a few users again and again.
    ``history``: each with another history of its own."""
    edit: Callable[[World, pb.RecommendRequest, int], None]
    """Adds edits to request number i."""


def _none(_world: World, _request: pb.RecommendRequest, _i: int) -> None:
    pass


def _one(world: World, request: pb.RecommendRequest, i: int) -> None:
    # Concepts differ from one request to the next, so that no batch is lucky to share its edit.
    edit = request.edits.add()
    edit.concept_id = world.concept_ids[i % len(world.concept_ids)]
    edit.add = _STRENGTHS[i % len(_STRENGTHS)]


def _three(world: World, request: pb.RecommendRequest, i: int) -> None:
    n = len(world.concept_ids)
    _one(world, request, i)
    second, third = request.edits.add(), request.edits.add()
    second.concept_id, second.add = world.concept_ids[(i + 7) % n], -0.2
    third.concept_id = world.concept_ids[(i + 11) % n]
    third.ablate.SetInParent()


def _policy(_world: World, request: pb.RecommendRequest, _i: int) -> None:
    request.policy.policy_id = POLICY


UNSTEERED: Final = Kind("unsteered", "cold", _none)
STEERED: Final = Kind("steered", "cold", _one)
FURTHER: Final = (
    Kind("unsteered, warm", "warm", _none),
    Kind("steered, warm", "warm", _one),
    Kind("steered, 3 edits", "cold", _three),
    Kind("unsteered, history", "history", _none),
    Kind("steered, history", "history", _one),
)
BY_POLICY: Final = Kind("steered, policy", "cold", _policy)


def requests_of(world: World, kind: Kind, seed: int = 1) -> list[bytes]:
    """Serialised requests; those of the same kind of subjects ask for the same, in one order."""
    serialised: list[bytes] = []
    for i, subject in enumerate(_subjects(world, kind, np.random.default_rng(seed))):
        request = pb.RecommendRequest(top_k=10, subject=subject)
        kind.edit(world, request, i)
        serialised.append(request.SerializeToString())
    return serialised


def _subjects(world: World, kind: Kind, rng: np.random.Generator) -> Iterator[pb.Subject]:
    if kind.subjects == "history":
        users, items = world.taste.draw(N_HISTORIES, rng)
        starts = np.searchsorted(users, np.arange(N_HISTORIES + 1))
        for first, stop in pairwise(starts):
            history = pb.ItemHistory(item_ids=map(item_id, items[first:stop].tolist()))
            yield pb.Subject(history=history)
    else:
        order = rng.permutation(world.catalogue.n_users).tolist()
        count = len(order) if kind.subjects == "cold" else WARM_USERS
        for user in order[:count]:
            yield pb.Subject(user_id=user_id(user))


def use_concepts_once(gateway: str, world: World) -> None:
    """Turn every concept up once: what adding it pushes is found at its first use, and kept."""
    subject = pb.Subject(user_id=user_id(0))
    with grpc.insecure_channel(gateway) as channel:
        stub = steering_pb2_grpc.SteeringServiceStub(channel)
        for concept_id in world.concept_ids:
            edit = pb.Edit(concept_id=concept_id, add=_STRENGTHS[0])
            stub.Recommend(pb.RecommendRequest(subject=subject, edits=[edit]), timeout=60)


def create_policy(gateway: str, world: World) -> str:
    """Store the policy that ``BY_POLICY`` names; why it could not be, or nothing."""
    policy = pb.Policy(policy_id=POLICY, description="One concept turned up.")
    edit = policy.edits.add()
    edit.concept_id, edit.add = world.concept_ids[0], 0.3
    with grpc.insecure_channel(gateway) as channel:
        stub = steering_pb2_grpc.SteeringServiceStub(channel)
        try:
            stub.CreatePolicy(pb.CreatePolicyRequest(policy=policy), timeout=30)
        except grpc.RpcError as error:
            return f"{error.code().name}: {error.details()}"  # pyright: ignore[reportAttributeAccessIssue]
    return ""
