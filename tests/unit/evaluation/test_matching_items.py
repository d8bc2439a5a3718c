"""Labels back to items, and items that something is said of."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from reclens.concepts.evidence.vocabulary import build_vocabulary
from reclens.contracts.tables.concepts import LatentLabel
from reclens.data.dataset import Items
from reclens.evaluation.matching_items import described_items, matching_items

ITEMS = Items(
    ids=["a", "b", "c", "d"],
    titles=["Heat", "", "Alien", "Heat"],
    tags=[["Crime"], ["Crime", "War"], ["Horror", "War"], ["Drama"]],
    years=[1995, 1994, 1979, 1986],
    popularity=np.ones(4, np.int32),
)
VOCABULARY = build_vocabulary(ITEMS, min_items=1)


def matching(one: LatentLabel) -> list[int]:
    """Items that match it; none where it is left out."""
    return list(matching_items([one], ITEMS, VOCABULARY).get(0, []))


def row(label: str | None, *keywords: str) -> LatentLabel:
    return LatentLabel(0, label=label, keywords=keywords)


@pytest.mark.parametrize(
    ("label", "keywords", "expected"),
    [
        ("Crime", ("Crime",), [0, 1]),
        ("1990s", ("1990s",), [0, 1]),
        ("Crime 1990s", ("Crime 1990s",), [0, 1]),
        ("Crime War", ("Crime War",), [1]),
        ("Horror · Drama", ("Horror", "Drama"), [2, 3]),
        ("“heat”", ("“heat”",), [0, 3]),
        ("One item: Alien", ("Alien",), [2]),
        ("One item: b", ("b",), [1]),
    ],
)
def test_items_that_carry_a_label(label, keywords, expected) -> None:
    assert matching(row(label, *keywords)) == expected


@pytest.mark.parametrize("source", ["human", "llm"])
def test_a_name_that_begins_like_an_items_is_read_by_its_keywords(source) -> None:
    named = LatentLabel(0, label="One item: War", keywords=("War",), source=source)
    assert matching(named) == [1, 2]


def test_an_items_name_that_people_kept_among_keywords_is_the_item() -> None:
    merged = LatentLabel(0, label="Space", keywords=("War", "Alien"), source="human")
    assert matching(merged) == [1, 2]
    assert matching(replace(merged, keywords=("Heat",))) == [0, 3], "both of that name"
    assert matching(replace(merged, keywords=())) == []
    assert matching(row("Heat", "Heat")) == [0, 3]


def test_labels_of_the_same_keywords_share_their_items() -> None:
    rows = [row("War", "War"), replace(row("Battles", "War"), latent=1)]
    found = matching_items(rows, ITEMS, VOCABULARY)
    assert found[0] is found[1]


def test_no_label_and_no_matching_item_are_left_out() -> None:
    rows = [
        LatentLabel(0),
        LatentLabel(1, label="War", keywords=("War",)),
        LatentLabel(2, label="Western", keywords=("Western",)),
    ]
    assert list(matching_items(rows, ITEMS, VOCABULARY)) == [1]


def test_a_tag_that_nearly_all_items_carry_says_nothing() -> None:
    tags = [["category 0"] for _ in range(20)]
    tags[3] = ["category 7"]
    items = Items(
        ids=[str(item) for item in range(20)],
        titles=["", " ", "Tea"] + [""] * 17,
        tags=tags,
        years=[None] * 20,
        popularity=np.ones(20, np.int32),
    )
    assert described_items(items) == {"items": 20, "titled": 1, "tagged": 1}
