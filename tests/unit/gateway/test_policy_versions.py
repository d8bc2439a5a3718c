"""Versions read lately are kept within their room."""

from __future__ import annotations

from reclens.api.steering.v1 import steering_pb2 as pb
from reclens_gateway.policy_versions import PolicyVersions


def policy(version: int) -> pb.Policy:
    return pb.Policy(policy_id="calm", version=version, description="x" * 100)


def test_those_used_longest_ago_make_room() -> None:
    kept = PolicyVersions(max_bytes=3 * policy(1).ByteSize())
    for version in (1, 2, 3):
        kept.keep(policy(version))
    assert kept.get("calm", 1) == policy(1)
    kept.keep(policy(4))
    assert [kept.get("calm", n) is not None for n in (1, 2, 3, 4)] == [True, False, True, True]
    # Kept twice, it takes its room once.
    for _ in range(5):
        kept.keep(policy(4))
    assert kept.get("calm", 3) == policy(3)


def test_one_that_is_too_large_is_not_kept() -> None:
    kept = PolicyVersions(max_bytes=50)
    kept.keep(policy(1))
    assert kept.get("calm", 1) is None
