"""From a recommender that is built of known tags, through an autoencoder, back to the tags."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from labelled_at_once import label_latents
from scipy import sparse

from reclens.concepts.evidence.cases import Cases
from reclens.concepts.labels.joining import Labelling
from reclens.contracts import ConceptsOptions
from reclens.data.dataset import Items
from reclens.sae import AutoencoderConfig, train_autoencoder

N_TAGS, ITEMS_PER_TAG, D_MODEL, N_CASES, DEPTH = 40, 20, 32, 6000, 20
TAGS = [f"Tag{index:02d}" for index in range(N_TAGS)]


@pytest.fixture(scope="module")
def items() -> Items:
    """Every item has two tags; which goes with which is random."""
    rng = np.random.default_rng(0)
    n_items = N_TAGS * ITEMS_PER_TAG
    first = np.repeat(np.arange(N_TAGS), ITEMS_PER_TAG)
    second = (first + rng.integers(1, N_TAGS, n_items)) % N_TAGS
    return Items(
        ids=[f"i{index}" for index in range(n_items)],
        titles=[""] * n_items,
        tags=[[TAGS[a], TAGS[b]] for a, b in zip(first, second, strict=True)],
        years=[None] * n_items,
        popularity=np.ones(n_items, np.int32),
    )


@pytest.fixture(scope="module")
def answers(items: Items) -> tuple[Cases, Cases, int]:
    """What the recommender answers, and what an autoencoder sees in it.

    A tag is a direction, an item the sum of its tags' directions, a user the sum of the directions
    of the three tags that they like. The score is the product of the two.
    """
    rng = np.random.default_rng(1)
    directions = rng.standard_normal((N_TAGS, D_MODEL))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    embeddings = np.array(
        [directions[[TAGS.index(tag) for tag in own]].sum(0) for own in items.tags]
    )
    likes = np.zeros((2 * N_CASES, N_TAGS))
    for row in likes:
        row[rng.choice(N_TAGS, size=3, replace=False)] = rng.uniform(0.5, 1.5, size=3)
    x = (likes @ directions + 0.02 * rng.standard_normal((len(likes), D_MODEL))).astype(np.float32)
    top_items = np.argsort(-(x @ embeddings.T), axis=1)[:, :DEPTH].astype(np.int32)

    config = AutoencoderConfig(
        d_model=D_MODEL, n_latents=4 * N_TAGS, k=4, n_epochs=30, dead_after=3000, seed=0
    )
    sae, _ = train_autoencoder(torch.from_numpy(x[:N_CASES]), config)
    codes = sae.encode(torch.from_numpy(x[N_CASES:]))
    fires = np.zeros((N_CASES, config.n_latents), np.float32)
    np.put_along_axis(fires, codes.indices.numpy(), codes.values.clamp(min=0).numpy(), axis=1)
    users = np.array([f"u{row // 10}" for row in range(N_CASES)])
    half = N_CASES // 2
    construct, verify = (
        Cases(users[part], top_items[N_CASES:][part], sparse.csr_matrix(fires[part]))
        for part in (slice(0, half), slice(half, None))
    )
    return construct, verify, config.n_latents


def label(answers: tuple[Cases, Cases, int], items: Items) -> Labelling:
    construct, verify, n_latents = answers
    return label_latents(construct, verify, items, np.ones(n_latents), options=ConceptsOptions())


@pytest.fixture(scope="module")
def labelling(answers: tuple[Cases, Cases, int], items: Items) -> Labelling:
    return label(answers, items)


def test_planted_tags_are_named_and_trusted(labelling: Labelling):
    trusted = {row.label for row in labelling.rows if row.trusted}
    named = [tag for tag in TAGS if tag in trusted]
    assert len(named) >= 0.9 * N_TAGS, sorted(set(TAGS) - trusted)


def test_labels_of_others_have_low_confidence(labelling: Labelling):
    metrics = labelling.metrics
    assert metrics["auroc_median"] > 0.85
    assert metrics["shuffled_auroc_median"] < 0.55
    assert metrics["shuffled_balanced_accuracy_median"] < 0.55


def test_tags_dealt_out_anew_name_next_to_nothing(answers: tuple[Cases, Cases, int], items: Items):
    dealt = np.random.default_rng(2).permutation(len(items))
    shuffled = label(answers, replace(items, tags=[items.tags[index] for index in dealt]))
    assert not any(row.trusted for row in shuffled.rows)
    assert sum(row.label in TAGS for row in shuffled.rows) <= 0.05 * N_TAGS
