"""ProposeEdit."""

from __future__ import annotations

import asyncio
from typing import Any

from reclens.api.inference.v1 import inference_pb2 as inference
from reclens.api.steering.v1 import steering_pb2 as pb
from reclens.concepts.catalog.concepts import MAX_TEXT
from reclens.concepts.catalog.text_matching import Match, match_text
from reclens.errors import InvalidInput
from reclens.platform.grpc.calls import request_id
from reclens_gateway.calls.answering import history_item
from reclens_gateway.calls.base import Calls
from reclens_gateway.calls.concept_answers import proposed_part
from reclens_gateway.served_release import ServedRelease

DEFAULT_LATENTS = 16
"""Latents that a proposal may use where the request does not say."""
MAX_LATENTS = 64
"""Most latents that a proposal may use."""
MAX_EXAMPLES = 1000
"""Items that may be liked, and that may be disliked."""
MAX_SHOWN = 50
"""Items of a proposal that are listed."""
SUGGESTED_STRENGTH = 0.2
"""A clear push, see ``Edit.add``."""


class ProposingCalls(Calls):
    """Edits from words and examples."""

    async def ProposeEdit(  # noqa: N802
        self, request: pb.ProposeEditRequest, context: Any
    ) -> pb.ProposeEditResponse:
        if request.max_latents > MAX_LATENTS:
            raise InvalidInput(
                f"{request.max_latents} latents are too many.",
                field="max_latents",
                remedy=f"use at most {MAX_LATENTS}.",
            )
        deadline = self.deadline(context)

        async def answer(served: ServedRelease) -> pb.ProposeEditResponse:
            return await self._proposed(served, request, deadline)

        return await self.on_one_version(request.release, answer)

    async def _proposed(
        self, served: ServedRelease, request: pb.ProposeEditRequest, deadline: float
    ) -> pb.ProposeEditResponse:
        match request.WhichOneof("query"):
            case "text":
                if len(request.text) > MAX_TEXT:
                    raise InvalidInput(
                        f"{len(request.text)} characters are too many.",
                        field="text",
                        remedy=f"use at most {MAX_TEXT}.",
                    )
                # Titles of a large catalogue take a while to search.
                found = await asyncio.to_thread(
                    match_text, request.text, served.items, served.concepts
                )
            case "examples":
                found = _examples(served, request.examples)
            case _:
                raise InvalidInput(
                    "nothing to move towards.",
                    field="query",
                    remedy="give a text, or items as examples.",
                )
        question = inference.ProposeRequest(
            release=served.release.name,
            release_version=served.release.version,
            items=found.rows,
            weights=found.weights,
            latents=_trusted(served) if request.trusted_only else (),
            max_latents=request.max_latents or DEFAULT_LATENTS,
        )
        left = max(1e-3, deadline - asyncio.get_running_loop().time())
        try:
            proposed = await self.peer.propose(question, left)
        except InvalidInput as error:
            # Its fields are rows and weights, which the caller knows nothing of.
            field = request.WhichOneof("query") or "query"
            raise InvalidInput(error.message, field=field, remedy=error.remedy) from error
        response = pb.ProposeEditResponse(
            alignment=proposed.alignment,
            unmatched_words=found.unmatched,
            versions=served.versions,
            request_id=request_id(),
        )
        _add_parts(served, proposed, response)
        _add_items(served, found, response)
        return response


def _examples(served: ServedRelease, examples: pb.Examples) -> Match:
    weights: dict[int, float] = {}
    for name, item_ids, weight in (
        ("liked_item_ids", examples.liked_item_ids, 1.0),
        ("disliked_item_ids", examples.disliked_item_ids, -1.0),
    ):
        field = f"examples.{name}"
        if len(item_ids) > MAX_EXAMPLES:
            raise InvalidInput(
                f"{len(item_ids)} items are too many.",
                field=field,
                remedy=f"give at most {MAX_EXAMPLES}.",
            )
        for position, row in enumerate(served.items.rows(item_ids, field=field)):
            if weights.setdefault(row, weight) != weight:
                raise InvalidInput(
                    f"item {item_ids[position]!r} is both liked and disliked.",
                    field=f"{field}[{position}]",
                    remedy="drop it from one of the lists.",
                )
    if not weights:
        raise InvalidInput("no item is given.", field="examples", remedy="give at least one.")
    return Match(list(weights), list(weights.values()))


def _trusted(served: ServedRelease) -> list[int]:
    """Latents whose label is trusted."""
    labels = map(served.concepts.label, range(served.n_latents))
    latents = [label.latent for label in labels if label is not None and label.trusted]
    if not latents:
        raise InvalidInput(
            "no latent of this release has a trusted label.",
            field="trusted_only",
            remedy="propose from all latents.",
        )
    return latents


def _add_parts(
    served: ServedRelease, proposed: inference.ProposeResponse, response: pb.ProposeEditResponse
) -> None:
    # Only the direction of a blend counts; with its heaviest part at 1 it is easy to read.
    heaviest = max(map(abs, proposed.shares), default=0.0) or 1.0
    response.edit.add = SUGGESTED_STRENGTH
    for latent, share in zip(proposed.latents, proposed.shares, strict=True):
        weight = share / heaviest
        if not weight:
            continue
        response.edit.blend.parts.add(latent=latent, weight=weight)
        response.parts.append(proposed_part(served, latent, weight))


def _add_items(served: ServedRelease, found: Match, response: pb.ProposeEditResponse) -> None:
    heaviest_first = sorted(
        zip(found.rows, found.weights, strict=True), key=lambda one: -abs(one[1])
    )
    for row, weight in heaviest_first[:MAX_SHOWN]:
        response.items.add(item=history_item(served, row), weight=weight)
