"""Parts of artifacts and states that are JSON alone, on a real S3 server."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from reclens.contracts import ArtifactKind, ConceptShardSpec, DatasetSpec
from reclens.platform.jobs.checkpoints import CheckpointStore
from reclens.platform.settings.models import S3Settings, StoreSettings
from reclens.platform.store.artifacts import ArtifactStore, ArtifactWriter


def test_shards_are_listed_when_they_are_asked_for_and_not_among_artifacts(
    own_bucket: S3Settings, tmp_path: Path
):
    # In a bucket of its own: other tests leave artifacts that cannot be read.
    own = StoreSettings(s3=own_bucket, cache_dir=tmp_path)
    artifact_store = ArtifactStore.from_settings(own)
    dataset = ArtifactWriter(artifact_store, DatasetSpec(k_core=23))
    dataset.commit({}, 0.0)

    class Alone(ConceptShardSpec):
        def input_refs(self) -> dict[str, str]:
            return {}

    shard = ArtifactWriter(
        artifact_store,
        Alone(autoencoder="autoencoders/0123456789abcdef", dataset=dataset.ref, first=0, stop=2),
    )
    shard.commit({}, 0.0)
    listed = [manifest.artifact for manifest in artifact_store.list()]
    assert listed == [dataset.ref]
    shards = artifact_store.list(ArtifactKind.CONCEPT_SHARDS)
    assert [manifest.artifact for manifest in shards] == [shard.ref]


def test_a_state_without_tensors_is_kept_and_followed_by_one_with_them(
    artifact_store: ArtifactStore,
):
    checkpoints = CheckpointStore(artifact_store.objects, "concept-shards/00000000000000aa")
    assert checkpoints.load() is None
    checkpoints.save({}, {"done": [{"threshold": math.inf}]})
    assert checkpoints.load() == ({}, {"done": [{"threshold": math.inf}]})
    checkpoints.save({"x": np.arange(3)}, {"step": 1})
    found = checkpoints.load()
    assert found is not None
    assert (found[0]["x"].tolist(), found[1]) == ([0, 1, 2], {"step": 1})
    checkpoints.save({}, {"step": 2})
    assert checkpoints.load() == ({}, {"step": 2})
    checkpoints.clear()
    assert checkpoints.load() is None
