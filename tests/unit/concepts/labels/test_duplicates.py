"""Copies and parents, planted by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file
from scipy import sparse

from reclens.concepts.labels.duplicates import (
    choose_group_label,
    duplicate_groups,
    members,
    nesting,
    read_decoder,
)
from reclens.contracts import AutoencoderConfig
from reclens.errors import CorruptArtifact, InvalidInput

N_CASES = 200


def turned(degrees: float, length: float = 1.0) -> list[float]:
    angle = np.deg2rad(degrees)
    return [length * np.cos(angle), length * np.sin(angle)]


def firing(*rows: slice, n: int = N_CASES) -> np.ndarray:
    values = np.zeros(n)
    for inside in rows:
        values[inside] = 1 + np.arange(n)[inside] % 7
    return values


@pytest.fixture
def dictionary() -> tuple[sparse.csr_matrix, np.ndarray]:
    """0, 1 and 2 are copies in a chain; 3 fires with them and points elsewhere; 4 points like them
    and fires when they do not; 5 and 6 are copies that fire too seldom; 7 never fires."""
    own = firing(slice(0, 60))
    columns = [
        own,
        own * 3,
        np.where(np.arange(N_CASES) < 55, own, 0) + firing(slice(60, 64)),
        own,
        firing(slice(100, 160)),
        firing(slice(181, 200)),
        firing(slice(181, 200)),
        np.zeros(N_CASES),
    ]
    directions = [0, 40, 80, 180, 10, 300, 300, 0]
    W_dec = np.array([turned(angle, 1 + latent) for latent, angle in enumerate(directions)])
    return sparse.csr_matrix(np.stack(columns, axis=1)), W_dec


def test_copies_are_joined_along_chains(dictionary: tuple[sparse.csr_matrix, np.ndarray]) -> None:
    activations, W_dec = dictionary
    # Cosine of 40 degrees is 0.77; 0 and 2 are 80 degrees apart (0.17) and meet in 1.
    groups = duplicate_groups(activations, W_dec, min_cosine=0.7, min_coactivation=0.7)
    assert groups.tolist() == [0, 0, 0, 3, 4, 5, 6, 7]
    assert [group.tolist() for group in members(groups)] == [[0, 1, 2]]


def test_both_thresholds_bind(dictionary: tuple[sparse.csr_matrix, np.ndarray]) -> None:
    activations, W_dec = dictionary
    alone = list(range(8))
    for cosine, coactivation in ((0.8, 0.7), (0.7, 1.01)):
        found = duplicate_groups(
            activations, W_dec, min_cosine=cosine, min_coactivation=coactivation
        )
        assert found.tolist() == alone
    assert members(np.arange(8)) == []
    # 0 and 1 fire alike but for their scale; 2 differs in nine cases.
    groups = duplicate_groups(activations, W_dec, min_cosine=0.7, min_coactivation=0.999)
    assert groups.tolist() == [0, 0, *range(2, 8)]


def test_coactivation_is_the_correlation_over_all_cases() -> None:
    rng = np.random.default_rng(0)
    shared = rng.gamma(1.0, size=300) * (rng.uniform(size=300) < 0.4)
    activations = np.stack([shared + 0.6 * rng.gamma(1.0, size=300) for _ in range(2)], axis=1)
    r = np.corrcoef(activations.T)[0, 1]
    W_dec = np.ones((2, 3))
    for offset, expected in ((-1e-6, [0, 0]), (1e-6, [0, 1])):
        found = duplicate_groups(
            sparse.csr_matrix(activations), W_dec, min_cosine=0.5, min_coactivation=r + offset
        )
        assert found.tolist() == expected


def test_a_large_dictionary_is_searched_in_blocks() -> None:
    """1,500 latents that fire in twenty cases of their own; the last one copies the first."""
    n = 1500
    columns = np.tile(np.arange(n), 20)
    columns[columns == n - 1] = 0
    rows = np.arange(len(columns))
    values = np.ones(len(rows))
    last = rows[columns == 0]
    activations = sparse.csr_matrix(
        (
            np.concatenate([values, np.ones(len(last))]),
            (np.concatenate([rows, last]), np.concatenate([columns, np.full(len(last), n - 1)])),
        ),
        shape=(len(rows), n),
    )
    W_dec = np.random.default_rng(0).normal(size=(n, 8))
    W_dec[-1] = W_dec[0] * 2
    groups = duplicate_groups(activations, W_dec)
    assert [group.tolist() for group in members(groups)] == [[0, n - 1]]


def test_a_group_gets_the_label_that_tells_best_when_it_fires() -> None:
    fires = np.array([True, True, False, False])
    backwards, blind, right = (
        np.array(scores, float) for scores in ([0, 0, 1, 1], [1, 1, 1, 1], [1, 2, 1, 0])
    )
    # AUROC 0, 1/2 and 7/8.
    assert choose_group_label([backwards, blind, right], fires) == 2
    assert choose_group_label([backwards, blind], fires) == 1
    assert choose_group_label([right, right * 2], fires) == 0, "of equals the first"
    with pytest.raises(InvalidInput, match="a group needs a label"):
        choose_group_label([], fires)


def test_a_child_finds_its_parent_in_an_earlier_level() -> None:
    # Of 400 cases 0 fires in 100 and 1 in 80 of these; both are of the first level.
    n = 400
    columns = [
        firing(slice(0, 100), n=n),
        firing(slice(0, 80), n=n),
        firing(slice(0, 20), n=n),  # within 0 and 1, points more like 1
        firing(slice(70, 95), n=n),  # 10 of 25 within 1, all within 0
        firing(slice(90, 130), n=n),  # 10 of 40 within 0
        firing(slice(0, 30), n=n),  # within 0 and 1, points away from both
        firing(slice(0, 19), n=n),  # too seldom
        firing(slice(0, 20), n=n),  # of the third level, within 2, 0 and 1
    ]
    W_dec = np.array([turned(angle) for angle in (0, 30, 20, 30, 10, 180, 0, 20)])
    levels = np.array([0, 0, 1, 1, 1, 1, 1, 2])
    activations = sparse.csr_matrix(np.stack(columns, axis=1))
    parents = nesting(levels, W_dec, activations)
    assert parents.tolist() == [-1, -1, 1, 0, -1, -1, -1, 2]
    # 0 fires in a quarter of all cases, so it can be above that by a factor of 4 at most; 1 by 5.
    assert nesting(levels, W_dec, activations, min_lift=4.5).tolist() == [
        *[-1, -1, 1, -1],
        *[-1, -1, -1, 2],
    ]
    assert (nesting(np.zeros(8, int), W_dec, activations) == -1).all()


def test_levels_of_a_configuration() -> None:
    config = AutoencoderConfig.parse(
        {"kind": "matryoshka", "n_latents": 8, "k": 1, "matryoshka_levels": [0.25, 0.5, 1.0]}
    )
    assert config.latent_levels == [0, 0, 1, 1, 2, 2, 2, 2]
    assert AutoencoderConfig.parse({"n_latents": 3, "k": 1}).latent_levels == [0, 0, 0]


def test_shapes_must_fit() -> None:
    activations = sparse.csr_matrix(np.ones((3, 4)))
    with pytest.raises(InvalidInput, match="W_dec is of 5 latents, the activations are of 4"):
        duplicate_groups(activations, np.ones((5, 2)))
    with pytest.raises(InvalidInput, match="levels is of 3 latents"):
        nesting(np.zeros(3, int), np.ones((4, 2)), activations)


def test_decoder_is_read_without_torch(tmp_path: Path) -> None:
    W_dec = np.arange(6, dtype=np.float32).reshape(3, 2)
    path = tmp_path / "weights.safetensors"
    save_file({"W_dec": W_dec, "W_enc": W_dec.T.copy()}, path)
    assert read_decoder(path).tolist() == W_dec.tolist()
    save_file({"W_enc": W_dec}, path)
    with pytest.raises(CorruptArtifact, match="no decoder"):
        read_decoder(path)
    path.write_bytes(b"nothing")
    with pytest.raises(CorruptArtifact, match="no decoder"):
        read_decoder(path)
    with pytest.raises(CorruptArtifact, match="no decoder"):
        read_decoder(tmp_path / "absent")
