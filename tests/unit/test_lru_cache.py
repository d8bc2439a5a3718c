"""An LRU cache keeps to its room."""

from __future__ import annotations

from reclens.lru_cache import LruCache


def test_those_used_longest_ago_make_room() -> None:
    kept: LruCache[int, str] = LruCache(30, len)
    for key in (1, 2, 3):
        kept.keep(key, "x" * 10)
    assert kept.get(1) == "x" * 10
    kept.keep(4, "y" * 10)
    assert [kept.get(key) is not None for key in (1, 2, 3, 4)] == [True, False, True, True]
    # Kept again, a value takes its room once.
    for _ in range(5):
        kept.keep(4, "z" * 10)
    assert [kept.get(key) for key in (3, 4)] == ["x" * 10, "z" * 10]
    assert (len(kept), kept.size) == (3, 30)


def test_one_that_is_too_large_is_not_kept_and_costs_the_others_no_room() -> None:
    kept: LruCache[int, str] = LruCache(5, len)
    kept.keep(1, "xxx")
    kept.keep(2, "xxxxxx")
    assert (kept.get(1), kept.get(2)) == ("xxx", None)
    # What it replaced is out of date.
    kept.keep(1, "xxxxxx")
    assert (kept.get(1), len(kept), kept.size) == (None, 0, 0)


def test_without_sizes_values_are_counted() -> None:
    kept: LruCache[str, float] = LruCache(2)
    for key in ("a", "b", "a", "c"):
        kept.keep(key, 1.0)
    assert [kept.get(key) is not None for key in ("a", "b", "c")] == [True, False, True]
