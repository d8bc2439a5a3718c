"""Pages of a list: opaque tokens that fit one query of one version, and nothing else."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from reclens.errors import InvalidInput
from reclens.steering.limits import MAX_PAGE_SIZE, check_count

T = TypeVar("T")

_DIGEST = 16


@dataclass(frozen=True)
class Page(Generic[T]):
    """A part of a list."""

    entries: Sequence[T]
    """This page."""
    next_token: str
    """Where to go on; empty on the last page."""


@dataclass(frozen=True)
class Cursor:
    """A page token, opened."""

    version: str
    """Version of what is listed."""
    query: str
    """Digest of what was asked."""
    offset: int
    """Entries before this page."""


def page_size(asked: int, default: int) -> int:
    """Entries to return, ``default`` where 0 is asked.

    Raises:
        InvalidInput: more than a page may have.
    """
    remedy = f"ask for at most {MAX_PAGE_SIZE} and follow next_page_token."
    check_count(asked, MAX_PAGE_SIZE, "entries of a page", field="page_size", remedy=remedy)
    return asked or default


def digest(*query: object) -> str:
    """What was asked, in few characters."""
    text = json.dumps(query, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGEST]


def open_token(token: str, query: str) -> Cursor | None:
    """Open a page token; None where there is none.

    Raises:
        InvalidInput: it was not made for this query.
    """
    if not token:
        return None
    try:
        version, made_for, offset = json.loads(base64.urlsafe_b64decode(token.encode("ascii")))
        cursor = Cursor(str(version), str(made_for), int(offset))
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise unusable_token() from error
    if cursor.query != query or cursor.offset < 0:
        raise unusable_token()
    return cursor


def cut(entries: Sequence[T], size: int, cursor: Cursor) -> Page[T]:
    """The page of ``entries`` at ``cursor``."""
    end = cursor.offset + size
    token = ""
    if end < len(entries):
        token = seal(Cursor(cursor.version, cursor.query, end))
    return Page(entries[cursor.offset : end], token)


def seal(cursor: Cursor) -> str:
    """The page token that opens as ``cursor``."""
    state = json.dumps([cursor.version, cursor.query, cursor.offset], separators=(",", ":"))
    return base64.urlsafe_b64encode(state.encode()).decode()


def unusable_token() -> InvalidInput:
    """The error of a token that was made for something else."""
    return InvalidInput(
        "the page token does not belong to this query.",
        field="page_token",
        remedy="pass next_page_token as it was given, with the other fields unchanged.",
    )
