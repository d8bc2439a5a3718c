"""Concepts are found by id, words, evidence and firing latents."""

from __future__ import annotations

import pytest
from hand_catalog import catalog_of

from reclens.concepts.catalog.concepts import ConceptIndex
from reclens.concepts.catalog.items import ItemEntry
from reclens.concepts.labels.concepts import Concept
from reclens.contracts.tables.concepts import LatentLabel
from reclens.errors import InvalidInput, NotFound


def row(latent: int, concept_id: str, label: str, confidence: float, **fields) -> LatentLabel:
    return LatentLabel(
        latent, concept_id, label, confidence=confidence, concept_confidence=confidence, **fields
    )


INDEX = ConceptIndex(
    [
        row(0, "noir", "Film-Noir", 0.7, keywords=("crime",), evidence_items=("1", "2")),
        row(1, "noir", "Film-Noir", 0.5),
        row(2, "space", "Space opera", 0.9, evidence_items=("4",)),
        row(3, "crime", "Crime", 0.6, evidence_items=("3", "1")),
        LatentLabel(4),
    ]
)
ITEMS = catalog_of([ItemEntry("4", "The Crime of Monsieur Lange")])


def ids(concepts: list[Concept]) -> list[str]:
    return [found.concept_id for found in concepts]


def test_most_trusted_come_first() -> None:
    assert ids(INDEX.concepts) == ["space", "noir", "crime"]


def test_label_weighs_more_than_keyword_and_keyword_more_than_title() -> None:
    assert ids(INDEX.search("CRIME", ITEMS)) == ["crime", "noir", "space"]
    assert ids(INDEX.search("film crime", ITEMS)) == ["noir", "crime", "space"]
    assert INDEX.search("musical", ITEMS) == []


def test_search_without_a_word_is_refused() -> None:
    with pytest.raises(InvalidInput, match="word"):
        INDEX.search(" -- ", ITEMS)


def test_evidence_is_ordered_by_its_place() -> None:
    assert ids(INDEX.evidenced_by("1")) == ["noir", "crime"]
    assert INDEX.evidenced_by("9") == []


def test_firing_concepts_follow_their_strongest_latent() -> None:
    assert ids(INDEX.firing({0: 0.2, 1: 0.9, 2: 0.5, 4: 3.0})) == ["noir", "space"]
    assert ids(INDEX.firing({0: 0.2, 2: 0.5, 3: 0.0})) == ["space", "noir"]


def test_unlabelled_latent_has_no_label() -> None:
    assert INDEX.label(4) is None
    label = INDEX.label(1)
    assert label is not None
    assert (label.concept_id, label.confidence) == ("noir", 0.5)


def test_unknown_id_comes_with_near_ones() -> None:
    with pytest.raises(NotFound, match="did you mean noir") as caught:
        INDEX.get("Noirr", field="edits[3].concept_id")
    assert caught.value.field == "edits[3].concept_id"


def test_a_word_that_is_said_again_and_again_counts_once() -> None:
    assert ids(INDEX.search("crime " * 166, ITEMS)) == ["crime", "noir", "space"]
