"""An item carries a concept if all terms of its label are true of it."""

from __future__ import annotations

import pytest

from reclens.concepts.grouping import LatentLabel
from reclens_gateway.concept_carriers import ConceptCarriers
from reclens_gateway.concept_index import ConceptIndex
from reclens_gateway.item_catalog import ItemCatalog, ItemEntry

ITEMS = ItemCatalog.of(
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


CARRIERS = ConceptCarriers(
    ITEMS,
    ConceptIndex(
        [
            label(0, "noir", "Film-Noir", evidence=("2",)),
            label(1, "forties-noir", "Film-Noir", "1940s", evidence=("1",)),
            label(2, "pair", "Drama Film-Noir", evidence=("1", "3")),
            label(3, "word", "“third”", evidence=("0",)),
            label(4, "one-item", "Toy Story", evidence=("3",)),
            label(5, "own-words", "gloomy alleys", evidence=("0", "3", "gone")),
            label(6, "wordless", evidence=("4",)),
            label(7, "bare", "Animation", evidence=()),
        ]
    ),
)


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
    ],
)
def test_carriers(concept_id: str, rows: set[int]) -> None:
    assert {row for row in range(5) if CARRIERS.count(concept_id, [row])} == rows
    assert CARRIERS.count(concept_id, range(5)) == len(rows)
