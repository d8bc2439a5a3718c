"""Concepts are found by id, words, evidence and firing latents."""

from __future__ import annotations

import pytest

from reclens.errors import InvalidInput, NotFound
from reclens_gateway.concept_index import Concept, ConceptIndex, LatentLabel
from reclens_gateway.item_catalog import ItemCatalog, ItemEntry


def concept(concept_id: str, confidence: float, **fields) -> Concept:
    given = {
        "label": concept_id,
        "description": "",
        "keywords": (),
        "precision": 0.0,
        "recall": 0.0,
        "n_positive": 0,
        "n_negative": 0,
        "latents": (),
        "evidence": (),
        "source": "keywords",
        **fields,
    }
    return Concept(concept_id=concept_id, confidence=confidence, **given)


NOIR = concept("noir", 0.7, label="Film-Noir", keywords=("crime",), evidence=("1", "2"))
CRIME = concept("crime", 0.6, label="Crime", evidence=("3", "1"))
SPACE = concept("space", 0.9, label="Space opera", evidence=("4",))
INDEX = ConceptIndex(
    [NOIR, CRIME, SPACE],
    [
        LatentLabel(0, "noir", "Film-Noir", 0.7),
        LatentLabel(1, "noir", "Film-Noir", 0.5),
        LatentLabel(2, "space", "Space opera", 0.9),
    ],
)
ITEMS = ItemCatalog({"4": ItemEntry("4", "The Crime of Monsieur Lange")})


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
    assert ids(INDEX.firing({0: 0.2, 1: 0.9, 2: 0.5, 7: 3.0})) == ["noir", "space"]
    assert ids(INDEX.firing({0: 0.2, 2: 0.5})) == ["space", "noir"]


def test_unknown_id_comes_with_near_ones() -> None:
    with pytest.raises(NotFound, match="did you mean noir") as caught:
        INDEX.get("Noirr", field="edits[3].concept_id")
    assert caught.value.field == "edits[3].concept_id"
