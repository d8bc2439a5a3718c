"""Page tokens fit one query of one version and nothing else."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reclens.errors import InvalidInput
from reclens_gateway.calls.paging import Cursor, cut, digest, open_token, page_size


@given(st.integers(0, 50), st.integers(1, 20))
def test_pages_together_are_the_list_once_and_in_order(n: int, size: int) -> None:
    query, entries = digest("list"), list(range(n))
    seen: list[int] = []
    cursor: Cursor | None = Cursor("v1", query, 0)
    while cursor is not None:
        page = cut(entries, size, cursor)
        seen += page.entries
        cursor = open_token(page.next_token, query)
        assert cursor is None or cursor.version == "v1"
    assert seen == entries


def test_token_made_for_another_query_is_refused() -> None:
    token = cut([1, 2], 1, Cursor("v1", digest("a"), 0)).next_token
    with pytest.raises(InvalidInput) as caught:
        open_token(token, digest("b"))
    assert caught.value.field == "page_token"


def _encoded(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode()


@pytest.mark.parametrize(
    "token",
    [
        "?",
        "\N{CLAPPER BOARD}",
        "AAAA",
        _encoded(None),
        _encoded([]),
        _encoded({"a": 1}),
        _encoded(["v1", digest("a"), -1]),
        _encoded(["v1", digest("a"), "x"]),
        _encoded(["v1", digest("a"), 1e400]),
        base64.urlsafe_b64encode(b"[" * 100_000).decode(),
    ],
)
def test_token_that_was_never_given_out_is_refused(token: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        open_token(token, digest("a"))
    assert caught.value.field == "page_token"


def test_page_has_the_default_size_where_none_is_asked_and_never_too_many() -> None:
    assert (page_size(0, default=50), page_size(7, default=50)) == (50, 7)
    with pytest.raises(InvalidInput):
        page_size(1001, default=50)
