"""Titles: the year apart, the article in front."""

from __future__ import annotations

import pytest

from reclens.data.titles import article_first, take_year


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Heat (1995)", ("Heat", 1995)),
        ("Land Before Time III (1995) (V)", ("Land Before Time III", 1995)),
        ("2001: A Space Odyssey (1968)", ("2001: A Space Odyssey", 1968)),
        ("Seven (Se7en) (1995) ", ("Seven (Se7en)", 1995)),
        ("1984", ("1984", None)),
        ("(1994)", ("(1994)", None)),
        ("Seven (Se7en)", ("Seven (Se7en)", None)),
        ("", ("", None)),
    ],
)
def test_year_is_taken_from_the_end(text: str, expected: tuple[str, int | None]):
    assert take_year(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Godfather, The", "The Godfather"),
        ("Misérables, Les", "Les Misérables"),
        ("Avventura, L'", "L'Avventura"),
        ("Postino, Il (Postman, The)", "Il Postino (The Postman)"),
        ("Good, The Bad and The Ugly, The", "The Good, The Bad and The Ugly"),
        (
            "Martin Guerre (Retour de Martin Guerre, Le)",
            "Martin Guerre (Le Retour de Martin Guerre)",
        ),
        ("Crime, Punishment", "Crime, Punishment"),
        ("Theodore Rex", "Theodore Rex"),
        ("So I Married an Axe, The Murderer", "So I Married an Axe, The Murderer"),
    ],
)
def test_article_comes_first(text: str, expected: str):
    assert article_first(text) == expected
