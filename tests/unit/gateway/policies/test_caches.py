"""The caches of policies keep to their room, and lookups to their rate."""

from __future__ import annotations

from dataclasses import dataclass

from reclens_gateway.policies.caches import LruCache, NegativeCache, TokenBucket


@dataclass
class Text:
    """Some bytes."""

    text: str

    def ByteSize(self) -> int:  # noqa: N802
        return len(self.text)


class Clock:
    """Time that passes when it is told to."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_those_used_longest_ago_make_room() -> None:
    kept: LruCache[int, Text] = LruCache(max_bytes=30)
    for key in (1, 2, 3):
        kept.keep(key, Text("x" * 10))
    assert kept.get(1) == Text("x" * 10)
    kept.keep(4, Text("y" * 10))
    assert [kept.get(key) is not None for key in (1, 2, 3, 4)] == [True, False, True, True]
    # Kept again, a value takes its room once.
    for _ in range(5):
        kept.keep(4, Text("z" * 10))
    assert [kept.get(key) for key in (3, 4)] == [Text("x" * 10), Text("z" * 10)]


def test_one_that_is_too_large_is_not_kept() -> None:
    kept: LruCache[int, Text] = LruCache(max_bytes=5)
    kept.keep(1, Text("xxxxxx"))
    assert kept.get(1) is None


def test_what_is_missing_is_remembered_for_its_time_and_the_oldest_is_forgotten() -> None:
    clock = Clock()
    missing: NegativeCache[str] = NegativeCache(60, max_keys=2, clock=clock)
    missing.add("a")
    assert "a" in missing
    assert "b" not in missing
    missing.add("b")
    missing.add("a")
    missing.add("c")
    assert ["a" in missing, "b" in missing, "c" in missing] == [True, False, True]
    clock.now += 60
    assert "a" not in missing


def test_a_bucket_lets_a_burst_through_and_then_its_rate() -> None:
    clock = Clock()
    bucket = TokenBucket(4, clock)
    assert [bucket.take() for _ in range(5)] == [0, 0, 0, 0, 0.25]
    clock.now += 0.25
    assert bucket.take() == 0
    assert bucket.take() == 0.25
    clock.now += 1000
    assert [bucket.take() for _ in range(5)] == [0, 0, 0, 0, 0.25]
