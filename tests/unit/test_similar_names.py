"""Names that are like another one, found in bounded time."""

from __future__ import annotations

import random
import string
from time import process_time

import pytest

from reclens.errors import NotFound
from reclens.similar_names import SimilarNames, suggesting

GENRES = ["Drama", "Comedy", "Film-Noir", "Western", "Science Fiction"]


def many(count: int) -> list[str]:
    rng = random.Random(4)
    letters = string.ascii_lowercase
    return ["".join(rng.choices(letters, k=rng.randint(4, 30))) for _ in range(count)]


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("drama", "Drama"),
        ("Dramma", "Drama"),
        ("komedy", "Comedy"),
        ("film noir", "Film-Noir"),
        ("Wetsern", "Western"),
        ("cience fiction", "Science Fiction"),
    ],
)
@pytest.mark.parametrize("others", [0, 100_000])
def test_mistyped_names_are_found_among_however_many(asked: str, meant: str, others: int) -> None:
    assert SimilarNames(GENRES + many(others)).of(asked)[0] == meant


def test_what_is_like_nothing_is_told_nothing() -> None:
    names = SimilarNames(GENRES)
    assert names.of("zzzzzz") == []
    assert names.of("") == []
    assert SimilarNames([]).of("drama") == []
    error = NotFound.named("no.", "zzzzzz", names, field="tag", otherwise="list them.")
    assert error.remedy == "list them."


def test_to_look_for_names_takes_milliseconds_however_many_there_are() -> None:
    alike = ["a" * 90 + f"{number:010d}" for number in range(50_000)]
    names = SimilarNames([*many(50_000), *alike])
    asked = ["a" * 90 + "x" * 10, "a" * 100_000, *many(30)]
    began = process_time()
    for name in asked:
        names.of(name)
    assert (process_time() - began) / len(asked) < 0.03


def test_who_answers_many_at_once_lets_it_look_once() -> None:
    names = SimilarNames(GENRES)
    before = suggesting.set(False)
    assert names.of("drama") == []
    suggesting.reset(before)
    assert names.of("drama") == ["Drama"]
