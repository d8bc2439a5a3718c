"""Probes on attributes whose place in the latents is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from reclens.errors import InvalidInput
from reclens.sae.analysis.sparse_probing import class_separation, sparse_probe

CASES, LATENTS, WIDTH = 2000, 40, 16
WHERE = 7


@pytest.fixture
def planted() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Codes of which column 7 fires exactly with the attribute, their sum as representation."""
    rng = np.random.default_rng(0)
    codes = rng.uniform(0.5, 1.5, (CASES, LATENTS)) * (rng.random((CASES, LATENTS)) < 0.1)
    labels = codes[:, WHERE] > 0
    raw = codes @ rng.normal(size=(LATENTS, WIDTH))
    return codes, raw, labels, rng.random(CASES) < 0.7


def test_one_latent_that_is_the_attribute_tells_it_all(
    planted: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
) -> None:
    codes, raw, labels, train = planted
    probes = sparse_probe(codes, raw, labels, train)
    assert probes.latents[1].features == (WHERE,)
    assert probes.latents[1].auroc == 1
    assert probes.latents[1].balanced_accuracy == 1
    assert probes.dimensions[1].auroc < 0.85
    assert probes.dimensions[1].auroc < probes.dimensions[5].auroc < probes.full.auroc
    assert probes.full.features == ()
    assert probes.positive_share == labels[~train].mean()


def test_an_attribute_of_two_latents_needs_two(
    planted: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
) -> None:
    codes, raw, _, train = planted
    labels = (codes[:, 3] > 0) | (codes[:, 20] > 0)
    probes = sparse_probe(codes, raw, labels, train)
    assert set(probes.latents[2].features) == {3, 20}
    assert probes.latents[2].auroc == 1
    # One of two equal causes: half of the positives stand out, the rest are as the negatives.
    assert probes.latents[1].auroc == pytest.approx(0.75, abs=0.04)


def test_an_attribute_that_nothing_tells_stays_at_chance(
    planted: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
) -> None:
    codes, raw, _, train = planted
    labels = np.random.default_rng(5).random(CASES) < 0.3
    probes = sparse_probe(codes, raw, labels, train)
    for probe in (*probes.latents.values(), *probes.dimensions.values(), probes.full):
        assert probe.auroc == pytest.approx(0.5, abs=0.08)


def test_held_out_cases_choose_nothing(
    planted: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
) -> None:
    codes, raw, labels, train = planted
    leaked = codes.copy()
    leaked[:, 0] = 0
    leaked[~train, 0] = labels[~train]
    assert sparse_probe(leaked, raw, labels, train).latents[1].features == (WHERE,)


def test_compressed_rows_give_the_same(
    planted: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
) -> None:
    codes, raw, labels, train = planted
    dense = sparse_probe(codes, raw, labels, train, n_features=(1, 3))
    compressed = sparse_probe(sparse.csr_array(codes), raw, labels, train, n_features=(1, 3))
    assert compressed == dense
    assert sorted(dense.latents) == [1, 3]


def test_separation_worked_by_hand() -> None:
    features = sparse.csr_array(np.array([[1.0, 5, 2], [3, 5, 0], [5, 5, 2], [7, 5, 0]]))
    labels = np.array([True, True, False, False])
    # Means 2 and 6, deviation sqrt(5); a constant; means 1 and 1.
    np.testing.assert_allclose(class_separation(features, labels), [4 / np.sqrt(5), 0, 0])


@pytest.mark.parametrize("side", ["training", "held-out"])
def test_a_side_without_both_classes_is_refused(
    planted: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray], side: str
) -> None:
    codes, raw, labels, train = planted
    labels = labels & (~train if side == "training" else train)
    with pytest.raises(InvalidInput, match=f"0 {side} cases"):
        sparse_probe(codes, raw, labels, train)


def test_different_numbers_of_cases_are_refused(
    planted: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
) -> None:
    codes, raw, labels, train = planted
    with pytest.raises(InvalidInput, match="numbers of cases differ"):
        sparse_probe(codes, raw[1:], labels, train)
