"""Answers SteeringService. Errors are raised; the interceptor maps them."""

from __future__ import annotations

import math
from typing import Any

import grpc

from reclens.adapters.grpc_interceptor import check_request_id, request_id, seconds_left
from reclens.adapters.release_watch import ReleaseState, ReleaseWatch
from reclens.api.inference.v1 import inference_pb2 as inference
from reclens.api.steering.v1 import steering_pb2 as pb
from reclens.api.steering.v1 import steering_pb2_grpc
from reclens.concepts.grouping import Concept
from reclens.errors import InvalidInput, NotFound, NotReady, RecLensError
from reclens_gateway.answering import (
    concept_message,
    explain_response,
    recommend_response,
    versions,
)
from reclens_gateway.inference_peer import InferencePeer
from reclens_gateway.paging import Cursor, Page, cut, digest, open_token, page_size
from reclens_gateway.resolving import rank_request
from reclens_gateway.served_release import ServedRelease

DEFAULT_RELEASE = "default"
"""Release of requests that name none."""
MAX_BATCH = 256
"""Entries in one BatchRecommend."""


class SteeringServicer(steering_pb2_grpc.SteeringServiceServicer):
    """SteeringService over the releases that ``watch`` keeps loaded and one inference service."""

    def __init__(
        self, watch: ReleaseWatch[ServedRelease], peer: InferencePeer, default_deadline: float
    ) -> None:
        self._watch = watch
        self._peer = peer
        self._default_deadline = default_deadline

    # --- recommendations -------------------------------------------------------------------------

    async def Recommend(  # noqa: N802
        self, request: pb.RecommendRequest, context: Any
    ) -> pb.RecommendResponse:
        served = self._served(request.release)
        question = _question(served, request)
        answer = await self._peer.rank(question, seconds_left(context, self._default_deadline))
        return recommend_response(served, answer, explain=request.explain, request_id=request_id())

    async def BatchRecommend(  # noqa: N802
        self, request: pb.BatchRecommendRequest, context: Any
    ) -> pb.BatchRecommendResponse:
        if not 1 <= len(request.requests) <= MAX_BATCH:
            raise InvalidInput(
                f"{len(request.requests)} requests cannot be answered at once.",
                field="requests",
                remedy=f"send 1 to {MAX_BATCH}.",
            )
        first = request.requests[0].release
        served = self._served(first, field="requests[0].release")
        outcomes = [pb.RecommendOutcome() for _ in request.requests]
        questions: dict[int, inference.RankRequest] = {}
        for index, entry in enumerate(request.requests):
            try:
                check_request_id(entry.request_id)
                _same_release(entry.release, served.release.name)
                questions[index] = _question(served, entry)
            except RecLensError as error:
                outcomes[index].failure.CopyFrom(_failure(error))
        if questions:
            answer = await self._peer.batch_rank(
                inference.BatchRankRequest(requests=questions.values()),
                seconds_left(context, self._default_deadline),
            )
            for index, outcome in zip(questions, answer.outcomes, strict=True):
                entry = request.requests[index]
                if outcome.WhichOneof("outcome") == "failure":
                    failed = outcome.failure
                    outcomes[index].failure.CopyFrom(
                        pb.RecommendFailure(
                            code=failed.code,
                            reason=failed.reason,
                            field=failed.field,
                            message=failed.message,
                        )
                    )
                else:
                    response = recommend_response(
                        served,
                        outcome.response,
                        explain=entry.explain,
                        request_id=entry.request_id or f"{request_id()}/{index}",
                    )
                    outcomes[index].response.CopyFrom(response)
        return pb.BatchRecommendResponse(outcomes=outcomes)

    async def Explain(self, request: pb.ExplainRequest, context: Any) -> pb.ExplainResponse:  # noqa: N802
        served = self._served(request.release)
        question = rank_request(
            served, request.subject, request.top_k, request.include_seen, include_latents=True
        )
        answer = await self._peer.rank(question, seconds_left(context, self._default_deadline))
        return explain_response(served, answer, request_id())

    # --- concepts --------------------------------------------------------------------------------

    async def ListConcepts(  # noqa: N802
        self, request: pb.ListConceptsRequest, context: Any
    ) -> pb.ListConceptsResponse:
        size = page_size(request.page_size, default=50)
        floor = request.min_confidence
        if not (math.isfinite(floor) and 0 <= floor <= 1):
            raise InvalidInput(
                f"{floor:g} is not a confidence.",
                field="min_confidence",
                remedy="give a number within [0, 1].",
            )
        query = digest("ListConcepts", request.release or DEFAULT_RELEASE, floor)
        served, cursor = self._listed(request.release, request.page_token, query)
        concepts = [
            entry for entry in served.concepts.concepts if (entry.confidence or 0.0) >= floor
        ]
        page = cut(concepts, size, cursor)
        return pb.ListConceptsResponse(
            concepts=[concept_message(served, concept) for concept in page.entries],
            next_page_token=page.next_token,
            total_size=len(concepts),
        )

    async def GetConcept(  # noqa: N802
        self, request: pb.GetConceptRequest, context: Any
    ) -> pb.GetConceptResponse:
        served = self._served(request.release)
        concept = served.concepts.get(request.concept_id, field="concept_id")
        return pb.GetConceptResponse(
            concept=concept_message(served, concept), versions=versions(served.release)
        )

    async def SearchConcepts(  # noqa: N802
        self, request: pb.SearchConceptsRequest, context: Any
    ) -> pb.SearchConceptsResponse:
        size = page_size(request.page_size, default=20)
        kind = request.WhichOneof("query")
        if kind is None:
            raise InvalidInput(
                "nothing to search by.",
                field="query",
                remedy="give a text, an item_id or a user_id.",
            )
        asked = getattr(request, kind)
        query = digest("SearchConcepts", request.release or DEFAULT_RELEASE, kind, asked)
        served, cursor = self._listed(request.release, request.page_token, query)
        if kind == "text":
            found = served.concepts.search(asked, served.items)
        elif kind == "item_id":
            found = _of_item(served, asked)
        else:
            found = await self._of_user(served, asked, context)
        page: Page[Concept] = cut(found, size, cursor)
        return pb.SearchConceptsResponse(
            concepts=[concept_message(served, concept) for concept in page.entries],
            next_page_token=page.next_token,
        )

    async def _of_user(self, served: ServedRelease, user_id: str, context: Any) -> list[Concept]:
        question = rank_request(
            served, pb.Subject(user_id=user_id), top_k=1, include_seen=True, include_latents=True
        )
        seconds = seconds_left(context, self._default_deadline)
        try:
            answer = await self._peer.rank(question, seconds)
        except NotFound as error:
            raise NotFound(error.message, field="user_id", remedy=error.remedy) from error
        return served.concepts.firing({entry.latent: entry.activation for entry in answer.latents})

    # --- releases --------------------------------------------------------------------------------

    async def GetRelease(  # noqa: N802
        self, request: pb.GetReleaseRequest, context: Any
    ) -> pb.GetReleaseResponse:
        state = self._watch.state(request.name or DEFAULT_RELEASE, field="name")
        return pb.GetReleaseResponse(release=_release(state))

    async def ListReleases(  # noqa: N802
        self, request: pb.ListReleasesRequest, context: Any
    ) -> pb.ListReleasesResponse:
        size = page_size(request.page_size, default=50)
        query = digest("ListReleases")
        cursor = open_token(request.page_token, query) or Cursor("", query, 0)
        page = cut(self._watch.states(), size, cursor)
        return pb.ListReleasesResponse(
            releases=[_release(state) for state in page.entries], next_page_token=page.next_token
        )

    # --- which release ---------------------------------------------------------------------------

    def _served(self, name: str, *, field: str = "release") -> ServedRelease:
        return self._watch.current(name or DEFAULT_RELEASE, field=field).loaded

    def _listed(self, name: str, token: str, query: str) -> tuple[ServedRelease, Cursor]:
        """The release to list from, the same one over all pages, and where to go on."""
        cursor = open_token(token, query)
        if cursor is None:
            served = self._served(name)
            return served, Cursor(served.release.version, query, 0)
        try:
            found = self._watch.version(name or DEFAULT_RELEASE, cursor.version)
        except NotReady as error:
            raise InvalidInput(
                "the release has changed since this listing began.",
                field="page_token",
                remedy="start again without a page token.",
            ) from error
        return found.loaded, cursor


def _question(served: ServedRelease, request: pb.RecommendRequest) -> inference.RankRequest:
    return rank_request(
        served,
        request.subject,
        request.top_k,
        request.include_seen,
        edits=request.edits,
        mode=request.mode,
        include_baseline=request.include_baseline,
        include_latents=request.explain,
    )


def _same_release(name: str, first: str) -> None:
    if name and name != first:
        raise InvalidInput(
            f"a batch is answered from its first entry's release, {first!r}.",
            field="release",
            remedy="send requests for another release in a batch of their own.",
        )


def _failure(error: RecLensError) -> pb.RecommendFailure:
    return pb.RecommendFailure(
        code=grpc.StatusCode[error.grpc_code].value[0],
        reason=error.reason,
        field=error.field,
        message=str(RecLensError(error.message, remedy=error.remedy)),
    )


def _of_item(served: ServedRelease, item_id: str) -> list[Concept]:
    if item_id not in served.items:
        raise NotFound(
            f"there is no item {item_id[:100]!r}.",
            field="item_id",
            remedy="use an id of the data set.",
        )
    return served.concepts.evidenced_by(item_id)


def _release(state: ReleaseState[ServedRelease]) -> pb.Release:
    newest, current = state.newest, state.current
    return pb.Release(
        name=newest.name,
        versions=versions(newest),
        published_at=newest.published_at,
        serving=current is not None and current.release.version == newest.version,
        refusal=state.refusal,
    )
