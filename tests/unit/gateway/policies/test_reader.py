"""The store of policies is asked sparingly: what is missing is remembered, and rates are kept."""

from __future__ import annotations

from typing import cast

import pytest

from reclens.platform.store.policy_log import PolicyLog
from reclens_gateway.policies import reader
from reclens_gateway.policies.reader import TokenBucket


class Clock:
    """Time that passes when it is told to."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


class Absent:
    """A log of policies that has none, and counts how often it is asked."""

    asked = 0

    def versions(self, policy_id: str) -> list[int]:
        self.asked += 1
        return []


async def test_what_is_missing_is_remembered_for_its_time_and_the_oldest_is_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reader, "_MAX_MISSING", 2)
    clock, log = Clock(), Absent()
    lookups = reader.PolicyReader(cast("PolicyLog", log), 60, clock)

    async def asked(*names: str) -> int:
        """How often the store is asked for these."""
        before = log.asked
        for name in names:
            assert await lookups.look_up(name, 0, exists=False, fresh=True) is None
        return log.asked - before

    assert await asked("a", "a", "b", "a") == 2
    assert await asked("c", "a", "c") == 1
    assert await asked("b") == 1
    clock.now += 60
    assert await asked("b", "c") == 2
    lookups.close()


def test_a_bucket_lets_a_burst_through_and_then_its_rate() -> None:
    clock = Clock()
    bucket = TokenBucket(4, clock)
    assert [bucket.take() for _ in range(5)] == [0, 0, 0, 0, 0.25]
    clock.now += 0.25
    assert bucket.take() == 0
    assert bucket.take() == 0.25
    clock.now += 1000
    assert [bucket.take() for _ in range(5)] == [0, 0, 0, 0, 0.25]
