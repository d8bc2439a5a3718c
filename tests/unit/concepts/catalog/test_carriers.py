"""An item carries a concept if all terms of its label are true of it."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hand_catalog import catalog_of

from reclens.concepts.catalog.carriers import ConceptCarriers
from reclens.concepts.catalog.concepts import ConceptIndex
from reclens.concepts.catalog.items import ItemCatalog, ItemEntry
from reclens.concepts.evidence.item_text import item_terms
from reclens.contracts.tables.concepts import LatentLabel

ITEMS = catalog_of(
    [
        ItemEntry("0", "The Third Man", ("Film-Noir", "Thriller"), 1949),
        ItemEntry("1", "Laura", ("Film-Noir", "Drama"), 1944),
        ItemEntry("2", "Brick", ("Film-Noir",), 2005),
        ItemEntry("3", "Toy Story", ("Animation",), 1995),
        ItemEntry("4", "", (), None),
    ]
)


def label(latent: int, concept_id: str, *keywords: str, evidence: tuple[str, ...]) -> LatentLabel:
    return LatentLabel(latent, concept_id, concept_id, keywords=keywords, evidence_items=evidence)


CONCEPTS = ConceptIndex(
    [
        label(0, "noir", "Film-Noir", evidence=("2",)),
        label(1, "forties-noir", "Film-Noir", "1940s", evidence=("1",)),
        label(2, "pair", "Drama Film-Noir", evidence=("1", "3")),
        label(3, "word", "“third”", evidence=("0",)),
        label(4, "one-item", "Toy Story", evidence=("3",)),
        label(5, "own-words", "gloomy alleys", evidence=("0", "3", "gone")),
        label(6, "wordless", evidence=("4",)),
        label(7, "bare", "Animation", evidence=()),
        # An item without a name is called by its id.
        label(8, "nameless", "4", evidence=("4",)),
    ]
)
CARRIERS = ConceptCarriers(ITEMS, CONCEPTS)


@pytest.mark.parametrize(
    ("concept_id", "rows"),
    [
        ("noir", {0, 1, 2}),
        ("forties-noir", {0, 1}),
        ("pair", {1}),
        ("word", {0}),
        ("one-item", {3}),
        # No item says this: what it was read from carries it.
        ("own-words", {0, 3}),
        ("wordless", {4}),
        ("bare", {3}),
        ("nameless", {4}),
    ],
)
def test_carriers(concept_id: str, rows: set[int]) -> None:
    assert {row for row in range(5) if CARRIERS.count(concept_id, [row])} == rows
    assert CARRIERS.count(concept_id, range(5)) == len(rows)


@pytest.mark.parametrize("concept_id", [one.concept_id for one in CONCEPTS.concepts])
def test_list_of_carriers_is_that_of_looking_at_each_item(concept_id: str) -> None:
    assert sorted(CARRIERS.popular(concept_id, 10)) == [
        row for row in range(len(ITEMS)) if CARRIERS.count(concept_id, [row])
    ]


def test_terms_of_every_kind_are_found_without_reading_each_item() -> None:
    popularity = [30, 25, 25, 15, 2, 3]
    table = pa.table(
        {
            "item_id": [str(row) for row in range(6)],
            "title": ["Alien: Covenant", "Alien", "Space Odd", "Up", None, "2001"],
            "tags": [["Sci Fi", "Horror"], ["Horror"], ["Sci Fi"], ["Drama", "Horror"], [], None],
            "year": pa.array([2017, 1979, 1974, 2009, None, 1979], pa.int16()),
            "popularity": pa.array(popularity, pa.int32()),
        }
    )
    items = ItemCatalog(table)
    entries = [items.entry(row) for row in range(6)]
    texts = {
        term.text
        for row, one in enumerate(entries)
        for term in item_terms(one.title, one.tags, one.year, items.standing(row))
    }
    labels = [label(i, f"c{i}", text, evidence=()) for i, text in enumerate(sorted(texts))]
    carriers = ConceptCarriers(items, ConceptIndex(labels))
    assert {"Horror Sci Fi 2010s", "Popular Sci Fi", "“alien”", "Horror 1979"} <= texts
    for one in labels:
        rows = [row for row in range(6) if carriers.count(one.concept_id or "", [row])]
        expected = sorted(rows, key=lambda row: (-popularity[row], row))
        assert carriers.popular(one.concept_id or "", 10) == expected, one.keywords
        assert carriers.popular(one.concept_id or "", 1) == expected[:1]
