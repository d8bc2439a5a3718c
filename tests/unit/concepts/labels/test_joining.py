"""Copies get one label, and nested latents their parents."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from planted_world import World
from scipy import sparse

from reclens.concepts.labels.concepts import group_concepts
from reclens.concepts.labels.joining import Directions, join_latents
from reclens.concepts.labels.labelling import LabellingContext, prepare_labelling
from reclens.contracts import ConceptsOptions

COPY, PART = 16, 17


@pytest.fixture(scope="module")
def context(world: World) -> LabellingContext:
    """The planted world with a copy of latent 0, and a latent that fires within latent 1."""

    def more(activations: sparse.csr_matrix) -> sparse.csr_matrix:
        z = activations.toarray()
        copy = 0.9 * z[:, [0]]
        part = z[:, [1]] * (z[:, [1]] > 1.2)
        return sparse.csr_matrix(np.hstack([z, copy, part]), dtype=np.float32)

    construct, verify = (
        replace(cases, activations=more(cases.activations))
        for cases in (world.construct, world.verify)
    )
    scale = np.full(construct.n_latents, 2.0)
    return prepare_labelling(construct, verify, world.items, scale, options=ConceptsOptions())


def _directions(*, cosine: float) -> Directions:
    W_dec = np.eye(18, 20, dtype=np.float32)
    W_dec[COPY] = 0
    W_dec[COPY, 0], W_dec[COPY, 19] = cosine, np.sqrt(1 - cosine**2)
    return Directions(W_dec, levels=[0] * 16 + [1] * 2)


def _joined(context: LabellingContext, *, cosine: float, misnamed: bool):
    latents = list(context.label_by_keywords(range(18)))
    if misnamed:
        # As if the copy had been given another latent's label.
        row = replace(latents[2].row, latent=COPY)
        latents[COPY] = replace(latents[2], row=row)
    return join_latents(context, latents, directions=_directions(cosine=cosine))


def test_a_copy_takes_the_label_that_tells_best(context: LabellingContext):
    labelling = _joined(context, cosine=0.9, misnamed=True)
    own, copy = labelling.rows[0], labelling.rows[COPY]
    assert (own.label, copy.label) == ("GenreA", "GenreA")
    assert (own.duplicate_group, copy.duplicate_group) == (0, 0)
    assert labelling.metrics["copies"] == 2
    # Measured for itself, not with the label that it had; and its own evidence supports it.
    assert copy.confidence is not None
    assert copy.confidence > 0.9
    # All 25 items of the genre are among its 60 strongest.
    assert copy.support == own.support == pytest.approx(25 / 60)
    (concept,) = [one for one in group_concepts(labelling.rows) if one.label == "GenreA"]
    assert set(concept.latents) == {0, COPY}


def test_latents_that_point_elsewhere_are_no_copies(context: LabellingContext):
    labelling = _joined(context, cosine=0.3, misnamed=True)
    assert labelling.rows[COPY].label == "GenreC"
    assert labelling.rows[COPY].duplicate_group is None
    assert labelling.metrics["copies"] == 0


def test_a_part_has_the_latent_that_it_fires_within_as_its_parent(context: LabellingContext):
    labelling = _joined(context, cosine=0.3, misnamed=False)
    assert labelling.rows[PART].parent == 1
    assert labelling.rows[2].parent is None
    assert labelling.metrics["with_parent"] == 2  # the copy fires within latent 0 as well
