"""Hostile JSON: a good value, changed in a place or more."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Sequence
from typing import Any

_ESCAPES = ("\x1b[2J\x1b]0;owned\x07", "\x9b31m", "a\x00b", "a\r\nb", "\u202egnp", "\ud800")
_TEXTS = (
    *_ESCAPES,
    *("", " ", "-1", "NaN", "{}", "$(id)", "`id`", "%s%n{0}{{}}", "'; DROP TABLE users; --"),
    *("builtins:exec", "os:system", "__class__", "s3://other/bucket", "http://127.0.0.1:1/"),
    *("autoencoders/0123456789abcdef", "datasets/../../x", "datasets/0123456789abcdef\n"),
)
_NUMBERS = (
    *(0, -0.0, -1, 1.5, 1e308, 5e-324, float("nan"), float("inf"), float("-inf")),
    *(2**31, 2**53 + 1, 2**63 - 1, 2**63, 2**64, -(2**63) - 1, 10**30, 10**400),
)
_FIELDS = ("__proto__", "__class__", "extra", "kind", "path", "", "a\x00b", "x" * 5000)


def case_rng(seed: int, attack: str, number: int) -> random.Random:
    """The randomness of one case, which alone repeats it."""
    return random.Random(f"{seed}/{attack}/{number}")


def nested(depth: int) -> Any:
    """Lists and objects in each other."""
    value: Any = 0
    for level in range(depth):
        value = [value] if level % 2 else {"a": value}
    return value


class HostileJson:
    """Makes values that a contract should refuse, out of one source of randomness.

    Args:
        rng: source of randomness.
        paths: files and folders that nobody may read or write.
        huge: length of what is far too long.
    """

    def __init__(self, rng: random.Random, paths: Sequence[str], huge: int = 12_000) -> None:
        self.rng = rng
        self._paths = paths
        self._huge = huge

    def mutated(self, value: Any) -> Any:
        """A copy of ``value`` with one to three places changed."""
        whole = {"": copy.deepcopy(value)}
        for _ in range(self.rng.choice((1, 1, 2, 3))):
            self._change(whole)
        return whole[""]

    def value(self) -> Any:
        """Any JSON value, most of them of a wrong type or out of range."""
        kind = self.rng.randrange(8)
        if kind < 3:
            return self.text()
        if kind < 5:
            return self.rng.choice(_NUMBERS)
        if kind == 5:
            return nested(self.rng.choice((2, 50, 400)))
        if kind == 6:
            return [self.text()] * self.rng.choice((0, 1, 3, self._huge // 20))
        return self.rng.choice((None, True, False, [], {}, {"": None}))

    def text(self) -> str:
        """A string: a path outside, an escape, something far too long."""
        kind = self.rng.randrange(10)
        if kind < 4:
            return self.rng.choice(self._paths)
        if kind == 4:
            return self.rng.choice("aé漢\x1b") * self._huge
        return self.rng.choice(_TEXTS)

    def noise(self) -> bytes:
        """Bytes that are no JSON, or JSON that was damaged on its way."""
        if self.rng.random() < 0.4:
            return self.rng.randbytes(self.rng.randrange(200))
        data = bytearray(json.dumps(self.value()).encode())
        for _ in range(self.rng.randrange(1, 4)):
            if data:
                data[self.rng.randrange(len(data))] = self.rng.randrange(256)
        return bytes(data)

    def _change(self, whole: dict[str, Any]) -> None:
        places: list[tuple[Any, Any]] = []
        waiting: list[Any] = [whole]
        # No deeper than what was good: a nest of our own is changed as one value.
        while waiting and len(places) < 2000:
            node = waiting.pop()
            names = list(node) if isinstance(node, dict) else list(range(len(node)))
            places += [(node, name) for name in names]
            waiting += [node[name] for name in names if isinstance(node[name], dict | list)]
        node, name = self.rng.choice(places)
        inner = node[name]
        how = self.rng.randrange(10)
        if how == 0 and isinstance(inner, dict):
            inner[self.rng.choice(_FIELDS)] = self.value()
        elif how == 1 and isinstance(node, dict) and node is not whole:
            del node[name]
        elif how == 2:
            node[name] = [inner]
        elif how == 3 and isinstance(inner, list) and inner:
            node[name] = inner * min(5000, self._huge)
        else:
            node[name] = self.value()
