"""Labels back to items."""

from __future__ import annotations

import numpy as np
import pytest

from reclens.concepts.grouping import LatentLabel
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
    return Carriers(items, min_items=1)


def row(label: str | None, *keywords: str) -> LatentLabel:
    return LatentLabel(0, label=label, keywords=keywords)


@pytest.mark.parametrize(
    ("label", "keywords", "expected"),
    [
        ("Crime", ("Crime",), [True, True, False, False]),
        ("1990s", ("1990s",), [True, True, False, False]),
        ("Crime 1990s", ("Crime 1990s",), [True, True, False, False]),
        ("Crime War", ("Crime War",), [False, True, False, False]),
        ("Horror · Drama", ("Horror", "Drama"), [False, False, True, True]),
        ("“heat”", ("“heat”",), [True, False, False, True]),
        ("One item: Alien", ("Alien",), [False, False, True, False]),
        ("One item: b", ("b",), [False, True, False, False]),
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
    assert found.tolist() == [False, True, True, False]


def test_no_label_and_no_carrier_are_left_out(carriers) -> None:
    assert carriers.of(row(None)) is None
    assert carriers.of(row("Western", "Western")) is None
    rows = [
        LatentLabel(0),
        LatentLabel(1, label="War", keywords=("War",)),
        LatentLabel(2, label="Western", keywords=("Western",)),
    ]
    assert list(carriers.of_all(rows)) == [1]
