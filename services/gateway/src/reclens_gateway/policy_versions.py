"""Versions of policies that were read lately: they never change, so they are kept."""

from __future__ import annotations

from collections import OrderedDict

from reclens.api.steering.v1 import steering_pb2 as pb

MAX_BYTES = 32 << 20
"""Serialised size of all versions kept."""


class PolicyVersions:
    """The versions used last, as many as fit.

    Args:
        max_bytes: their size, serialised.
    """

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._kept: OrderedDict[tuple[str, int], pb.Policy] = OrderedDict()
        self._bytes = 0

    def get(self, policy_id: str, version: int) -> pb.Policy | None:
        """A version, where it is kept. Not to be changed."""
        found = self._kept.get((policy_id, version))
        if found is not None:
            self._kept.move_to_end((policy_id, version))
        return found

    def keep(self, policy: pb.Policy) -> None:
        """Keep a version; those not used for longest make room."""
        self.drop(policy.policy_id, policy.version)
        self._kept[policy.policy_id, policy.version] = policy
        self._bytes += policy.ByteSize()
        while self._bytes > self._max_bytes:
            _, oldest = self._kept.popitem(last=False)
            self._bytes -= oldest.ByteSize()

    def drop(self, policy_id: str, version: int) -> None:
        """Keep a version no longer."""
        dropped = self._kept.pop((policy_id, version), None)
        if dropped is not None:
            self._bytes -= dropped.ByteSize()
