"""ListConcepts, GetConcept and SearchConcepts."""

from __future__ import annotations

import math
from typing import Any

from reclens.api.steering.v1 import steering_pb2 as pb
from reclens.concepts.labels.concepts import Concept
from reclens.errors import InvalidInput, NotFound
from reclens_gateway.calls.base import DEFAULT_RELEASE, Calls
from reclens_gateway.calls.concept_answers import concept_message, push_message
from reclens_gateway.calls.paging import Page, cut, digest, page_size
from reclens_gateway.resolving.requests import resolve
from reclens_gateway.served_release import ServedRelease


class ConceptCalls(Calls):
    """What latents mean."""

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

    async def GetConcept(  # noqa: N802
        self, request: pb.GetConceptRequest, context: Any
    ) -> pb.GetConceptResponse:
        deadline = self.deadline(context)

        async def answer(served: ServedRelease) -> pb.GetConceptResponse:
            concept = served.concepts.get(request.concept_id, field="concept_id")
            response = pb.GetConceptResponse(
                concept=concept_message(served, concept), versions=served.versions
            )
            if request.include_push:
                added = pb.Edit(concept_id=request.concept_id, add=0.0)
                await self.learn(served, [added], deadline)
                push = served.pushes.known(request.concept_id)
                response.push.extend(push_message(served, push))
            return response

        return await self.on_one_version(request.release, answer)

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
        served, cursor = self.listed(request.release, request.page_token, query)
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
        asked = resolve(
            served, pb.Subject(user_id=user_id), top_k=1, include_seen=True, include_latents=True
        )
        try:
            answer = await self.peer.rank(asked.question, self.deadline(context))
        except NotFound as error:
            raise NotFound(error.message, field="user_id", remedy=error.remedy) from error
        return served.concepts.firing({entry.latent: entry.activation for entry in answer.latents})


def _of_item(served: ServedRelease, item_id: str) -> list[Concept]:
    if item_id not in served.items:
        raise NotFound(
            f"there is no item {item_id[:100]!r}.",
            field="item_id",
            remedy="use an id of the data set.",
        )
    return served.concepts.evidenced_by(item_id)
