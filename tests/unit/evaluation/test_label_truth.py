"""Labels against tags: counts by hand, and a label that fits by chance."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse
from scipy.stats import pearsonr

from reclens.concepts.evidence.vocabulary import Term, TermKind, Vocabulary, build_vocabulary
from reclens.contracts.tables.concepts import LatentLabel
from reclens.data.dataset import Items
from reclens.evaluation.label_truth import TagTruth, measure_label_truth, point_biserial


def shelf(
    tags: list[list[str]],
    held_out: list[dict[str, int]] | None = None,
    years: list[int | None] | None = None,
) -> Items:
    n = len(tags)
    return Items(
        [f"i{j}" for j in range(n)],
        [""] * n,
        tags,
        years or [None] * n,
        np.ones(n, np.int32),
        held_out_tag_users=held_out,
    )


def of(items: Items) -> Vocabulary:
    return build_vocabulary(items, min_items=1)


def label(*keywords: str, latent: int = 0, p: float | None = None) -> LatentLabel:
    text = " · ".join(keywords)
    return LatentLabel(latent, concept_id="c", label=text, keywords=keywords, paper_p=p)


def truth_of(items: Items, *labels: LatentLabel, min_items: int = 1) -> TagTruth:
    return TagTruth(items, build_vocabulary(items, min_items=min_items), labels)


def carried(items: Items, row: LatentLabel, *, min_items: int = 1) -> list[int] | None:
    found = truth_of(items, row, min_items=min_items).matching(row)
    return None if found is None else found.tolist()


@pytest.fixture
def records() -> Items:
    """Record 0 is popular: with record 1 and its likes it would have more than a third of all.
    Record 2 is little known."""
    items = shelf(
        [["jazz"], ["jazz", "hard rock"], ["hard rock"], ["pop"], ["jazz"], ["pop"], []],
        years=[1981, 1990, 1989, None, 1995, 1995, 1981],
    )
    items.titles[:] = ["Blue Night", "Night 1", "Night Sky, Part 1", "Night Sky 2", "", "", "Moon"]
    items.popularity[:] = [12, 11, 3, 11, 11, 11, 11]
    return items


KINDS: dict[TermKind, tuple[str, list[int] | None]] = {
    TermKind.TAG: ("hard rock", [1, 2]),
    TermKind.DECADE: ("1980s", None),
    TermKind.POPULARITY: ("Popular", None),
    TermKind.YEAR: ("1981", None),
    TermKind.TAG_DECADE: ("jazz 1980s", [0]),
    TermKind.TAG_PAIR: ("hard rock jazz", [1]),
    TermKind.TAG_YEAR: ("jazz 1995", [4]),
    TermKind.TAG_POPULARITY: ("Popular jazz", [0]),
    TermKind.TAG_PAIR_DECADE: ("hard rock jazz 1990s", [1]),
    TermKind.SERIES: ("“Night Sky”", None),
    TermKind.WORD: ("“night”", None),
}


@pytest.mark.parametrize("kind", TermKind)
def test_every_kind_of_keyword_is_judged_by_all_that_it_says(
    records: Items, kind: TermKind
) -> None:
    text, expected = KINDS[kind]
    assert Term(kind, text) in of(records).terms
    assert carried(records, label(text)) == expected


def test_the_less_popular_and_pairs_with_a_decade_are_told_apart(records: Items) -> None:
    assert carried(records, label("Little known hard rock")) == [2]
    assert carried(records, label("hard rock 1980s", "pop")) == [2, 3, 5], "alternatives"
    assert carried(records, label("hard rock jazz 1990s", "pop")) == [1, 3, 5]
    assert carried(records, label("polka")) is None
    assert carried(records, LatentLabel(0)) is None
    assert not truth_of(records).independent


def test_a_label_is_judged_by_all_of_its_keywords_or_not_at_all(records: Items) -> None:
    assert carried(records, label("jazz", "“night”")) is None
    assert carried(records, label("1980s", "jazz")) is None
    # An item called like a tag is no tag; what people say is read by the keywords beside it.
    records.titles[3] = "jazz"
    one = LatentLabel(0, label="One item: jazz", keywords=("jazz",))
    assert carried(records, one) is None
    assert carried(records, replace(one, source="human")) == [0, 1, 4]
    assert carried(records, LatentLabel(0, label="Of people", source="human")) is None


def test_a_tag_is_no_pair_of_the_same_words_and_pairs_of_the_same_words_are_one() -> None:
    items = shelf([["acid jazz"], ["acid", "jazz"], ["acid jazz", "acid", "jazz"], ["acid"]])
    assert carried(items, label("acid jazz")) == [0, 2], "the tag"
    # Where too few items have the tag, the words are those of the pair.
    rarer = shelf([["acid jazz"], ["acid", "jazz"], ["acid", "jazz"], ["acid"]])
    assert carried(rarer, label("acid jazz"), min_items=2) == [1, 2]
    alike = shelf([["a b", "c"], ["a", "b c"], ["a", "c"], ["a b"]])
    assert carried(alike, label("a b c")) == [0, 1]


def test_time_and_standing_are_the_items_own_and_the_tag_is_other_peoples() -> None:
    items = shelf(
        [["jazz"], ["jazz"], ["pop"], ["jazz"]],
        [{"pop": 1}, {"jazz": 1}, {"jazz": 1, "pop": 1}, {"jazz": 1}],
        years=[1981, 1982, 1983, 1990],
    )
    items.popularity[:] = [20, 1, 20, 20]
    assert carried(items, label("jazz 1980s")) == [1, 2]
    assert carried(items, label("jazz 1981")) == []
    assert Term(TermKind.TAG_POPULARITY, "Little known jazz") in of(items).terms
    assert carried(items, label("Little known jazz")) == [1]


def test_held_out_taggers_are_the_truth_where_there_are_any() -> None:
    many = {f"x{j}": 5 for j in range(10)}
    items = shelf([["jazz"], ["jazz"], ["pop"]], [{"jazz": 1, "pop": 1}, {"jazz": 4, **many}, {}])
    assert truth_of(items).independent
    # Ten tags were given to item 1 more often than this one.
    assert carried(items, label("jazz")) == [0]
    # Nobody else gives the tag: the label is judged, and wrong everywhere.
    assert carried(shelf([["jazz"]], [{"pop": 1}]), label("jazz")) == []


def test_point_biserial_is_the_correlation_with_zero_and_one() -> None:
    values = np.array([3.0, 1.0, 0.0, 0.0, 2.0])
    carries = np.array([True, True, False, False, False])
    assert point_biserial(carries, values) == pytest.approx(
        pearsonr(carries.astype(float), values)[0]
    )
    # By hand: means 2 and 2/3, deviation sqrt(2.8 - 1.44) over all, shares 2/5 and 3/5.
    expected = (2 - 2 / 3) / np.sqrt(2.8 - 1.44) * np.sqrt(2 / 5 * 3 / 5)
    assert point_biserial(carries, values) == pytest.approx(expected)
    assert point_biserial(np.zeros(5, bool), values) == 0
    assert point_biserial(carries, np.zeros(5)) == 0


def test_purity_is_over_the_strongest_distinct_items() -> None:
    # Sixty items; the first six and every second one from 20 on have the tag. A latent fires for
    # items 0 to 29, the lower the stronger, and once more, weakly, for item 0.
    tags = [["jazz"] if j < 6 or (j >= 20 and j % 2 == 0) else ["pop"] for j in range(60)]
    top = np.array([*range(60), 0, -1])
    values = np.where(top < 30, 100.0 - top, 0)
    values[60:] = [1, 1000]
    activations = sparse.csc_matrix(np.stack([values, values], axis=1))
    labels = [label("jazz", p=0.9), label("pop", latent=1, p=0.1)]
    measured = measure_label_truth(
        activations, top, labels, shelf(tags), of(shelf(tags)), interpretable=0.8, seed=0
    )
    column = {name: measured.table[name].to_pylist() for name in measured.table.column_names}
    assert column["purity_10"] == [pytest.approx(0.6), pytest.approx(0.4)]
    assert column["purity_20"] == [pytest.approx(0.3), pytest.approx(0.7)]
    assert column["purity_50"] == [None, None], "only thirty items"
    hit = np.array([tags[item] == ["jazz"] for item in top[:61]], float)
    assert column["point_biserial"][0] == pytest.approx(pearsonr(hit, values[:61])[0])
    # With two labels each control has the other's.
    assert column["shuffled_purity_20"] == [pytest.approx(0.7), pytest.approx(0.3)]
    assert column["shuffled_point_biserial"][0] == pytest.approx(column["point_biserial"][1])
    found = measured.metrics["label_truth"]
    assert found["labelled"]["latents"] == 2
    assert found["interpretable"]["latents"] == 1
    assert found["labelled"]["purity_20"]["median"][0] == pytest.approx(0.5)
    assert found["interpretable"]["purity_20"]["above_shuffled"][0] == pytest.approx(-0.4)
    assert found["labelled"]["purity_50"] == {
        "latents": 0,
        "median": [None] * 3,
        "shuffled": None,
        "above_shuffled": [None] * 3,
    }


def test_items_without_any_tag_in_the_truth_say_nothing() -> None:
    top = np.arange(22)
    held_out = [{"jazz": 1} if j % 2 else {} for j in range(22)]
    items = shelf([["jazz"]] * 21 + [[]], held_out)
    activations = sparse.csc_matrix(np.arange(22, 0, -1.0)[:, None])
    measured = measure_label_truth(
        activations,
        top,
        [label("jazz")],
        items,
        of(items),
        interpretable=0.8,
        seed=0,
    )
    assert measured.table["purity_10"].to_pylist() == [1.0]
    assert measured.table["purity_20"].to_pylist() == [None], "eleven are known"


def test_without_a_label_of_tags_nothing_is_judged() -> None:
    activations = sparse.csc_matrix(np.ones((3, 1)))
    items = shelf([[], [], []])
    measured = measure_label_truth(
        activations, np.arange(3), [LatentLabel(0)], items, of(items), interpretable=0.8, seed=0
    )
    assert measured.metrics["label_truth"]["labelled"]["latents"] == 0
    assert measured.table["point_biserial"].null_count == 1


def test_labels_that_tags_cannot_tell_of_are_counted_and_left_out(records: Items) -> None:
    labels = [
        label("jazz", p=0.9),
        label("jazz", "1980s", latent=1, p=0.9),
        label("1980s", latent=2, p=0.1),
        label("“night”", "Popular", latent=3, p=0.9),
        LatentLabel(4),
        label("pop", latent=5),
    ]
    activations = np.ones((7, 6))
    activations[:, 5] = 0
    measured = measure_label_truth(
        sparse.csc_matrix(activations),
        np.arange(7),
        labels,
        records,
        of(records),
        interpretable=0.8,
        seed=0,
    )
    found = measured.metrics["label_truth"]
    counts = ("latents", "without_tag", "partly")
    assert [found["labelled"][one] for one in counts] == [1, 2, 1], "one does not fire"
    assert [found["interpretable"][one] for one in counts] == [1, 1, 1]
    judged = [value is not None for value in measured.table["point_biserial"].to_pylist()]
    assert judged == [True, False, False, False, False, False]


def test_a_label_that_fits_by_chance_holds_by_its_own_tags_alone() -> None:
    """Tags are given at random by one half of the users, and at random again by the other. Each of
    a hundred latents fires for fifteen items and is labelled by the tag that fits them best."""
    rng = np.random.default_rng(0)
    n_items, n_tags = 200, 60
    given = rng.uniform(size=(2, n_items, n_tags)) < 0.12
    names = np.array([f"tag {letter}" for letter in map(chr, range(200, 200 + n_tags))])
    tags = [list(names[one]) for one in given[0]]
    held_out = [dict.fromkeys(names[one].tolist(), 1) for one in given[1]]
    activations = np.zeros((n_items, 100))
    labels = []
    for latent in range(100):
        fires = rng.choice(n_items, size=15, replace=False)
        activations[fires, latent] = rng.uniform(1, 2, size=15)
        labels.append(label(names[given[0][fires].sum(axis=0).argmax()], latent=latent))

    def gain(items: Items) -> list[float]:
        measured = measure_label_truth(
            sparse.csc_matrix(activations),
            np.arange(n_items),
            labels,
            items,
            of(items),
            interpretable=0.8,
            seed=0,
        )
        return measured.metrics["label_truth"]["labelled"]["purity_10"]["above_shuffled"]

    assert gain(shelf(tags))[1] > 0.15, "as if the labels were right"
    assert abs(gain(shelf(tags, held_out))[0]) < 0.06
