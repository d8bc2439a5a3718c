"""Labels back to items."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from reclens.concepts.evidence.vocabulary import build_vocabulary
from reclens.contracts.tables.concepts import LatentLabel
from reclens.data.dataset import Items
from reclens.evaluation.carriers import Carriers


@pytest.fixture
def carriers() -> Carriers:
    items = Items(
        ids=["a", "b", "c", "d"],
        titles=["Heat", "", "Alien", "Heat"],
        tags=[["Crime"], ["Crime", "War"], ["Horror", "War"], ["Drama"]],
        years=[1995, 1994, 1979, 1986],
        popularity=np.ones(4, np.int32),
    )
    return Carriers(items, build_vocabulary(items, min_items=1))


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
def test_items_that_carry_a_label(carriers, label, keywords, expected) -> None:
    found = carriers.of(row(label, *keywords))
    assert found is not None
    assert found.tolist() == expected


@pytest.mark.parametrize("source", ["human", "llm"])
def test_a_name_that_begins_like_an_items_is_read_by_its_keywords(carriers, source) -> None:
    named = LatentLabel(0, label="One item: War", keywords=("War",), source=source)
    found = carriers.of(named)
    assert found is not None
    assert found.tolist() == [1, 2]


def test_an_items_name_that_people_kept_among_keywords_is_the_item(carriers) -> None:
    merged = LatentLabel(0, label="Space", keywords=("War", "Alien"), source="human")
    assert carriers.of(merged).tolist() == [1, 2]
    assert carriers.of(replace(merged, keywords=("Heat",))).tolist() == [0, 3], "both of that name"
    assert carriers.of(replace(merged, keywords=())) is None
    assert carriers.of(row("Heat", "Heat")).tolist() == [0, 3]


def test_labels_of_the_same_keywords_share_their_items(carriers) -> None:
    assert carriers.of(row("War", "War")) is carriers.of(row("Battles", "War"))


def test_no_label_and_no_carrier_are_left_out(carriers) -> None:
    assert carriers.of(row(None)) is None
    assert carriers.of(row("Western", "Western")) is None
    rows = [
        LatentLabel(0),
        LatentLabel(1, label="War", keywords=("War",)),
        LatentLabel(2, label="Western", keywords=("Western",)),
    ]
    assert list(carriers.of_all(rows)) == [1]
