"""Ranges of latents, labelled one by one and joined."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from labelled_at_once import label_latents

from reclens.concepts.labels.joining import join_latents
from reclens.concepts.labels.labelling import prepare_labelling
from reclens.concepts.labels.shards import from_json, read_shard, to_json, write_shard
from reclens.contracts import ConceptsOptions
from reclens.errors import CorruptArtifact, InvalidInput


def _context(world, **options):
    scale = np.full(world.n_latents, 2.0)
    return prepare_labelling(
        world.construct, world.verify, world.items, scale, options=ConceptsOptions(**options)
    )


@pytest.mark.parametrize("size", [1, 5, 16])
def test_shards_joined_are_the_very_rows_of_one_go(world, size: int, tmp_path: Path):
    options = ConceptsOptions(max_terms=2, n_judged=40)
    scale = np.full(world.n_latents, 2.0)
    whole = label_latents(world.construct, world.verify, world.items, scale, options=options)
    parts = []
    # Last range first, each on a context of its own: as other workers would make them.
    for first in reversed(range(0, world.n_latents, size)):
        latents = range(first, min(first + size, world.n_latents))
        path = tmp_path / f"{first}.parquet"
        write_shard(
            list(_context(world, max_terms=2, n_judged=40).label_by_keywords(latents)), path
        )
        parts = read_shard(path, latents) + parts
    joined = join_latents(_context(world, max_terms=2, n_judged=40), parts)
    assert joined.rows == whole.rows
    assert joined.metrics == whole.metrics
    assert joined.metrics["judged"] == 12


def test_a_latent_survives_json_bit_for_bit(world):
    made = list(_context(world).label_by_keywords(range(world.n_latents)))
    assert any(one.statement is None for one in made)
    assert any("keywords" in one.thresholds for one in made)
    again = [from_json(json.loads(json.dumps(to_json(one)))) for one in made]
    assert again == made


def test_a_join_without_every_latent_is_refused(world):
    context = _context(world)
    made = list(context.label_by_keywords(range(world.n_latents)))
    for wrong in (made[1:], made[:-1], made[:3] + made[4:], [made[1], made[0], *made[2:]]):
        with pytest.raises(InvalidInput, match="16 latents"):
            join_latents(context, wrong)


def test_a_shard_of_other_latents_is_corrupt(world, tmp_path: Path):
    write_shard(list(_context(world).label_by_keywords(range(3, 6))), tmp_path / "shard.parquet")
    with pytest.raises(CorruptArtifact, match="latents 0 to 2"):
        read_shard(tmp_path / "shard.parquet", range(3))
