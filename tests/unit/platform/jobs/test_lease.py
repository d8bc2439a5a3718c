"""A lease whose thread never begins."""

from __future__ import annotations

from unittest.mock import MagicMock

import pytest

from reclens.platform.jobs import lease as leases
from reclens.platform.jobs.lease import Lease
from reclens.platform.jobs.runner import is_exhaustion


def test_without_a_thread_that_renews_it_the_lease_is_given_back(monkeypatch: pytest.MonkeyPatch):
    # A thread that is short of memory before its first line ends without a word.
    monkeypatch.setattr(leases._thread, "start_new_thread", lambda *_args: 1)
    monkeypatch.setattr(leases, "_BEGIN_SECONDS", 0.01)
    redis = MagicMock()
    with pytest.raises(MemoryError) as raised, Lease(redis, "datasets/0123456789abcdef", 60) as one:
        one.acquire()
    assert is_exhaustion(raised.value)
    redis.lock.return_value.release.assert_called_once_with()
