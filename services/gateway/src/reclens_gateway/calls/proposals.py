"""ProposeEdit: an edit from words, or from liked and disliked items."""

from __future__ import annotations

import asyncio
from typing import Any

from reclens.api.inference.v1 import inference_pb2 as inference
from reclens.api.steering.v1 import steering_pb2 as pb
from reclens.concepts.catalog.text_matching import WeightedItems, match_text
from reclens.errors import InvalidInput
from reclens.platform.grpc.auth import Scope
from reclens.platform.grpc.calls import request_id
from reclens.steering.limits import (
    DEFAULT_PROPOSED_LATENTS,
    MAX_EXAMPLES,
    MAX_PROPOSED_LATENTS,
    MAX_SHOWN_ITEMS,
    MAX_TEXT,
    check_count,
)
from reclens_gateway.calls.answers import history_item, proposed_part
from reclens_gateway.calls.base import Calls, requires
from reclens_gateway.resolving import ServedRelease

SUGGESTED_STRENGTH = 0.2
"""A clear push, see ``Edit.add``."""


class ProposalCalls(Calls):
    """Edits from words and examples."""

    @requires(Scope.STEER)
    async def ProposeEdit(  # noqa: N802
        self, request: pb.ProposeEditRequest, context: Any
    ) -> pb.ProposeEditResponse:
        check_count(request.max_latents, MAX_PROPOSED_LATENTS, "latents", field="max_latents")
        deadline = self.deadline(context)
        return await self.on_one_version(request.release, self._proposed, request, deadline)

    async def _proposed(
        self, served: ServedRelease, request: pb.ProposeEditRequest, deadline: float
    ) -> pb.ProposeEditResponse:
        wanted = await _wanted_items(served, request)
        left = max(1e-3, deadline - asyncio.get_running_loop().time())
        asked = inference.ProposeRequest(
            release=served.release.name,
            release_version=served.release.version,
            items=wanted.rows,
            weights=wanted.weights,
            latents=_trusted_latents(served) if request.trusted_only else (),
            max_latents=request.max_latents or DEFAULT_PROPOSED_LATENTS,
        )
        try:
            proposed = await self.inference.propose(asked, left)
        except InvalidInput as error:
            # Its fields are rows and weights, which the caller knows nothing of.
            field = request.WhichOneof("query") or "query"
            raise InvalidInput(error.message, field=field, remedy=error.remedy) from error
        response = pb.ProposeEditResponse(
            alignment=proposed.alignment,
            unmatched_words=wanted.unmatched,
            versions=served.versions,
            request_id=request_id(),
        )
        # Only the direction of a blend counts; with its heaviest part at 1 it is easy to read.
        heaviest = max(map(abs, proposed.shares), default=0.0) or 1.0
        response.edit.add = SUGGESTED_STRENGTH
        for latent, share in zip(proposed.latents, proposed.shares, strict=True):
            weight = share / heaviest
            if weight:
                response.edit.blend.parts.add(latent=latent, weight=weight)
                response.parts.append(proposed_part(served, latent, weight))
        weighted = zip(wanted.rows, wanted.weights, strict=True)
        for row, weight in sorted(weighted, key=lambda one: -abs(one[1]))[:MAX_SHOWN_ITEMS]:
            response.items.add(item=history_item(served.items.entry(row)), weight=weight)
        return response


async def _wanted_items(served: ServedRelease, request: pb.ProposeEditRequest) -> WeightedItems:
    match request.WhichOneof("query"):
        case "text":
            check_count(len(request.text), MAX_TEXT, "characters", field="text")
            # Titles of a large catalogue take a while to search.
            return await asyncio.to_thread(match_text, request.text, served.items, served.concepts)
        case "examples":
            return _example_items(served, request.examples)
        case _:
            raise InvalidInput(
                "nothing to move towards.",
                field="query",
                remedy="give a text, or items as examples.",
            )


def _example_items(served: ServedRelease, examples: pb.Examples) -> WeightedItems:
    weights: dict[int, float] = {}
    for name, item_ids, weight in (
        ("liked_item_ids", examples.liked_item_ids, 1.0),
        ("disliked_item_ids", examples.disliked_item_ids, -1.0),
    ):
        field = f"examples.{name}"
        check_count(len(item_ids), MAX_EXAMPLES, "items", field=field)
        for position, row in enumerate(served.items.rows(item_ids, field=field)):
            if weights.setdefault(row, weight) != weight:
                raise InvalidInput(
                    f"item {item_ids[position]!r} is both liked and disliked.",
                    field=f"{field}[{position}]",
                    remedy="drop it from one of the lists.",
                )
    if not weights:
        raise InvalidInput("no item is given.", field="examples", remedy="give at least one.")
    return WeightedItems(list(weights), list(weights.values()))


def _trusted_latents(served: ServedRelease) -> list[int]:
    """Latents whose label is trusted."""
    latents = sorted(served.pushes.trusted)
    if not latents:
        raise InvalidInput(
            "no latent of this release has a trusted label.",
            field="trusted_only",
            remedy="propose from all latents.",
        )
    return latents
