"""Answers InferenceService. Errors are raised; the interceptor maps them."""

from __future__ import annotations

import asyncio
import math
from time import monotonic
from typing import Any, Final, TypeAlias

from reclens.api.inference.v1 import inference_pb2 as pb
from reclens.api.inference.v1 import inference_pb2_grpc
from reclens.errors import InvalidInput, RecLensError
from reclens.platform.grpc.auth import Rule, Scope
from reclens.platform.grpc.calls import seconds_left
from reclens.platform.store.release_watch import ReleaseWatch, Served
from reclens.steering.limits import (
    DEFAULT_RELEASE,
    MAX_PROPOSE_ITEMS,
    MAX_QUERY_BYTES,
    MAX_RANK_BATCH,
    check_count,
)
from reclens_recommender.serving.answering import Outcome, Request, failure_of
from reclens_recommender.serving.batching import MicroBatcher
from reclens_recommender.serving.served_model import ServedModel

# Its one caller is the gateway, which has checked what its own callers may do.
RULES: Final = {
    "BatchRank": Rule(Scope.STEER, weight=lambda request: len(request.requests)),
    "Propose": Rule(Scope.STEER),
    "GetModel": Rule(Scope.STEER, max_bytes=MAX_QUERY_BYTES),
}
"""What calling each method takes, where tokens are asked for at all."""

Batcher: TypeAlias = MicroBatcher[Served[ServedModel], Request, Outcome]


class InferenceServicer(inference_pb2_grpc.InferenceServiceServicer):
    """InferenceService over the releases that ``watch`` keeps loaded."""

    def __init__(
        self, watch: ReleaseWatch[ServedModel], batcher: Batcher, default_deadline: float
    ) -> None:
        self._watch = watch
        self._batcher = batcher
        self._default_deadline = default_deadline

    async def BatchRank(  # noqa: N802
        self, request: pb.BatchRankRequest, context: Any
    ) -> pb.BatchRankResponse:
        deadline = monotonic() + seconds_left(context, self._default_deadline)
        check_count(len(request.requests), MAX_RANK_BATCH, "requests", field="requests", least=1)
        by_version: dict[tuple[str, str], dict[int, pb.RankRequest]] = {}
        for place, entry in enumerate(request.requests):
            by_version.setdefault((entry.release, entry.release_version), {})[place] = entry
        ranking = [
            self._rank(*version, entries, deadline) for version, entries in by_version.items()
        ]
        # One version is the rule, and a task of its own would cost time.
        answered = [await ranking[0]] if len(ranking) == 1 else await asyncio.gather(*ranking)
        outcomes = {place: outcome for some in answered for place, outcome in some.items()}
        return pb.BatchRankResponse(outcomes=[outcomes[place] for place in range(len(outcomes))])

    async def Propose(  # noqa: N802
        self, request: pb.ProposeRequest, context: Any
    ) -> pb.ProposeResponse:
        deadline = monotonic() + seconds_left(context, self._default_deadline)
        check_count(len(request.items), MAX_PROPOSE_ITEMS, "items", field="items", least=1)
        served = await self._served(request.release, request.release_version, deadline)
        (outcome,) = await self._batcher.ask(served, [request], [deadline])
        if isinstance(outcome, RecLensError):
            raise outcome
        assert isinstance(outcome, pb.ProposeResponse)
        return outcome

    async def GetModel(  # noqa: N802
        self, request: pb.GetModelRequest, context: Any
    ) -> pb.GetModelResponse:
        deadline = monotonic() + seconds_left(context, self._default_deadline)
        served = await self._served(request.release, request.release_version, deadline)
        state = self._watch.state(served.release.name)
        loaded = served.loaded
        return pb.GetModelResponse(
            release=served.release.name,
            release_version=served.release.version,
            recommender=served.release.recommender,
            autoencoder=served.release.autoencoder,
            dataset=loaded.dataset_ref,
            model=loaded.model.config.kind,
            site=loaded.site.module,
            d_model=loaded.sae.d_model,
            n_latents=loaded.sae.n_latents,
            n_items=loaded.dataset.n_items,
            n_users=loaded.dataset.n_users,
            refused_version=state.newest.version if state.newest and state.refusal else "",
            refusal=state.refusal,
        )

    async def _rank(
        self, name: str, version: str, entries: dict[int, pb.RankRequest], deadline: float
    ) -> dict[int, pb.RankOutcome]:
        """Outcomes, by place, of entries that name the same version of a release."""
        try:
            served = await self._served(name, version, deadline)
        except RecLensError as error:
            return dict.fromkeys(entries, failure_of(error))
        now = monotonic()
        outcomes: dict[int, pb.RankOutcome] = {}
        deadlines: dict[int, float] = {}
        for place, entry in entries.items():
            try:
                deadlines[place] = min(deadline, now + _timeout(entry))
            except InvalidInput as error:
                outcomes[place] = failure_of(error)
        if deadlines:
            timely = [entries[place] for place in deadlines]
            answered = await self._batcher.ask(served, timely, list(deadlines.values()))
            for place, outcome in zip(deadlines, answered, strict=True):
                ranked = failure_of(outcome) if isinstance(outcome, RecLensError) else outcome
                assert isinstance(ranked, pb.RankOutcome)
                outcomes[place] = ranked
        return outcomes

    async def _served(self, name: str, version: str, deadline: float) -> Served[ServedModel]:
        name = name or DEFAULT_RELEASE
        try:
            return self._find(name, version)
        except RecLensError:
            # The caller may have seen a pointer that this process has yet to read.
            async with asyncio.timeout(deadline - monotonic()):
                await self._watch.refresh()
            return self._find(name, version)

    def _find(self, name: str, version: str) -> Served[ServedModel]:
        if version:
            return self._watch.version(name, version)
        return self._watch.current(name)


def _timeout(request: pb.RankRequest) -> float:
    """Seconds that an answer is of use."""
    seconds = request.timeout_seconds
    if not 0 <= seconds < math.inf:
        raise InvalidInput(
            f"a timeout of {seconds:g} seconds is not a finite number of at least 0.",
            field="timeout_seconds",
            remedy="give a number of seconds, or 0 for none.",
        )
    return seconds or math.inf
