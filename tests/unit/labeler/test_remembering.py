"""A workbench that computes no keyword label twice."""

from __future__ import annotations

import numpy as np
import pytest
from planted_world import TAGS, planted_world

from reclens.concepts import labelling
from reclens.contracts import ConceptsOptions
from reclens_labeler.stages.remembering import remembering


def test_labels_are_the_same_and_computed_once(monkeypatch: pytest.MonkeyPatch):
    world = planted_world()
    plain = labelling.prepare_workbench(
        world.construct,
        world.verify,
        world.items,
        np.full(world.n_latents, 2.0, np.float32),
        options=ConceptsOptions(),
    )
    computed: list[int] = []
    choose = labelling.choose_labels

    def noting(*arguments, latents, **options):
        for latent, label in zip(
            latents, choose(*arguments, latents=latents, **options), strict=True
        ):
            computed.append(latent)
            yield label

    whole = list(plain.keyword_labels(range(world.n_latents)))
    monkeypatch.setattr(labelling, "choose_labels", noting)
    bench = remembering(plain)
    assert bench.n_latents == world.n_latents
    assert list(bench.keyword_labels([3, 1, 3])) == [whole[3], whole[1], whole[3]]
    # Two that go on by turns, as threads may.
    first, second = bench.keyword_labels([1, 4, 5, 6]), bench.keyword_labels([6, 5, 9])
    assert [next(first), next(second), next(first)] == [whole[1], whole[6], whole[4]]
    assert [*second, *first] == [whole[5], whole[9], whole[5], whole[6]]
    assert set(computed) == {1, 3, 4, 5, 6, 9}
    before = len(computed)
    assert list(bench.keyword_labels([9, 6, 5, 4, 3, 1]))[-1] == whole[1]
    assert len(computed) == before
    assert whole[3] is not None
    assert TAGS[3] in bench.keyword_row(3, whole[3]).keywords
