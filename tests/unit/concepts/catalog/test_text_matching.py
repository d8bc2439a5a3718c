"""Words find items by tag, time, concept and title, in this order."""

from __future__ import annotations

import pytest
from hand_catalog import catalog_of

from reclens.concepts.catalog.concepts import ConceptIndex
from reclens.concepts.catalog.items import ItemEntry
from reclens.concepts.catalog.text_matching import WeightedItems, fold, match_text
from reclens.contracts.tables.concepts import LatentLabel
from reclens.errors import InvalidInput, NotFound

ITEMS = catalog_of(
    [
        ItemEntry("heat", "Heat", ("Action", "Crime", "Drama"), 1995),
        ItemEntry("amelie", "Amélie\u2019s Day", ("Comedy",), 2001),
        ItemEntry("burn", "Slow Burn", ("Film-Noir", "Crime"), 1946),
        ItemEntry("bare", ""),
        ItemEntry("crimes", "Crimes of the Heart", ("Children's",), 1986),
        *(ItemEntry(f"x{i}", "", ("Drama",), 2010 + i) for i in range(12)),
    ]
)
CONCEPTS = ConceptIndex(
    [LatentLabel(0, "c", "Gritty heists", keywords=("Crime",), evidence_items=("heat", "gone"))]
)


def found(text: str) -> dict[str, float]:
    match = match_text(text, ITEMS, CONCEPTS)
    names = [ITEMS.entry(row).item_id for row in match.rows]
    return dict(zip(names, match.weights, strict=True))


def match(text: str) -> WeightedItems:
    return match_text(text, ITEMS, CONCEPTS)


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("COMEDIES", {"amelie"}),
        ("filmnoir", {"burn"}),
        ("film-noir movies", {"burn"}),
        ("childrens", {"crimes"}),
        ("90s", {"heat"}),
        ("1940s", {"burn"}),
        ("2001", {"amelie"}),
        ("gritty", {"heat"}),
        ("amelie", {"amelie"}),
        ("Amélie's", {"amelie"}),
        ("hearts", {"crimes"}),
    ],
)
def test_word_is_found_however_it_is_written(text: str, ids: set[str]) -> None:
    assert set(found(text)) == ids


def test_word_of_a_tag_is_not_looked_for_in_titles() -> None:
    assert set(found("crime")) == {"heat", "burn"}


def test_unmatched_words_are_told_as_they_were_written() -> None:
    assert match("zebras and crime on ZEBRAS in xylophones").unmatched == ["zebras", "xylophones"]


def test_items_with_all_words_come_first_and_rare_words_weigh_more() -> None:
    weights = found("crime dramas")
    assert weights["heat"] == 1 == max(weights.values())
    # Two of 17 items are Crime, thirteen are Drama: ln(1 + 17/2) and ln(1 + 17/13).
    assert weights["burn"] == pytest.approx(2.2513 / (2.2513 + 0.8362), abs=1e-3)
    assert weights["x0"] == pytest.approx(0.8362 / (2.2513 + 0.8362), abs=1e-3)


def test_fewer_words_do_where_few_items_have_all_and_else_not() -> None:
    assert len(found("drama")) == 13
    # Every drama of the 2010s has both words, and they are enough.
    assert set(found("dramas of the 10s")) == {f"x{i}" for i in range(10)}


def test_text_that_finds_nothing_is_refused() -> None:
    with pytest.raises(NotFound, match="zebra"):
        match("zebra")
    for text in ("", " the of ", "?!"):
        with pytest.raises(InvalidInput, match="no word"):
            match(text)


@pytest.mark.parametrize(
    ("plural", "folded"),
    [
        ("comedies", "comedy"),
        ("thrillers", "thriller"),
        ("boss", "boss"),
        ("virus", "virus"),
        ("1940s", "1940s"),
        ("gas", "gas"),
        ("movies", fold("movie")),
    ],
)
def test_plurals_fold(plural: str, folded: str) -> None:
    assert fold(plural) == folded
