"""ListConcepts, GetConcept, SearchConcepts, GetRelease and ListReleases."""

from __future__ import annotations

import math
from typing import Any

from reclens.api.steering.v1 import steering_pb2 as pb
from reclens.concepts.labels.concepts import Concept
from reclens.errors import InvalidInput, NotFound
from reclens.platform.grpc.auth import Scope
from reclens.platform.store.release_watch import ReleaseState
from reclens.steering.limits import (
    DEFAULT_PAGE_SIZE,
    DEFAULT_RELEASE,
    DEFAULT_SEARCH_PAGE_SIZE,
    MAX_QUERY_BYTES,
    MAX_TEXT,
    check_count,
)
from reclens_gateway.calls.answers import concept_message, push_message
from reclens_gateway.calls.base import Calls, requires
from reclens_gateway.calls.paging import Cursor, cut, digest, open_token, page_size
from reclens_gateway.resolving import ServedRelease, resolve_request, versions


class CatalogCalls(Calls):
    """What latents mean, and what is answered from."""

    @requires(Scope.READ, max_bytes=MAX_QUERY_BYTES)
    async def ListConcepts(  # noqa: N802
        self, request: pb.ListConceptsRequest, context: Any
    ) -> pb.ListConceptsResponse:
        size = page_size(request.page_size, DEFAULT_PAGE_SIZE)
        floor = request.min_confidence
        if not (math.isfinite(floor) and 0 <= floor <= 1):
            raise InvalidInput(
                f"{floor:g} is not a confidence.",
                field="min_confidence",
                remedy="give a number within [0, 1].",
            )
        query = digest("ListConcepts", request.release or DEFAULT_RELEASE, floor)
        served, cursor = self.listed(request.release, request.page_token, query)
        concepts = [
            entry for entry in served.concepts.concepts if (entry.confidence or 0.0) >= floor
        ]
        page = cut(concepts, size, cursor)
        return pb.ListConceptsResponse(
            concepts=[concept_message(served, concept) for concept in page.entries],
            next_page_token=page.next_token,
            total_size=len(concepts),
        )

    @requires(Scope.READ, max_bytes=MAX_QUERY_BYTES)
    async def GetConcept(  # noqa: N802
        self, request: pb.GetConceptRequest, context: Any
    ) -> pb.GetConceptResponse:
        deadline = self.deadline(context)
        return await self.on_one_version(request.release, self._concept, request, deadline)

    async def _concept(
        self, served: ServedRelease, request: pb.GetConceptRequest, deadline: float
    ) -> pb.GetConceptResponse:
        concept = served.concepts.get(request.concept_id, field="concept_id")
        response = pb.GetConceptResponse(
            concept=concept_message(served, concept), versions=served.versions
        )
        if request.include_push:
            added = pb.Edit(concept_id=request.concept_id, add=0.0)
            await self.load_pushes(served, [added], deadline)
            response.push.extend(push_message(served, served.pushes.get(request.concept_id)))
        return response

    @requires(Scope.READ, max_bytes=MAX_QUERY_BYTES)
    async def SearchConcepts(  # noqa: N802
        self, request: pb.SearchConceptsRequest, context: Any
    ) -> pb.SearchConceptsResponse:
        size = page_size(request.page_size, DEFAULT_SEARCH_PAGE_SIZE)
        kind = request.WhichOneof("query")
        if kind is None:
            raise InvalidInput(
                "nothing to search by.",
                field="query",
                remedy="give a text, an item_id or a user_id.",
            )
        asked = getattr(request, kind)
        query = digest("SearchConcepts", request.release or DEFAULT_RELEASE, kind, asked)
        served, cursor = self.listed(request.release, request.page_token, query)
        if kind == "text":
            check_count(len(asked), MAX_TEXT, "characters", field="text")
            found = served.concepts.search(asked, served.items)
        elif kind == "item_id":
            served.items.row(asked, field="item_id")
            found = served.concepts.evidenced_by(asked)
        else:
            found = await self._firing_for(served, asked, context)
        page = cut(found, size, cursor)
        return pb.SearchConceptsResponse(
            concepts=[concept_message(served, concept) for concept in page.entries],
            next_page_token=page.next_token,
        )

    async def _firing_for(self, served: ServedRelease, user_id: str, context: Any) -> list[Concept]:
        user = pb.Subject(user_id=user_id)
        resolved = resolve_request(
            served, pb.RecommendRequest(subject=user, top_k=1, include_seen=True, explain=True)
        )
        try:
            answer = await self.inference.rank(resolved.rank, self.deadline(context))
        except NotFound as error:
            raise NotFound(error.message, field="user_id", remedy=error.remedy) from error
        return served.concepts.firing({entry.latent: entry.activation for entry in answer.latents})

    @requires(Scope.READ, max_bytes=MAX_QUERY_BYTES)
    async def GetRelease(  # noqa: N802
        self, request: pb.GetReleaseRequest, context: Any
    ) -> pb.GetReleaseResponse:
        state = self.watch.state(request.name or DEFAULT_RELEASE, field="name")
        return pb.GetReleaseResponse(release=_release(state))

    @requires(Scope.READ, max_bytes=MAX_QUERY_BYTES)
    async def ListReleases(  # noqa: N802
        self, request: pb.ListReleasesRequest, context: Any
    ) -> pb.ListReleasesResponse:
        size = page_size(request.page_size, DEFAULT_PAGE_SIZE)
        query = digest("ListReleases")
        cursor = open_token(request.page_token, query) or Cursor("", query, 0)
        page = cut(self.watch.states(), size, cursor)
        return pb.ListReleasesResponse(
            releases=[_release(state) for state in page.entries], next_page_token=page.next_token
        )


def _release(state: ReleaseState[ServedRelease]) -> pb.Release:
    current = state.current.release if state.current is not None else None
    message = pb.Release(name=state.name, refusal=state.refusal)
    if shown := state.newest or current:
        message.versions.CopyFrom(versions(shown))
        message.published_at = shown.published_at
    message.serving = (
        current is not None and state.newest is not None and current.version == state.newest.version
    )
    return message
