"""Values used lately are kept within their room."""

from __future__ import annotations

from reclens_gateway.policies.recent import Recent


def test_those_used_longest_ago_make_room() -> None:
    kept: Recent[int, str] = Recent(max_bytes=30, size=len)
    for key in (1, 2, 3):
        kept.keep(key, "x" * 10)
    assert kept.get(1) == "x" * 10
    kept.keep(4, "y" * 10)
    assert [kept.get(key) is not None for key in (1, 2, 3, 4)] == [True, False, True, True]
    # Kept again, a value takes its room once.
    for _ in range(5):
        kept.keep(4, "z" * 10)
    assert [kept.get(key) for key in (3, 4)] == ["x" * 10, "z" * 10]


def test_one_that_is_too_large_is_not_kept() -> None:
    kept: Recent[int, str] = Recent(max_bytes=5, size=len)
    kept.keep(1, "xxxxxx")
    assert kept.get(1) is None
