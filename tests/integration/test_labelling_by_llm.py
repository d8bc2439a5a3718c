"""Labelling by a language model: the labeler's own tasks and workers, and a look-alike of TGI."""

from __future__ import annotations

import signal
import time
from collections import Counter
from typing import Any

import pytest
from labelling_stack import FIRSTS, LLM_CONCURRENCY, LabellingStack, spec
from planted_world import TAGS
from running_lookalike import Lookalike
from running_stack import wait_for

from reclens.concepts.labels.table import read_concepts
from reclens.contracts.tables import CONCEPTS
from reclens.platform.jobs.stop_signal import POLL_SECONDS
from reclens.platform.jobs.view import JobState
from reclens.platform.store.artifacts import ArtifactStore


@pytest.fixture
def stack(labelling: LabellingStack) -> LabellingStack:
    return labelling


@pytest.fixture(autouse=True)
def bucket(artifact_store: ArtifactStore) -> ArtifactStore:
    return artifact_store


def _options(seed: int) -> dict[str, Any]:
    # A model of its own for each test: answers are kept in the bucket that all tests share.
    llm = {"model": f"test-{seed}", "n_judged": 5}
    return {"source": "llm", "judges": ["keywords", "llm"], "llm": llm}


def _asked(tgi: Lookalike) -> Counter[str]:
    return Counter(entry["prompt_hash"] for entry in tgi.requests)


def test_a_model_names_the_latents_and_every_answer_is_paid_once(
    stack: LabellingStack, bucket: ArtifactStore, tgi: Lookalike
):
    view = stack.finish(stack.submit(30, **_options(30)))
    assert view.state is JobState.SUCCEEDED, view
    ref = spec(30, **_options(30)).artifact_ref()
    rows = read_concepts(bucket.fetch(ref, CONCEPTS.file))
    assert [row.label for row in rows[: len(TAGS)]] == TAGS
    assert {(row.source, row.model) for row in rows[: len(TAGS)]} == {("llm", "test-30")}
    metrics = bucket.manifest(ref).metrics
    assert metrics["llm_calls"] == len(tgi.requests) > 2 * len(TAGS)
    assert metrics["llm_prompt_tokens"] > 0
    assert set(_asked(tgi).values()) == {1}
    assert tgi.peak <= LLM_CONCURRENCY

    # Made again from nothing but the kept answers, the same labels cost nothing.
    for name in bucket.objects.list("concept"):
        if name.startswith(("concepts/", "concept-shards/")):
            bucket.objects.delete(name)
    tgi.reset()
    assert stack.finish(stack.submit(30, **_options(30))).state is JobState.SUCCEEDED
    assert tgi.requests == []
    again = bucket.manifest(ref).metrics
    assert (again["llm_calls"], again["llm_cached"]) == (0, metrics["llm_questions"])
    assert read_concepts(bucket.fetch(ref, CONCEPTS.file)) == rows


def test_a_killed_worker_loses_no_label_and_pays_again_for_what_was_in_flight_only(
    stack: LabellingStack, bucket: ArtifactStore, tgi: Lookalike
):
    stack.ask(31, 4, "kill")
    job_id = stack.submit(31, **_options(31))
    assert stack.workers[-1].wait(60) == -signal.SIGKILL
    stack.start_worker()
    assert stack.finish(job_id).state is JobState.SUCCEEDED
    rows = read_concepts(bucket.fetch(spec(31, **_options(31)).artifact_ref(), CONCEPTS.file))
    assert [row.label for row in rows[: len(TAGS)]] == TAGS
    asked = _asked(tgi)
    assert max(asked.values()) <= 2
    # Each of four shards may have had so many answers in flight, or on their way to the cache.
    assert sum(count - 1 for count in asked.values()) <= len(FIRSTS) * LLM_CONCURRENCY
    assert len(asked) > 2 * len(FIRSTS) * LLM_CONCURRENCY


def test_while_the_model_is_away_the_job_waits_and_says_for_what(
    stack: LabellingStack, bucket: ArtifactStore, tgi: Lookalike
):
    tgi.always(status=503)
    job_id = stack.submit(32, **_options(32))
    wait_for(lambda: stack.joblog.show(job_id).state is JobState.RETRYING, "the job to wait")
    view = stack.joblog.show(job_id)
    assert view.waiting is not None
    assert tgi.url in view.waiting.message
    assert "503" in view.waiting.message
    assert not bucket.exists(spec(32, **_options(32)).artifact_ref())
    tgi.reset()
    assert stack.finish(job_id).state is JobState.SUCCEEDED


def test_cancelling_does_not_wait_until_a_slow_model_has_answered_everything(
    stack: LabellingStack, bucket: ArtifactStore, tgi: Lookalike
):
    # Both places are taken by requests that are held, and all else waits for a place.
    tgi.always(hold_until=LLM_CONCURRENCY + 1)
    job_id = stack.submit(34, **_options(34))

    def shards(state: JobState) -> int:
        return sum(shard.state is state for shard in stack.joblog.show(job_id).shards)

    wait_for(lambda: tgi.peak == LLM_CONCURRENCY, "both places to be taken")
    wait_for(lambda: shards(JobState.RUNNING) == len(FIRSTS), "all shards to run")
    stack.joblog.cancel(job_id)
    # By then every worker has looked, as it does each second.
    looked = time.monotonic() + POLL_SECONDS
    wait_for(lambda: time.monotonic() > looked, "workers to look")
    wait_for(lambda: shards(JobState.CANCELLED) >= len(FIRSTS) - LLM_CONCURRENCY, "them to end", 15)
    assert len(tgi.requests) == LLM_CONCURRENCY
    # What is in flight is waited for, as it is paid for; nothing else is asked.
    tgi.always()
    tgi.release()
    assert stack.finish(job_id).state is JobState.CANCELLED
    assert len(tgi.requests) == LLM_CONCURRENCY
    assert not bucket.exists(spec(34, **_options(34)).artifact_ref())
    # The answers are kept.
    first = set(_asked(tgi))
    tgi.reset()
    assert stack.finish(stack.submit(34, **_options(34))).state is JobState.SUCCEEDED
    assert not first & set(_asked(tgi))


def test_a_model_that_refuses_ends_the_job_with_what_to_mend(
    stack: LabellingStack, bucket: ArtifactStore, tgi: Lookalike
):
    tgi.always(status=401)
    view = stack.finish(stack.submit(33, **_options(33)))
    assert view.state is JobState.FAILED
    assert view.error is not None
    assert view.error.type == "LlmRefused"
    assert "RECLENS_LLM__TOKEN" in view.error.message
    assert not bucket.exists(spec(33, **_options(33)).artifact_ref())


TOO_LONG = '{"error": "must have less than 4096 tokens", "error_type": "validation"}'
THOUGHT = '{"choices": [{"message": {"content": null}, "finish_reason": "length"}]}'


@pytest.mark.parametrize(
    ("seed", "body", "said", "remedy"),
    [
        (35, TOO_LONG, "must have less than 4096 tokens", "RECLENS_LLM__DIALECT"),
        (36, THOUGHT, "thinking used up max_tokens", "raise the job's llm.max_tokens"),
    ],
    ids=["refused with status 200", "thinking"],
)
def test_a_job_without_an_answer_ends_once_with_why_and_the_remedy(  # noqa: PLR0917
    stack: LabellingStack,
    bucket: ArtifactStore,
    tgi: Lookalike,
    seed: int,
    body: str,
    said: str,
    remedy: str,
):
    tgi.always(body=body)
    view = stack.finish(stack.submit(seed, **_options(seed)))
    assert view.state is JobState.FAILED
    assert view.error is not None
    assert view.error.type == "LlmRefused"
    assert (view.error.message.count(said), view.error.message.count(remedy)) == (1, 1)
    assert not bucket.exists(spec(seed, **_options(seed)).artifact_ref())
    # Each shard gives up at the third failure of labels or of judgements, with others in flight.
    assert len(tgi.requests) <= len(FIRSTS) * (5 + LLM_CONCURRENCY)
    tgi.reset()
    assert stack.finish(stack.submit(seed, **_options(seed))).state is JobState.SUCCEEDED
