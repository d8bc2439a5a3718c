"""Fixtures: clients of the look-alikes of language model servers that never really wait."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from running_lookalike import Lookalike

from reclens.platform.llm.client import HttpLlmClient
from reclens.platform.settings.models import LlmSettings

MakeClient = Callable[..., HttpLlmClient]


class NoWaiting:
    """A stop signal that notes how long it was waited on, and takes no time."""

    def __init__(self, *, stops_after: int | None = None) -> None:
        self.waits: list[float] = []
        self._stops_after = stops_after

    def is_set(self) -> bool:
        return self._stops_after is not None and len(self.waits) >= self._stops_after

    def wait(self, timeout: float) -> bool:
        self.waits.append(timeout)
        return self.is_set()


@pytest.fixture
def waiting() -> NoWaiting:
    return NoWaiting()


@pytest.fixture
def make_client(waiting: NoWaiting) -> Iterator[MakeClient]:
    """Maker of a client for a look-alike that never really waits; no jitter unless given."""
    made: list[HttpLlmClient] = []

    def make(server: Lookalike, *, client: dict[str, Any] | None = None, **settings: Any):
        known = {"endpoint": server.url, "dialect": server.dialect, **settings}
        options = {"stop": waiting, "jitter": lambda: 0.0, **(client or {})}
        made.append(HttpLlmClient(LlmSettings(**known), **options))
        return made[-1]

    yield make
    for client in made:
        client.close()
