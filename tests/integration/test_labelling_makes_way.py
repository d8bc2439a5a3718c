"""Shards that wait for a language model leave threads to jobs of other kinds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from labelling_stack import LLM_CONCURRENCY, LabellingStack, spec
from planted_artifacts import pipeline
from planted_world import TAGS
from running_lookalike import Lookalike
from running_stack import wait_for
from servers import redis_server

from reclens.concepts.labels.table import read_concepts
from reclens.contracts import ReleaseSpec
from reclens.contracts.specs.release import RELEASE_PUBLISH
from reclens.contracts.tables import CONCEPTS
from reclens.platform.jobs.view import JobState
from reclens.platform.settings.models import S3Settings
from reclens.platform.store.artifacts import ArtifactStore

_THREADS = 4
_LLM = {"source": "llm", "judges": ["keywords", "llm"], "llm": {"model": "slow", "n_judged": 5}}
# Eight shards for four threads.
_OPTIONS = {**_LLM, "shard_latents": 2}


@pytest.fixture
def stack(
    labelling: LabellingStack, s3: S3Settings, tgi: Lookalike, tmp_path: Path
) -> Iterator[LabellingStack]:
    """A worker whose shards make way after their first request, on the artifacts of all tests."""
    with redis_server(tmp_path / "redis") as redis:
        stack = LabellingStack(
            redis.url.get_secret_value(), s3, tgi.url, tmp_path, RECLENS_SEGMENT_SECONDS="1e-9"
        )
        stack.start_worker()
        yield stack
        tgi.reset()
        stack.stop()


def _release(concepts: str) -> ReleaseSpec:
    made = {stage.name: stage.artifact for stage in pipeline().plan()}
    return ReleaseSpec(
        name="meanwhile",
        recommender=made["recommender"],
        autoencoder=made["autoencoder"],
        concepts=concepts,
    )


def test_a_release_is_published_while_more_shards_than_threads_wait_for_a_slow_model(
    stack: LabellingStack, artifact_store: ArtifactStore, tgi: Lookalike
):
    assert stack.finish(stack.submit(40)).state is JobState.SUCCEEDED
    concepts = spec(40).artifact_ref()

    tgi.always(hold_until=LLM_CONCURRENCY + 1)
    labelling = stack.submit(41, **_OPTIONS)

    def running() -> int:
        shards = stack.joblog.show(labelling).shards
        return sum(shard.state is JobState.RUNNING for shard in shards)

    wait_for(lambda: tgi.peak == LLM_CONCURRENCY, "the model to be busy")
    wait_for(lambda: running() == _THREADS, "every thread to have a shard")
    release = stack.joblog.submit(RELEASE_PUBLISH.task, _release(concepts).canonical())
    # The model answers some questions, too few for any shard to end: its two latents take six.
    # Then it is busy again.
    tgi.behave({}, {}, {})
    tgi.release()
    view = stack.finish(release)
    assert view.state is JobState.SUCCEEDED, view
    assert artifact_store.releases.head("meanwhile").concepts == concepts
    shards = stack.joblog.show(labelling).shards
    assert not any(shard.state.final for shard in shards)

    tgi.always()
    tgi.release()
    assert stack.finish(labelling).state is JobState.SUCCEEDED
    # Left and taken up again many times, and every question was asked once.
    asked = Counter(entry["prompt_hash"] for entry in tgi.requests)
    assert set(asked.values()) == {1}
    assert stack.runs(41)[0] > 2
    ref = spec(41, **_OPTIONS).artifact_ref()
    rows = read_concepts(artifact_store.fetch(ref, CONCEPTS.file))
    assert [row.label for row in rows[: len(TAGS)]] == TAGS
