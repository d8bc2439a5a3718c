"""Labels against tags: counts by hand, and a label that fits by chance."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse
from scipy.stats import pearsonr

from reclens.concepts.grouping import LatentLabel
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


def label(*keywords: str, latent: int = 0, p: float | None = None) -> LatentLabel:
    text = " · ".join(keywords)
    return LatentLabel(latent, concept_id="c", label=text, keywords=keywords, paper_p=p)


def test_keywords_are_tags_pairs_and_tags_with_a_decade() -> None:
    items = shelf(
        [["jazz"], ["jazz", "hard rock"], ["hard rock"], ["pop"]], years=[1981, 1990, 1989, None]
    )
    truth = TagTruth.of(items)

    def carried(*keywords: str) -> list[int] | None:
        carries = truth.carriers(label(*keywords))
        return None if carries is None else np.nonzero(carries)[0].tolist()

    assert carried("jazz") == [0, 1]
    assert carried("hard rock jazz") == [1], "a pair"
    assert carried("jazz 1980s") == [0]
    assert carried("hard rock 1980s", "pop") == [2, 3], "keywords are alternatives"
    assert carried("jazz", "“night”") == [0, 1], "a word of a title is no tag"
    assert carried("“night”") is None
    assert carried("1980s") is None
    assert truth.carriers(LatentLabel(0)) is None
    assert not truth.independent


def test_held_out_taggers_are_the_truth_where_there_are_any() -> None:
    many = {f"x{j}": 5 for j in range(10)}
    items = shelf([["jazz"], ["jazz"], ["pop"]], [{"jazz": 1, "pop": 1}, {"jazz": 4, **many}, {}])
    truth = TagTruth.of(items)
    assert truth.independent
    carries = truth.carriers(label("jazz"))
    assert carries is not None
    # Ten tags were given to item 1 more often than this one.
    assert carries.tolist() == [True, False, False]
    # Nobody else gives the tag: the label is judged, and wrong everywhere.
    only = TagTruth.of(shelf([["jazz"]], [{"pop": 1}])).carriers(label("jazz"))
    assert only is not None
    assert not only.any()


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
    measured = measure_label_truth(activations, top, labels, shelf(tags), interpretable=0.8, seed=0)
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
    activations = sparse.csc_matrix(np.arange(22, 0, -1.0)[:, None])
    measured = measure_label_truth(
        activations,
        top,
        [label("jazz")],
        shelf([["jazz"]] * 22, held_out),
        interpretable=0.8,
        seed=0,
    )
    assert measured.table["purity_10"].to_pylist() == [1.0]
    assert measured.table["purity_20"].to_pylist() == [None], "eleven are known"


def test_without_a_label_of_tags_nothing_is_judged() -> None:
    activations = sparse.csc_matrix(np.ones((3, 1)))
    measured = measure_label_truth(
        activations, np.arange(3), [LatentLabel(0)], shelf([[], [], []]), interpretable=0.8, seed=0
    )
    assert measured.metrics["label_truth"]["labelled"]["latents"] == 0
    assert measured.table["point_biserial"].null_count == 1


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
            interpretable=0.8,
            seed=0,
        )
        return measured.metrics["label_truth"]["labelled"]["purity_10"]["above_shuffled"]

    assert gain(shelf(tags))[1] > 0.15, "as if the labels were right"
    assert abs(gain(shelf(tags, held_out))[0]) < 0.06
