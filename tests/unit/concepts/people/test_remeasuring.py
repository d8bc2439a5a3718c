"""Concepts that people made, measured on the planted world."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from labelled_at_once import label_latents
from sklearn.metrics import roc_auc_score

from reclens.concepts.labels.labelling import prepare_labelling
from reclens.concepts.people.corrections import measure_by_keywords
from reclens.contracts import ConceptsOptions
from reclens.contracts.tables.concepts import LatentLabel

OPTIONS = ConceptsOptions(seed=3, n_judged=60)


@pytest.fixture(scope="module")
def scale(world) -> np.ndarray:
    return np.linspace(1, 2, world.n_latents)


@pytest.fixture(scope="module")
def measure(world, scale):
    context = prepare_labelling(world.construct, world.verify, world.items, scale, options=OPTIONS)
    return measure_by_keywords(context)


@pytest.fixture(scope="module")
def rows(world, scale) -> list[LatentLabel]:
    return label_latents(world.construct, world.verify, world.items, scale, options=OPTIONS).rows


def test_a_concept_of_the_machine_gets_the_figures_that_it_has(measure, rows):
    concepts: dict[str, list[LatentLabel]] = {}
    for row in rows:
        if row.concept_id is not None:
            concepts.setdefault(row.concept_id, []).append(row)
    assert len(concepts) == 12
    for members in concepts.values():
        found = measure(members)
        assert found.confidence == members[0].concept_confidence
        assert found.recall == members[0].concept_recall
        assert found.auroc == members[0].concept_auroc


def test_the_union_is_judged_by_all_its_keywords(measure, rows, world):
    """Two latents fire for answers full of GenreA or GenreB: only both words tell them all."""
    both = measure([rows[0], rows[1]])
    one = measure([rows[0], replace(rows[1], keywords=rows[0].keywords)])
    assert rows[0].keywords == ("GenreA",)
    assert rows[1].keywords == ("GenreB",)
    assert both.confidence > 0.95 > one.confidence
    # The score counts, weighted by rank, the items of either genre: both have as many.
    tags = np.array([tag in {"GenreA", "GenreB"} for (tag,) in world.items.tags])
    weights = 1 / np.log2(np.arange(world.verify.top_items.shape[1]) + 2)
    score = (tags[world.verify.top_items] * weights).sum(axis=1)
    fires = world.verify.activations[:, :2].toarray().max(axis=1) > 0
    assert both.auroc == pytest.approx(roc_auc_score(fires, score), abs=0.02)


def test_a_label_of_one_item_is_judged_by_that_item(measure, rows, world):
    item = int(world.verify.top_items[0, 0])
    title = world.items.titles[item]
    found = measure([replace(rows[0], label=f"One item: {title}", keywords=(title,))])
    fires = world.verify.activations[:, [0]].toarray().ravel() > 0
    rank = np.argmax(world.verify.top_items == item, axis=1)
    carried = (world.verify.top_items == item).any(axis=1)
    score = carried / np.log2(rank + 2)
    assert found.auroc == pytest.approx(roc_auc_score(fires, score), abs=1e-9)


def test_words_that_no_item_carries_measure_nothing(measure, rows):
    assert measure([replace(rows[0], keywords=("no such word",))]) is None
