"""Answers InferenceService. Errors are raised; the interceptor maps them."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import Any

import grpc

from reclens.adapters.grpc_call import seconds_left
from reclens.adapters.release_watch import ReleaseWatch, Served
from reclens.api.inference.v1 import inference_pb2 as pb
from reclens.api.inference.v1 import inference_pb2_grpc
from reclens.errors import DeadlineExceeded, InvalidInput, RecLensError
from reclens_recommender.serving.model_thread import ModelThread
from reclens_recommender.serving.ranking import rank
from reclens_recommender.serving.served_model import ServedModel
from reclens_recommender.serving.wire import failure_of, question_of, response_of

MAX_BATCH = 1024
"""Entries in one BatchRank."""
DEFAULT_RELEASE = "default"
"""Release of requests that name none."""


class InferenceServicer(inference_pb2_grpc.InferenceServiceServicer):
    """InferenceService over the releases that ``watch`` keeps loaded."""

    def __init__(
        self, watch: ReleaseWatch[ServedModel], thread: ModelThread, default_deadline: float
    ) -> None:
        self._watch = watch
        self._thread = thread
        self._default_deadline = default_deadline

    async def BatchRank(  # noqa: N802
        self, request: pb.BatchRankRequest, context: Any
    ) -> pb.BatchRankResponse:
        deadline = monotonic() + seconds_left(context, self._default_deadline)
        if not 1 <= len(request.requests) <= MAX_BATCH:
            raise InvalidInput(
                f"{len(request.requests)} requests cannot be answered at once.",
                field="requests",
                remedy=f"send 1 to {MAX_BATCH}.",
            )
        outcomes: list[pb.RankOutcome] = []
        # One at a time, so that a batch takes turns with other callers' requests.
        for entry in request.requests:
            try:
                outcome = pb.RankOutcome(response=await self._rank(entry, deadline))
            except DeadlineExceeded:
                raise
            except RecLensError as error:
                code = grpc.StatusCode[error.grpc_code].value[0]
                outcome = pb.RankOutcome(failure=failure_of(error, code))
            outcomes.append(outcome)
        return pb.BatchRankResponse(outcomes=outcomes)

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
            model=loaded.model.config.kind,
            site=loaded.site.module,
            d_model=loaded.sae.d_model,
            n_latents=loaded.sae.n_latents,
            n_items=loaded.dataset.n_items,
            n_users=loaded.dataset.n_users,
            dataset=loaded.dataset_ref,
            refused_version=state.newest.version if state.refusal else "",
            refusal=state.refusal,
        )

    async def _rank(self, request: pb.RankRequest, deadline: float) -> pb.RankResponse:
        question = question_of(request)
        served = await self._served(request.release, request.release_version, deadline)

        def answer() -> pb.RankResponse:
            return response_of(served.loaded, rank(served.loaded, question))

        return await self._thread.run(answer, deadline - monotonic())

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
