"""Recommend, BatchRecommend, Compare and Explain."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any

from reclens.api.inference.v1 import inference_pb2 as inference
from reclens.api.steering.v1 import steering_pb2 as pb
from reclens.errors import InvalidInput, NotReady, RecLensError
from reclens.platform.grpc.auth import Scope
from reclens.platform.grpc.calls import check_request_id, request_id
from reclens.steering.limits import MAX_BATCH, MAX_VARIANT_NAME, MAX_VARIANTS, check_count
from reclens_gateway.calls.answers import (
    add_effect,
    add_items,
    explain_response,
    failure_of,
    recommend_response,
)
from reclens_gateway.calls.base import Calls, is_of_version, requires
from reclens_gateway.resolving.requests import ResolvedPolicy, ResolvedRequest, resolve_request
from reclens_gateway.resolving.served_release import ServedRelease


def _recommend_scope(request: pb.RecommendRequest) -> Scope:
    # The reconstruction differs from the recommender's own answer even without edits.
    replaced = request.mode == pb.STEERING_MODE_RECONSTRUCT
    steered = bool(request.edits) or request.HasField("policy") or replaced
    return Scope.STEER if steered else Scope.READ


def _batch_scope(request: pb.BatchRecommendRequest) -> Scope:
    scopes = {_recommend_scope(entry) for entry in request.requests}
    return Scope.STEER if Scope.STEER in scopes else Scope.READ


class RecommendingCalls(Calls):
    """Answers for one subject or several."""

    @requires(_recommend_scope)
    async def Recommend(  # noqa: N802
        self, request: pb.RecommendRequest, context: Any
    ) -> pb.RecommendResponse:
        return await self.recommended(request, self.deadline(context), request_id())

    @requires(_batch_scope, weight=lambda request: len(request.requests))
    async def BatchRecommend(  # noqa: N802
        self, request: pb.BatchRecommendRequest, context: Any
    ) -> pb.BatchRecommendResponse:
        check_count(len(request.requests), MAX_BATCH, "requests", field="requests", least=1)
        deadline = self.deadline(context)

        async def answer(served: ServedRelease) -> pb.BatchRecommendResponse:
            return await self._batch(served, request, deadline)

        first = request.requests[0].release
        return await self.on_one_version(first, answer, field="requests[0].release")

    # Comparisons are there for edits.
    @requires(Scope.STEER, weight=lambda request: len(request.variants))
    async def Compare(self, request: pb.CompareRequest, context: Any) -> pb.CompareResponse:  # noqa: N802
        check_count(len(request.variants), MAX_VARIANTS, "variants", field="variants", least=1)
        for position, variant in enumerate(request.variants):
            field = f"variants[{position}].name"
            check_count(len(variant.name), MAX_VARIANT_NAME, "characters", field=field)
        deadline = self.deadline(context)

        async def answer(served: ServedRelease) -> pb.CompareResponse:
            return await self._compared(served, request, deadline)

        return await self.on_one_version(request.release, answer)

    @requires(Scope.READ)
    async def Explain(self, request: pb.ExplainRequest, context: Any) -> pb.ExplainResponse:  # noqa: N802
        deadline = self.deadline(context)

        async def answer(served: ServedRelease) -> pb.ExplainResponse:
            resolved = resolve_request(
                served, request.subject, request.top_k, request.include_seen, include_latents=True
            )
            ranked = await self.inference.rank(resolved.rank, deadline)
            return explain_response(served, ranked, request_id())

        return await self.on_one_version(request.release, answer)

    async def recommended(
        self, request: pb.RecommendRequest, deadline: float, identifier: str
    ) -> pb.RecommendResponse:
        """The answer to one request."""

        async def answer(served: ServedRelease) -> pb.RecommendResponse:
            resolved = await self._resolved_recommend(served, request, deadline)
            resolved.rank.request_id = identifier
            ranked = await self.inference.rank(resolved.rank, deadline)
            return recommend_response(
                served, resolved, ranked, explain=request.explain, request_id=identifier
            )

        return await self.on_one_version(request.release, answer)

    async def _resolved_recommend(
        self, served: ServedRelease, request: pb.RecommendRequest, deadline: float
    ) -> ResolvedRequest:
        policy = await self.prepare(request, served, deadline)
        return resolve_request(
            served,
            request.subject,
            request.top_k,
            request.include_seen,
            edits=request.edits,
            mode=request.mode,
            constraints=request.constraints,
            policy=policy,
            include_baseline=request.include_baseline,
            include_latents=request.explain,
        )

    async def _batch(
        self, served: ServedRelease, request: pb.BatchRecommendRequest, deadline: float
    ) -> pb.BatchRecommendResponse:
        outcomes = [pb.RecommendOutcome()] * len(request.requests)
        response = pb.BatchRecommendResponse(outcomes=outcomes)

        async def resolve(entry: pb.RecommendRequest) -> ResolvedRequest:
            check_request_id(entry.request_id)
            _check_release(entry.release, served.release.name)
            return await self._resolved_recommend(served, entry, deadline)

        resolved = await _resolve_each(request.requests, response.outcomes, resolve)
        ranks = [one.rank for one in resolved.values()]
        answers = await self.inference.rank_all(ranks, deadline) if ranks else []
        for index, one, answer in _answered(resolved, answers, response.outcomes):
            entry = request.requests[index]
            response.outcomes[index].response.CopyFrom(
                recommend_response(
                    served,
                    one,
                    answer,
                    explain=entry.explain,
                    request_id=entry.request_id or f"{request_id()}/{index}",
                )
            )
        return response

    async def _compared(
        self, served: ServedRelease, request: pb.CompareRequest, deadline: float
    ) -> pb.CompareResponse:
        response = pb.CompareResponse(
            versions=served.versions,
            request_id=request_id(),
            outcomes=[pb.VariantOutcome(name=variant.name) for variant in request.variants],
        )

        def resolved_variant(variant: pb.Variant, policy: ResolvedPolicy | None) -> ResolvedRequest:
            return resolve_request(
                served,
                request.subject,
                request.top_k,
                request.include_seen,
                edits=variant.edits,
                mode=variant.mode,
                constraints=request.constraints,
                policy=policy,
            )

        async def resolve(variant: pb.Variant) -> ResolvedRequest:
            return resolved_variant(variant, await self.prepare(variant, served, deadline))

        # What is wrong with all variants alike is refused as a whole, with the untouched answer.
        untouched = resolved_variant(pb.Variant(), None)
        resolved = await _resolve_each(request.variants, response.outcomes, resolve)
        ranks = [untouched.rank, *(one.rank for one in resolved.values())]
        baseline, *answers = await self.inference.rank_all(ranks, deadline)
        if isinstance(baseline, RecLensError):
            raise baseline
        add_items(served, baseline.ranked, response.baseline)
        for index, one, answer in _answered(resolved, answers, response.outcomes):
            variant = response.outcomes[index].answer
            add_items(served, answer.ranked, variant.items)
            add_effect(served, one, answer, variant.effect)
        return response


# --- entries of one call, each answered or refused on its own ------------------------------------


async def _resolve_each(
    entries: Sequence[Any],
    outcomes: Sequence[Any],
    resolve: Callable[[Any], Awaitable[ResolvedRequest]],
) -> dict[int, ResolvedRequest]:
    """Entries by their place; of those that are refused, the outcome says why."""
    resolved: dict[int, ResolvedRequest] = {}
    for index, entry in enumerate(entries):
        try:
            resolved[index] = await resolve(entry)
        except RecLensError as error:
            if is_of_version(error):
                raise
            outcomes[index].failure.CopyFrom(failure_of(error))
            # To find names that are near takes milliseconds; others have their turn between.
            await asyncio.sleep(0)
    return resolved


def _answered(
    resolved: Mapping[int, ResolvedRequest],
    answers: Sequence[inference.RankResponse | RecLensError],
    outcomes: Sequence[Any],
) -> Iterator[tuple[int, ResolvedRequest, inference.RankResponse]]:
    """Entries that were answered; of those that were refused, the outcome says why."""
    for (index, one), answer in zip(resolved.items(), answers, strict=True):
        if isinstance(answer, NotReady):
            # Nothing in an entry that was resolved can be that but its version.
            raise answer
        if isinstance(answer, RecLensError):
            outcomes[index].failure.CopyFrom(failure_of(answer))
        else:
            yield index, one, answer


def _check_release(name: str, first: str) -> None:
    if name and name != first:
        raise InvalidInput(
            f"a batch is answered from its first entry's release, {first!r}.",
            field="release",
            remedy="send requests for another release in a batch of their own.",
        )
