import unicodedata
from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse
from scipy.special import comb

from reclens.concepts.evidence import vocabulary as vocabulary_module
from reclens.concepts.evidence.cases import Cases
from reclens.concepts.evidence.item_text import (
    LITTLE_KNOWN,
    POPULAR,
    Term,
    TermKind,
    item_terms,
    popularity_standing,
)
from reclens.concepts.evidence.latent_evidence import gather_evidence
from reclens.concepts.evidence.term_statistics import UserDraws, term_statistics
from reclens.concepts.evidence.vocabulary import build_vocabulary
from reclens.data.dataset import Items


def _items(tags, years=None, titles=None):
    n_items = len(tags)
    return Items(
        ids=[str(index) for index in range(n_items)],
        titles=titles or [""] * n_items,
        tags=tags,
        years=years or [None] * n_items,
        popularity=np.ones(n_items, np.int32),
    )


def _cases(top_items, activations):
    top = np.array(top_items, np.int32)
    users = np.array([f"u{row}" for row in range(len(top))])
    return Cases(users, top, sparse.csr_matrix(np.array(activations, np.float32)))


def test_terms_are_tags_times_pairs_and_words():
    items = _items(
        [["Film-Noir", "Crime"], ["Film-Noir"], ["Crime", "Film-Noir"], []],
        years=[1944, 1947, 1944, None],
        titles=["Dark City", "The Dark Corner", "", ""],
    )
    vocabulary = build_vocabulary(items, min_items=2)
    assert vocabulary.terms == [
        Term(TermKind.TAG, "Crime"),
        Term(TermKind.TAG, "Film-Noir"),
        Term(TermKind.DECADE, "1940s"),
        Term(TermKind.YEAR, "1944"),
        Term(TermKind.TAG_DECADE, "Crime 1940s"),
        Term(TermKind.TAG_DECADE, "Film-Noir 1940s"),
        Term(TermKind.TAG_PAIR, "Crime Film-Noir"),
        Term(TermKind.TAG_YEAR, "Crime 1944"),
        Term(TermKind.TAG_YEAR, "Film-Noir 1944"),
        Term(TermKind.TAG_PAIR_DECADE, "Crime Film-Noir 1940s"),
        Term(TermKind.WORD, "“dark”"),
    ]
    carried = vocabulary.membership.toarray()
    assert carried[0].tolist() == [1] * 11
    assert carried[1].tolist() == [0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 1]
    assert carried[3].tolist() == [0] * 11


@pytest.mark.parametrize(
    ("title", "found"),
    [
        ("星の列車", {"星", "列車"}),
        ("科幻電影 2001", {"科幻", "幻電", "電影"}),
        ("となりのトトロ", {"となりの", "トトロ"}),
        ("사랑의 집", {"사랑의"}),
        ("Дом у реки", {"дом", "реки"}),  # noqa: RUF001,
        ("بيت الريح", {"بيت", "الريح"}),
        ("हिन्दी फ़िल्में", {"हिन्दी", "फ़िल्में"}),
        ("บ้านริมน้ำ", {"บ้านริมน้ำ"}),
        ("Café Noir 2: l'Été_bleu", {"café", "noir", "été", "bleu"}),
        ("X2000 The End", {"the", "end"}),
    ],
)
def test_titles_in_any_script_have_words(title: str, found: set[str]):
    terms = item_terms(title, [], None, "")
    words = {term.text[1:-1] for term in terms if term.kind == TermKind.WORD}
    assert words == {unicodedata.normalize("NFC", word) for word in found}


def test_series_are_what_titles_share_before_part_and_subtitle():
    titles = ["Star Trek", "Star Trek III: The Search", "Star Trek: First Contact", "Alien 3", "X"]
    vocabulary = build_vocabulary(_items([[]] * 5, titles=titles), min_items=3)
    series = vocabulary.terms.index(Term(TermKind.SERIES, "“Star Trek”"))
    assert vocabulary.membership[:, [series]].toarray().ravel().tolist() == [1, 1, 1, 0, 0]


def test_popular_items_have_a_third_of_all_interactions_and_little_known_ones_a_tenth():
    # Of 100 interactions the first has 30, with the second it would be 50; the last two have 10.
    assert popularity_standing(np.array([30, 20, 20, 20, 5, 5])) == [
        POPULAR,
        "",
        "",
        "",
        LITTLE_KNOWN,
        LITTLE_KNOWN,
    ]
    assert popularity_standing(np.array([7, 7, 7])) == ["", "", ""]
    assert popularity_standing(np.array([0, 0])) == ["", ""]


def test_a_vocabulary_is_bounded_and_drops_rare_combinations_first(monkeypatch):
    monkeypatch.setattr(vocabulary_module, "MAX_TERMS", 3)
    items = _items([["A", "B"], ["A", "B"], ["A"], []], years=[1990] * 4)
    kept = build_vocabulary(items, min_items=2).terms
    assert kept == [
        Term(TermKind.TAG, "A"),
        Term(TermKind.TAG, "B"),
        Term(TermKind.TAG_DECADE, "A 1990s"),
    ]


def _statistics(items, cases, *, min_items=1, n_evidence=5, min_support=0.1):
    vocabulary = build_vocabulary(items, min_items=min_items)
    answers = cases.item_weights(len(items))
    return vocabulary, term_statistics(
        gather_evidence(cases, len(items), n_evidence=n_evidence),
        vocabulary,
        draws=UserDraws(cases),
        answer_terms=sparse.csc_matrix(answers @ vocabulary.membership),
        min_support=min_support,
    )


def test_share_lift_and_tfidf_have_the_hand_worked_values():
    # Answers of one item. The latent fires 3 on item 0 (A), 1 on item 2 (B); silent on 1, 3.
    items = _items([["A"], ["B"], ["B"], ["B"]])
    cases = _cases([[0], [1], [2], [3]], [[3], [0], [1], [0]])
    vocabulary, statistics = _statistics(items, cases)
    assert vocabulary.terms[0].text == "A"
    assert statistics.background == pytest.approx([1 / 4, 3 / 4])
    # Item 2 exceeds its usual share of answers no more than by chance: 1/4 of either.
    assert statistics.terms.tolist() == [0]
    assert statistics.share == pytest.approx([3 / 4])
    assert statistics.lift == pytest.approx([3])
    # One term an item, so A = 1: log(1 + 4) and log(1 + 4/3).
    assert statistics.inverse_frequency == pytest.approx([np.log(5), np.log(7 / 3)])
    assert statistics.ctfidf == pytest.approx([0.75 * np.log(5)])


def test_a_term_must_be_more_than_chance_over_items():
    # 40 users, an item each. The latent fires for 20 of them, all with A.
    fires = [[1] if index < 20 else [0] for index in range(40)]
    cases = _cases([[i] for i in range(40)], fires)
    _, found = _statistics(_items([["A"]] * 20 + [["B"]] * 20), cases, n_evidence=30)
    assert found.terms.tolist() == [0]
    assert found.support.tolist() == [1.0]
    assert found.significant.tolist() == [True]
    # Where all but two items carry A, a draw of twenty has none without it in one case of four.
    assert comb(38, 20) / comb(40, 20) > 0.2
    _, found = _statistics(_items([["A"]] * 38 + [["B"]] * 2), cases, n_evidence=30)
    assert not found.significant.any()


def test_a_term_must_be_more_than_chance_over_users():
    # The same forty cases; now they are of two users, one of whom is answered with A.
    cases = _cases([[i] for i in range(40)], [[1] if i < 20 else [0] for i in range(40)])
    of_two = replace(cases, user_ids=np.repeat(["u", "v"], 20))
    items = _items([["A"]] * 20 + [["B"]] * 20)
    _, found = _statistics(items, of_two, n_evidence=30)
    assert found.support.tolist() == [1.0]
    assert not found.significant.any()


def test_evidence_takes_one_case_per_top_item():
    cases = _cases([[0], [0], [0], [1]], [[1], [5], [2], [3]])
    evidence = gather_evidence(cases, 2, n_evidence=10)
    assert evidence.cases.toarray().tolist() == [[0, 5, 0, 3]]
    assert evidence.n_cases.tolist() == [4]
    assert evidence.top_item.tolist() == [0]
    assert evidence.top_shares.toarray()[0] == pytest.approx([8 / 11, 3 / 11])


def test_evidence_adds_weaker_cases_spread_over_the_rest():
    n_cases = 100
    cases = _cases([[i] for i in range(n_cases)], [[n_cases - i] for i in range(n_cases)])
    chosen = np.nonzero(gather_evidence(cases, n_cases, n_evidence=10).cases.toarray()[0])[0]
    assert chosen[:10].tolist() == list(range(10))
    assert len(chosen) == 15
    assert chosen[10] < 30
    assert chosen[-1] > 70
