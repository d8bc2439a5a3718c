"""The policies that requests read: a snapshot of every newest version, the store behind it."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import structlog

from reclens.api.steering.v1 import steering_pb2 as pb
from reclens.errors import (
    AlreadyExists,
    CorruptArtifact,
    NotFound,
    RecLensError,
    StalePolicy,
    Unavailable,
)
from reclens.lru_cache import LruCache
from reclens.platform.grpc.calls import request_id
from reclens.platform.observability import metrics
from reclens.platform.polling import Poller
from reclens.platform.store.policy_log import PolicyChange, PolicyLog, deleted
from reclens.steering.policies import POLICY_ID, StoredPolicy
from reclens_gateway.policies.reader import Clock, PolicyReader, StoredVersion

_POLICY_ID = re.compile(POLICY_ID)
_READ_TOGETHER = 16
_MAX_BYTES = 32 << 20
_AUDITED = ("description", "release", "edits", "mode", "constraints", "autoencoder")

logger = structlog.get_logger(__name__)


class _Newest(NamedTuple):
    """What is known of a name."""

    version: int
    """Number of its newest version."""
    policy: pb.Policy | CorruptArtifact
    """That version, or why it cannot be read."""
    reading: int
    """The reading of the store that it is at least as young as."""


class PolicyBook(Poller):
    """All policies. The snapshot changes on the event loop only; the store is asked on threads.

    With the store away, what is loaded goes on serving, and what is not known is UNAVAILABLE: never
    is a request answered without the policy that it names. A version that is loaded goes on serving
    also where it has other bytes in the store by now. Policies that are returned are shared: they
    are not to be changed.

    Args:
        log: where policies are.
        poll_seconds: time between readings of the store: for so long, changes of other gateways may
            not be seen.
        clock: seconds that only rise.
    """

    def __init__(self, log: PolicyLog, poll_seconds: float, clock: Clock = time.monotonic) -> None:
        super().__init__(self.refresh, poll_seconds, "policies cannot be read")
        self.log = log
        self._reader = PolicyReader(log, poll_seconds, clock)
        self._newest: dict[str, _Newest] = {}
        self._versions: LruCache[tuple[str, int], pb.Policy] = LruCache(
            _MAX_BYTES, pb.Policy.ByteSize
        )
        self._reading = asyncio.Lock()
        self._readings = 0
        self._read_at = float("-inf")
        self._writing: set[asyncio.Task[pb.Policy]] = set()
        self._faulty: set[str] = set()

    async def stop(self) -> None:
        """Stop reading, and finish the writes under way."""
        await super().stop()
        if self._writing:
            await asyncio.wait(self._writing)
        self._reader.close()

    # --- reading ---------------------------------------------------------------------------------

    def listed(self) -> list[pb.Policy]:
        """All policies that are not deleted and can be read, by name, in their newest versions.

        Raises:
            Unavailable: the store could not be read yet.
        """
        if not self._readings:
            raise Unavailable("policies are being loaded.", remedy="try again in a moment.")
        return [policy for _, policy in sorted(self._readable()) if not policy.deleted]

    async def get(self, policy_id: str, version: int = 0, *, field: str = "policy_id") -> pb.Policy:
        """A policy to be applied: its newest version, or exactly the one asked for.

        Args:
            policy_id: its name.
            version: 0: the newest.
            field: what errors name.

        Raises:
            NotFound: there is none, it is deleted, or it has no such version.
            CorruptArtifact: that version cannot be read.
            Unavailable: it is not known here and the store does not answer.
            Overloaded: too many ask for what is not known here.
        """
        newest = await self._known(policy_id, field)
        if isinstance(newest.policy, pb.Policy):
            _check_not_deleted(newest.policy, field)
        policy = await self._one(newest, policy_id, version or newest.version, field)
        _check_not_deleted(policy, field)
        return policy

    async def newest(self, policy_id: str, *, field: str = "policy_id") -> int:
        """Number of the newest version of a policy, be it deleted.

        Raises:
            NotFound, Unavailable, Overloaded: as `get`.
        """
        return (await self._known(policy_id, field)).version

    async def version(self, policy_id: str, version: int, *, field: str = "version") -> pb.Policy:
        """One version as it was stored, also of a deleted policy, and of its deletion.

        Raises:
            NotFound, CorruptArtifact, Unavailable, Overloaded: as `get`.
        """
        return await self._one(await self._known(policy_id, "policy_id"), policy_id, version, field)

    async def versions(
        self, policy_id: str, numbers: Sequence[int], max_bytes: int
    ) -> list[pb.Policy]:
        """These versions in this order, as many as fit in ``max_bytes``, but at least one.

        Raises:
            NotFound: a version is missing.
            CorruptArtifact: a version cannot be read.
            Unavailable: the store does not answer.
        """
        found: list[pb.Policy] = []
        size = 0
        for start in range(0, len(numbers), _READ_TOGETHER):
            some = numbers[start : start + _READ_TOGETHER]
            kept = {number: self._versions.get((policy_id, number)) for number in some}
            missing = [(policy_id, number) for number, policy in kept.items() if policy is None]
            for (_, number), read in (await self._reader.run(self.log.read, missing)).items():
                kept[number] = self._keep(read, "policy_id")
            for policy in kept.values():
                assert policy is not None
                size += policy.ByteSize()
                if found and size > max_bytes:
                    return found
                found.append(policy)
        return found

    def knows(self, policy_id: str) -> bool:
        """Whether there is a policy of that name here, be it deleted."""
        return policy_id in self._newest

    def size(self) -> tuple[int, int]:
        """How many names are known, deleted ones included, and how many bytes they take."""
        return len(self._newest), sum(policy.ByteSize() for _, policy in self._readable())

    async def refresh(self) -> None:
        """Read what is new in the store.

        Raises:
            RecLensError: it cannot be read; what is loaded goes on serving.
        """
        async with self._reading:
            reading = self._readings + 1
            numbers = await self._reader.run(self.log.newest)
            for name in self.log.faults.keys() - self._faulty:
                logger.error("policy was changed", error=self.log.faults[name].sentence)
            self._faulty = set(self.log.faults)
            wanted = [name for name in numbers.items() if not self._has(*name)]
            read = await self._reader.run(self.log.read, wanted)
            for name in [name for name in self._newest if name not in numbers]:
                # What was learnt during this reading may be younger than what was read.
                if self._newest[name].reading < reading:
                    logger.warning("policy gone from the store", policy_id=name)
                    del self._newest[name]
            for (name, number), entry in read.items():
                known = self._newest.get(name)
                if known is None or known.reading < reading or known.version <= number:
                    self._learn(name, StoredVersion(number, entry), reading - 1)
            self._readings = reading
            self._read_at = asyncio.get_running_loop().time()

    # --- writing ---------------------------------------------------------------------------------

    async def write(
        self, operation: str, policy_id: str, act: Callable[[], PolicyChange]
    ) -> pb.Policy:
        """Store a change, log it, and serve it at once.

        Args:
            operation: for the log: create, update, delete.
            policy_id: whose.
            act: stores it; called on a thread.

        Raises:
            RecLensError: what ``act`` raises.
        """
        task = asyncio.create_task(self._write(operation, policy_id, act))
        self._writing.add(task)
        task.add_done_callback(self._written)
        # A caller who goes away does not undo it, and must not keep it out of the log.
        return await asyncio.shield(task)

    async def _write(
        self, operation: str, policy_id: str, act: Callable[[], PolicyChange]
    ) -> pb.Policy:
        try:
            change = await self._reader.run(act)
        except (AlreadyExists, StalePolicy, NotFound):
            # Somebody else's change is in the way, and the caller is going to look at it.
            with contextlib.suppress(RecLensError):
                if (found := await self._reader.read(policy_id)) is not None:
                    self._catch_up(policy_id, found)
            raise
        _log_change(operation, change)
        after = change.after
        self._learn(policy_id, StoredVersion(after.version, after), self._readings + 1)
        return _whole(self._newest[policy_id].policy, "policy_id")

    def _written(self, task: asyncio.Task[pb.Policy]) -> None:
        self._writing.discard(task)
        if not task.cancelled():
            # Nobody else may be left to look at it.
            task.exception()

    # --- what is known ---------------------------------------------------------------------------

    async def _known(self, policy_id: str, field: str) -> _Newest:
        known = self._newest.get(policy_id)
        if known is None:
            known = self._catch_up(policy_id, await self._look_up(policy_id, 0, field))
        return known

    async def _one(self, newest: _Newest, policy_id: str, version: int, field: str) -> pb.Policy:
        if version == newest.version:
            return _whole(newest.policy, field)
        kept = self._versions.get((policy_id, version))
        if kept is None:
            kept = self._keep((await self._look_up(policy_id, version, field)).entry, field)
        return kept

    async def _look_up(self, policy_id: str, version: int, field: str) -> StoredVersion:
        known = self._newest.get(policy_id)
        exists = known is not None and version <= known.version
        now = asyncio.get_running_loop().time()
        fresh = now - self._read_at < 2 * self.poll_seconds
        found = None
        # What cannot be a name is not looked for, nor remembered: it may be megabytes long.
        if _POLICY_ID.fullmatch(policy_id):
            found = await self._reader.look_up(policy_id, version, exists=exists, fresh=fresh)
        if found is None:
            what = f"has no version {version}" if version else "does not exist"
            raise NotFound(
                f"policy {policy_id[:100]!r} {what}.",
                field=field,
                remedy="see ListPolicyVersions." if version else "see ListPolicies.",
            )
        return found

    def _catch_up(self, policy_id: str, found: StoredVersion) -> _Newest:
        """Take what was just read as the newest version, unless a newer one is known."""
        known = self._newest.get(policy_id)
        if known is None or known.version <= found.version:
            self._learn(policy_id, found, self._readings + 1)
        return self._newest[policy_id]

    def _learn(self, policy_id: str, found: StoredVersion, reading: int) -> None:
        number, entry = found
        if isinstance(entry, CorruptArtifact):
            before = self._newest.get(policy_id)
            if before is None or before.version != number:
                logger.error("policy cannot be read", policy_id=policy_id, error=str(entry))
            self._newest[policy_id] = _Newest(number, entry, reading)
        else:
            self._newest[policy_id] = _Newest(number, self._keep(entry, "policy_id"), reading)

    def _keep(self, entry: StoredPolicy | CorruptArtifact, field: str) -> pb.Policy:
        policy = _whole(entry if isinstance(entry, CorruptArtifact) else entry.message(), field)
        self._versions.keep((policy.policy_id, policy.version), policy)
        return policy

    def _has(self, policy_id: str, version: int) -> bool:
        known = self._newest.get(policy_id)
        return (
            known is not None and known.version == version and isinstance(known.policy, pb.Policy)
        )

    def _readable(self) -> list[tuple[str, pb.Policy]]:
        """Newest versions that can be read, with their names."""
        return [
            (name, known.policy)
            for name, known in self._newest.items()
            if isinstance(known.policy, pb.Policy)
        ]


def _whole(policy: pb.Policy | CorruptArtifact, field: str) -> pb.Policy:
    if isinstance(policy, CorruptArtifact):
        raise CorruptArtifact(policy.message, field=field, remedy=policy.remedy)
    return policy


def _check_not_deleted(policy: pb.Policy, field: str) -> None:
    if policy.deleted:
        raise deleted(policy, field=field)


def _log_change(operation: str, change: PolicyChange) -> None:
    """Log a change that is stored: which fields, how many edits, but nothing of what they hold."""
    metrics.current().policy_changes.labels(operation).inc()
    before, after = change.before, change.after
    logger.info(
        "policy changed",
        policy_id=after.policy_id,
        version=after.version,
        operation=operation,
        author=after.author,
        request_id=request_id(),
        edits_before=len(before.edits) if before is not None else None,
        edits_after=len(after.edits),
        changed=[
            name
            for name in _AUDITED
            if before is None or getattr(before, name) != getattr(after, name)
        ],
    )
