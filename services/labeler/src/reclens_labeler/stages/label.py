"""Stage: one range of latents to labelled, measured rows that wait to be joined."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from reclens.concepts.labels.labelling import (
    LabelledLatent,
    Labeller,
    LabellingContext,
)
from reclens.concepts.labels.llm_usage import Usage
from reclens.concepts.labels.shards import from_json, to_json, write_shard
from reclens.concepts.llm.chat import ChatAnswer, ChatRequest, LlmClient
from reclens.concepts.llm.failures import check_usage
from reclens.concepts.llm.labelling import LlmLabeller
from reclens.contracts import ConceptShardSpec, Progress
from reclens.errors import InvalidInput, LlmInterrupted
from reclens.platform.jobs.context import JobContext
from reclens.platform.llm.answer_cache import AnswerStore
from reclens.platform.llm.client import HttpLlmClient
from reclens.platform.settings.models import LlmSettings
from reclens_labeler.stages.context import labelling_context

SHARD = "shard.parquet"
"""Name of the one object of a shard."""
LLM_SEGMENT_SECONDS = 30.0
"""A shard that asks a language model makes way for other jobs this often: it mostly waits, and
would keep a thread from releases and edits meanwhile."""


def run(spec: ConceptShardSpec, job: JobContext) -> dict[str, Any]:
    """Label the latents of the range from the ``construct`` users, judge them on ``verify`` users.

    Object made: ``shard.parquet``.

    Raises:
        InvalidInput: the range lies outside the dictionary.
        MissingData: the codes hold no construct or no verify user.
        MalformedData: codes and data set, or codes and latents, do not fit.
        NotReady: the judge ``embedding`` is asked for and its model is not installed.
        LlmUnavailable, LlmRefused: a language model is asked for and does not answer, or has
            valid answers to (nearly) no question.
    """
    job.progress(Progress(stage="read"))
    context = labelling_context(spec.labelling(), job.store)
    if spec.stop > context.n_latents:
        raise InvalidInput(
            f"the dictionary has {context.n_latents} latents, the range ends at {spec.stop}.",
            field="stop",
            remedy="submit reclens.concepts.label.v1, which divides them itself.",
        )
    with labeller_of(spec, context, job) as labeller:
        labelling = RangeLabelling(labeller, spec.latents)
        job.drive(labelling, segment_seconds=_segment_seconds(spec, job))
    check_usage(usage_of(labelling.done))
    path = job.folder / SHARD
    write_shard(labelling.done, path)
    job.add(path)
    rows = [one.row for one in labelling.done]
    return {
        "latents": len(rows),
        "labelled": sum(row.label is not None for row in rows),
        "judged": sum(row.confidence is not None for row in rows),
        **llm_metrics(labelling.done, job.settings.llm),
    }


@contextmanager
def labeller_of(
    spec: ConceptShardSpec, context: LabellingContext, job: JobContext
) -> Iterator[Labeller]:
    """The labeller that ``spec`` asks for; a language model is reached only where it does."""
    if not spec.asks_llm:
        yield context.label_by_keywords
        return
    client = HttpLlmClient(job.settings.llm, stop=job.stop_signal)
    try:
        yield LlmLabeller(
            context,
            TimeBoxedClient(client, _segment_seconds(spec, job)),
            cache=AnswerStore(job.store.objects, job.settings.llm.dialect),
            concurrency=job.settings.llm.concurrency,
        ).label
    finally:
        client.close()


def _segment_seconds(spec: ConceptShardSpec, job: JobContext) -> float:
    longest = job.settings.segment_seconds
    return min(LLM_SEGMENT_SECONDS, longest) if spec.asks_llm else longest


def usage_of(latents: Sequence[LabelledLatent]) -> Usage:
    """What a language model was asked for these latents."""
    return sum((one.usage for one in latents), Usage())


def llm_metrics(latents: Sequence[LabelledLatent], settings: LlmSettings) -> dict[str, Any]:
    """What a language model was asked for these latents, and what it cost."""
    return usage_of(latents).metrics(
        prompt_price=settings.prompt_price, completion_price=settings.completion_price
    )


class TimeBoxedClient:
    """`LlmClient` that sends no request once its time is up.

    The first request starts the clock, so at least one is sent, however long it took to get there.
    A request that is under way, its pauses included, is not cut off.

    Args:
        client: that answers.
        seconds: for which it is asked.
        now: a clock, in seconds.

    Raises (by `complete`):
        LlmInterrupted: the time is up.
        RecLensError: what ``client`` raises.
    """

    def __init__(
        self, client: LlmClient, seconds: float, *, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._client = client
        self._seconds = seconds
        self._now = now
        self._lock = threading.Lock()
        self._began: float | None = None

    def complete(self, request: ChatRequest) -> ChatAnswer:
        """Answer one request; safe to call from several threads."""
        now = self._now()
        with self._lock:
            began = now if self._began is None else self._began
            self._began = began
        if now - began > self._seconds:
            raise LlmInterrupted(
                "it is the turn of other jobs.",
                remedy="none is needed: answers so far are kept, the job goes on after them.",
            )
        return self._client.complete(request)


class RangeLabelling:
    """Labels a range latent by latent: it can be left between any two, and taken up again."""

    def __init__(self, labeller: Labeller, latents: range) -> None:
        self.done: list[LabelledLatent] = []
        """Latents labelled so far, in order."""
        self._labeller = labeller
        self._latents = latents

    def steps(self) -> Iterator[Progress]:
        """Label the latents that are left, one a step."""
        for one in self._labeller(self._latents[len(self.done) :]):
            self.done.append(one)
            yield Progress(
                stage="label", step=len(self.done), total=len(self._latents), unit="latents"
            )

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """No tensors, and the latents that are labelled, as JSON."""
        return {}, {"done": [to_json(one) for one in self.done]}

    def restore(self, tensors: dict[str, np.ndarray], meta: dict[str, Any]) -> None:
        """Go on from a state that `state` gave."""
        self.done = [from_json(values) for values in meta["done"]]
        if [one.row.latent for one in self.done] != list(self._latents[: len(self.done)]):
            raise ValueError("it holds other latents")
