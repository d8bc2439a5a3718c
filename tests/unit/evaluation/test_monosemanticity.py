"""All measures of monosemanticity together, on items in the plane and on planted latents."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from reclens.concepts.evidence.cases import Cases
from reclens.contracts.tables.concepts import LatentLabel
from reclens.data.dataset import Items
from reclens.evaluation.monosemanticity import measure_monosemanticity
from reclens.evaluation.similarity import text_vectors
from reclens.evaluation.statistics import Measurement

# Items 0 and 1 point the same way, 2 is at right angles, 3 opposite to 0.
VECTORS = np.array([[1.0, 0.0], [5.0, 0.0], [0.0, 2.0], [-3.0, 0.0]])
ITEMS = Items(
    ["i0", "i1", "i2", "i3"], ["", "", "", ""], [[], [], [], []], [None] * 4, np.ones(4, np.int32)
)


def test_only_interpretable_latents_count_where_asked() -> None:
    # latent 0: cases 0 (strongest), 1, 2; latent 1: cases 3, 4; latent 2: case 2 alone; 3: never.
    activations = [
        [9.0, 0.0, 0.0, 0.0],
        [8.0, 0.0, 0.0, 0.0],
        [1.0, 0.0, 4.0, 0.0],
        [0.0, 6.0, 0.0, 0.0],
        [0.0, 6.0, 0.0, 0.0],
    ]
    cases = Cases(
        np.array(["a", "a", "b", "b", "c"]),
        np.array([[0], [1], [2], [3], [0]], np.int32),
        sparse.csr_matrix(activations),
    )
    labels = [LatentLabel(j, paper_p=p) for j, p in enumerate([0.9, 0.5, 0.8, None])]
    measured = measure_monosemanticity(
        cases, labels, ITEMS, VECTORS, None, interpretable=0.8, seed=0
    )
    chosen = measured.metrics["similarity"]["interpretable"]
    assert chosen["latents"] == 2
    assert chosen["intra"] == pytest.approx(1.0), "latent 2 has no second case"
    assert chosen["intra_distinct"] == pytest.approx(0.0)
    # Latent 0 (item 0, user a): cases of others have items 2, 3 and 0, the last is its own; latent
    # 2 (item 2, user b): items 0, 1, 0, all at right angles. Latent 0: cosines 0 and -1.
    assert -0.5 <= chosen["random_case"] <= 0
    assert chosen["above_random"][0] == pytest.approx(
        measured.table["intra_distinct"][0].as_py() - measured.table["random_case"][0].as_py()
    ), "latent 2 has no case of another user"
    assert chosen["inter"] == pytest.approx(0.0), "items 0 and 2 are at right angles"
    firing = measured.metrics["similarity"]["firing"]
    assert firing["latents"] == 3
    # Pairs of items 0, 3, 2: -1, 0, 0.
    assert firing["inter"] == pytest.approx(-1 / 3)
    # Latent 0: cases 0 and 2, then 1 and 2, all at right angles; latent 1: opposite.
    assert (
        measured.table["coherence"].to_pylist()
        == [pytest.approx(0), pytest.approx(-1)] + [None] * 2
    )
    assert firing["intruder"] == [None, None, None], "nobody has five cases"
    assert firing["intruder_latents"] == 0
    assert measured.table["first_item"].to_pylist() == ["i0", "i3", "i2", None]
    assert measured.table["intra"].to_pylist()[3] is None
    assert measured.metrics["similarity_text"] is None
    assert measured.table["intra_text"].null_count == 4


N_RANDOM = 150


@pytest.fixture(scope="module")
def planted() -> Measurement:
    """Sixty items of six tags, two users each. Latent 0 fires for one tag, the others at random.

    Vectors are drawn at random, so they know nothing of the tags.
    """
    tags = [[f"tag {j // 10}"] for j in range(60)]
    items = Items([f"i{j}" for j in range(60)], [""] * 60, tags, [None] * 60, np.ones(60, np.int32))
    rng = np.random.default_rng(0)
    top = np.tile(np.arange(60), 2)
    fires = rng.uniform(size=(120, 1 + N_RANDOM)) < 0.3
    fires[:, 0] = top < 10
    activations = np.where(fires, rng.uniform(1, 2, fires.shape), 0)
    cases = Cases(
        np.arange(120).astype(str), top[:, None].astype(np.int32), sparse.csr_matrix(activations)
    )
    labels = [LatentLabel(j, paper_p=0.9 if j == 0 else 0.5) for j in range(1 + N_RANDOM)]
    return measure_monosemanticity(
        cases,
        labels,
        items,
        rng.normal(size=(60, 16)),
        text_vectors(items),
        interpretable=0.8,
        seed=0,
    )


def test_a_latent_of_one_tag_is_told_by_text(planted: Measurement) -> None:
    found = planted.metrics["similarity_text"]["interpretable"]
    assert found["latents"] == found["intruder_latents"] == 1
    assert found["intra_distinct"] == pytest.approx(1)
    assert found["coherence"] == pytest.approx(1)
    # Two different items of sixty share a tag with 9 / 59.
    assert found["coherence_random"] == pytest.approx(9 / 59, abs=0.08)
    assert found["intruder"][0] == found["intruder_hard"][0] == 1, "no silent case has the tag"


def test_vectors_that_know_nothing_do_not_tell_it(planted: Measurement) -> None:
    assert abs(planted.metrics["similarity"]["interpretable"]["coherence"]) < 0.2


@pytest.mark.parametrize("by", ["similarity", "similarity_text"])
def test_latents_that_fire_at_random_are_at_chance(planted: Measurement, by: str) -> None:
    found = planted.metrics[by]["firing"]
    values = planted.table["intruder_text" if by.endswith("text") else "intruder"].to_numpy()
    assert np.nanmean(values[1:]) == pytest.approx(1 / 6, abs=0.05)
    for name in ("intruder", "intruder_hard"):
        mean, low, high = found[name]
        assert low < 1 / 6 < high
        assert low < mean < high
    assert found["coherence"] == pytest.approx(found["coherence_random"], abs=0.02)
