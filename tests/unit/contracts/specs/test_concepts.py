"""A labelling divided into shards."""

from __future__ import annotations

import pytest

from reclens.contracts import ConceptShardSpec, ConceptsSpec
from reclens.contracts.specs.concepts import MAX_SHARDS
from reclens.errors import InvalidSpec

INPUTS = {"autoencoder": "autoencoders/0123456789abcdef", "dataset": "datasets/0123456789abcdef"}


def spec(**options: object) -> ConceptsSpec:
    return ConceptsSpec.parse({**INPUTS, **options})


@pytest.mark.parametrize(
    ("n_latents", "size", "ranges"),
    [
        (10, 4, [(0, 4), (4, 8), (8, 10)]),
        (8, 4, [(0, 4), (4, 8)]),
        (3, 256, [(0, 3)]),
        (2, 1, [(0, 1), (1, 2)]),
    ],
)
def test_every_latent_is_in_one_shard(n_latents: int, size: int, ranges: list[tuple[int, int]]):
    shards = ConceptShardSpec.of(spec(shard_latents=size), n_latents)
    assert [(shard.first, shard.stop) for shard in shards] == ranges


def test_a_shard_is_named_by_its_range_and_by_all_that_its_labelling_is_named_by():
    base = ConceptShardSpec.of(spec(shard_latents=4), 8)
    same = ConceptShardSpec.of(spec(shard_latents=4), 8)
    other = ConceptShardSpec.of(spec(shard_latents=4, min_lift=1.5), 8)
    refs = [shard.artifact_ref() for shard in (*base, *other)]
    assert len(set(refs)) == 4
    assert refs[:2] == [shard.artifact_ref() for shard in same]
    assert all(ref.startswith("concept-shards/") for ref in refs)
    assert base[1].labelling() == spec(shard_latents=4)


def test_a_new_version_of_the_labelling_makes_new_shards(monkeypatch: pytest.MonkeyPatch):
    (before,) = ConceptShardSpec.of(spec(), 8)
    old = before.artifact_ref()
    monkeypatch.setattr(ConceptsSpec, "ALGORITHM", ConceptsSpec.ALGORITHM + 1)
    assert before.artifact_ref() != old


def test_an_empty_range_is_refused():
    with pytest.raises(InvalidSpec, match="above first"):
        ConceptShardSpec.parse({**INPUTS, "first": 4, "stop": 4})


def test_too_many_shards_are_refused_with_the_least_size_that_will_do():
    n_latents = MAX_SHARDS * 2 + 1
    with pytest.raises(InvalidSpec, match="at least 3") as caught:
        ConceptShardSpec.of(spec(shard_latents=2), n_latents)
    assert caught.value.field == "shard_latents"
    assert len(ConceptShardSpec.of(spec(shard_latents=3), n_latents)) <= MAX_SHARDS
