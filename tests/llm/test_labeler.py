"""The labeler labels a planted dictionary by a real model, which need not do well."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from labelling_stack import N_LATENTS, LabellingStack, spec
from planted_artifacts import commit_planted
from planted_world import planted_world
from servers import redis_server, s3_server

from reclens.concepts.labels.table import read_concepts
from reclens.contracts.tables import CONCEPTS
from reclens.platform.jobs.view import JobState
from reclens.platform.settings.models import S3Settings, StoreSettings
from reclens.platform.store.artifacts import ArtifactStore

OPTIONS = {
    "source": "llm",
    "llm": {
        "model": "SmolLM2-135M-Instruct",
        "n_examples": 3,
        "n_counter_examples": 2,
        "max_tokens": 100,
    },
}


@pytest.fixture
def s3(tmp_path: Path) -> Iterator[S3Settings]:
    with s3_server(tmp_path / "s3") as settings:
        yield settings


@pytest.fixture
def store(s3: S3Settings, tmp_path: Path) -> ArtifactStore:
    store = ArtifactStore.from_settings(StoreSettings(s3=s3, cache_dir=tmp_path / "cache"))
    store.objects.ensure_bucket()
    commit_planted(planted_world(), store, tmp_path / "planted")
    return store


@pytest.fixture
def stack(s3: S3Settings, llama_url: str, tmp_path: Path) -> Iterator[LabellingStack]:
    with redis_server(tmp_path / "redis") as redis:
        url = redis.url.get_secret_value()
        stack = LabellingStack(url, s3, llama_url, tmp_path, dialect="openai")
        stack.start_worker()
        yield stack
        stack.stop()


def test_a_real_model_is_asked_for_every_latent_and_once_only(
    store: ArtifactStore, stack: LabellingStack
):
    view = stack.finish(stack.submit(0, **OPTIONS), seconds=550)
    assert view.state is JobState.SUCCEEDED, view
    ref = spec(0, **OPTIONS).artifact_ref()
    metrics = store.manifest(ref).metrics
    rows = read_concepts(store.fetch(ref, CONCEPTS.file))
    named = [row for row in rows if row.source == "llm"]
    asked = metrics["llm_questions"]
    assert asked == N_LATENTS
    assert asked <= metrics["llm_calls"] <= 2 * asked
    assert metrics["llm_completion_tokens"] > asked
    assert len(named) + metrics["llm_abstained"] == N_LATENTS
    for row in named:
        assert row.label is not None
        assert 1 <= len(row.label.split()) <= 6
        assert row.label.isprintable()
        assert row.evidence_hash is not None
