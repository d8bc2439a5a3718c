"""Titles as people say them: articles in front, the year apart."""

from __future__ import annotations

import re

_YEAR = re.compile(r"\s*\((\d{4})\)(?:\s*\(V\))?\s*$")  # "(V)" marks video releases in MovieLens
_ARTICLES = "The|A|An|La|Le|Les|L'|Il|El|Los|Las|Der|Die|Das|Det|Den"
_TRAILING_ARTICLE = re.compile(rf"([^()]+), ({_ARTICLES})(?=\s*(?:\(|\)|$))")


def take_year(title: str) -> tuple[str, int | None]:
    """Divide ``Heat (1995)`` into ``Heat`` and 1995; no year at the end gives None."""
    match = _YEAR.search(title)
    if match is None or match.start() == 0:
        return title.strip(), None
    return title[: match.start()].strip(), int(match[1])


def article_first(title: str) -> str:
    """Turn ``Godfather, The`` into ``The Godfather``, in the brackets of a second title too."""
    return _TRAILING_ARTICLE.sub(_swap, title)


def _swap(match: re.Match[str]) -> str:
    name, article = match[1], match[2]
    glue = "" if article.endswith("'") else " "
    return f"{article}{glue}{name}"
