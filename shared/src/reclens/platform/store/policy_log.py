"""The logs of all policies, in the object store."""

from __future__ import annotations

import re
from dataclasses import dataclass

from reclens.api.steering.v1 import steering_pb2 as pb
from reclens.errors import AlreadyExists, CorruptArtifact, NotFound, StalePolicy
from reclens.platform.store.objects import ObjectStore
from reclens.platform.store.version_logs import VersionLogs
from reclens.steering.policies import POLICY_ID, StoredPolicy


@dataclass(frozen=True)
class PolicyChange:
    """What a write did."""

    before: StoredPolicy | None
    """The version before; None where there was none, or where it cannot be read."""
    after: StoredPolicy
    """The version written."""


class PolicyLog(VersionLogs[StoredPolicy]):
    """Append-only: version n of a policy is the object ``policies/{policy_id}/{n:06d}.json``.

    Each version is whole, and so is its audit: who, when, why. A deletion is a version as well, and
    a deleted name that is created again goes on counting.

    Raises (all methods):
        Unavailable: the store does not answer just now.
    """

    FOLDER = "policies/"
    NAMES = re.compile(POLICY_ID)
    FIELD = "policy"
    UNKNOWN = "names have 1 to 63 of a-z, 0-9 and -, beginning with a letter."
    VERSIONS = "see ListPolicyVersions."
    DAMAGED = "bring the object back from a copy of the bucket, or update the policy."

    def __init__(self, objects: ObjectStore) -> None:
        super().__init__(objects, StoredPolicy)

    def identity(self, entry: StoredPolicy) -> tuple[str, int]:
        """The name and the number that a version says it has."""
        return entry.policy_id, entry.version

    def create(self, draft: StoredPolicy) -> PolicyChange:
        """Store a policy under a name that is free; its version is set here.

        Raises:
            AlreadyExists: there is one of that name.
            CorruptArtifact: there is, and its newest version cannot be read.
        """
        while True:
            newest = max(self.versions(draft.policy_id), default=0)
            before = self.version(draft.policy_id, newest) if newest else None
            if before is not None and not before.deleted:
                raise AlreadyExists(
                    f"there is a policy {draft.policy_id!r} (version {newest}).",
                    field="policy.policy_id",
                    remedy="update it, or choose another name.",
                )
            if (stored := self._add(draft, newest + 1)) is not None:
                return PolicyChange(before, stored)

    def update(self, draft: StoredPolicy, *, based_on: int) -> PolicyChange:
        """Store the next version of a policy; its version is set here.

        A newest version that cannot be read is no hindrance: this is how it is replaced.

        Raises:
            StalePolicy: the newest version is not ``based_on``.
            NotFound: there is no such policy, or it was deleted.
        """
        return self._append(draft, based_on, "policy.")

    def delete(self, marker: StoredPolicy, *, based_on: int = 0) -> PolicyChange:
        """Store the version that deletes a policy; its version is set here.

        Args:
            marker: says who, when and why.
            based_on: the version that the decision is based on. 0: whichever is the newest.

        Raises:
            StalePolicy: the newest version is not ``based_on``.
            NotFound: there is no such policy, or it was deleted.
        """
        return self._append(marker, based_on or None, "")

    def _append(self, draft: StoredPolicy, based_on: int | None, where: str) -> PolicyChange:
        policy_id = draft.policy_id
        while True:
            newest = max(self.versions(policy_id), default=0)
            if not newest:
                raise NotFound(
                    f"there is no policy {policy_id!r}.",
                    field=f"{where}policy_id",
                    remedy="see ListPolicies.",
                )
            try:
                before = self.version(policy_id, newest)
            except CorruptArtifact:
                before = None
            if before is not None and before.deleted:
                raise deleted(before, field=f"{where}policy_id")
            if based_on is not None and based_on != newest:
                raise _stale(based_on, newest, before, field=f"{where}version")
            if (stored := self._add(draft, newest + 1)) is not None:
                return PolicyChange(before, stored)

    def _add(self, draft: StoredPolicy, version: int) -> StoredPolicy | None:
        """``draft`` as that version; None where somebody else took the number."""
        stored = draft.model_copy(update={"version": version})
        return stored if self._log(draft.policy_id).add(version, stored) else None


def deleted(policy: StoredPolicy | pb.Policy, *, field: str) -> NotFound:
    """The error of asking for a policy whose newest version, this one, deletes it."""
    by = f" by {policy.author}" if policy.author else ""
    return NotFound(
        f"policy {policy.policy_id!r} was deleted{by} at {policy.changed_at} "
        f"(version {policy.version}).",
        field=field,
        remedy="its versions stay listed; create it again from one of them.",
    )


def _stale(based_on: int, newest: int, current: StoredPolicy | None, *, field: str) -> StalePolicy:
    by = f" by {current.author}" if current is not None and current.author else ""
    return StalePolicy(
        f"the policy is at version {newest}{by}, this change is based on {based_on}.",
        field=field,
        remedy="look at the newest version and decide again.",
    )
