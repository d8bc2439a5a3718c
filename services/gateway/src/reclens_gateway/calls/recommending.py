"""Recommend, BatchRecommend, Compare and Explain."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from reclens.api.inference.v1 import inference_pb2 as inference
from reclens.api.steering.v1 import steering_pb2 as pb
from reclens.errors import InvalidInput, NotReady, RecLensError
from reclens.platform.grpc.auth import Scope
from reclens.platform.grpc.calls import check_request_id, request_id
from reclens.rpc_status import write_failure
from reclens.similar_names import suggesting
from reclens.steering.limits import MAX_BATCH, MAX_VARIANT_NAME, MAX_VARIANTS, check_count
from reclens_gateway.calls.answers import (
    add_effect,
    add_items,
    explain_response,
    recommend_response,
)
from reclens_gateway.calls.base import Calls, is_of_version, requires
from reclens_gateway.resolving import ResolvedRequest, ServedRelease, resolve_request


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
        first, deadline = request.requests[0].release, self.deadline(context)
        return await self.on_one_version(
            first, self._batch, request, deadline, field="requests[0].release"
        )

    # Comparisons are there for edits.
    @requires(Scope.STEER, weight=lambda request: len(request.variants))
    async def Compare(self, request: pb.CompareRequest, context: Any) -> pb.CompareResponse:  # noqa: N802
        check_count(len(request.variants), MAX_VARIANTS, "variants", field="variants", least=1)
        for position, variant in enumerate(request.variants):
            field = f"variants[{position}].name"
            check_count(len(variant.name), MAX_VARIANT_NAME, "characters", field=field)
        deadline = self.deadline(context)
        return await self.on_one_version(request.release, self._compared, request, deadline)

    @requires(Scope.READ)
    async def Explain(self, request: pb.ExplainRequest, context: Any) -> pb.ExplainResponse:  # noqa: N802
        deadline = self.deadline(context)
        return await self.on_one_version(request.release, self._explained, request, deadline)

    async def recommended(
        self, request: pb.RecommendRequest, deadline: float, identifier: str
    ) -> pb.RecommendResponse:
        """The answer to one request."""
        return await self.on_one_version(
            request.release, self._recommended, request, deadline, identifier
        )

    async def _recommended(
        self,
        served: ServedRelease,
        request: pb.RecommendRequest,
        deadline: float,
        identifier: str,
    ) -> pb.RecommendResponse:
        resolved = await self.resolved(served, request, deadline)
        resolved.rank.request_id = identifier
        ranked = await self.inference.rank(resolved.rank, deadline)
        return recommend_response(
            served, resolved, ranked, explain=request.explain, request_id=identifier
        )

    async def _explained(
        self, served: ServedRelease, request: pb.ExplainRequest, deadline: float
    ) -> pb.ExplainResponse:
        asked = pb.RecommendRequest(
            subject=request.subject,
            top_k=request.top_k,
            include_seen=request.include_seen,
            explain=True,
        )
        rank = resolve_request(served, asked).rank
        return explain_response(served, await self.inference.rank(rank, deadline), request_id())

    async def _batch(
        self, served: ServedRelease, request: pb.BatchRecommendRequest, deadline: float
    ) -> pb.BatchRecommendResponse:
        outcomes = [pb.RecommendOutcome()] * len(request.requests)
        response = pb.BatchRecommendResponse(outcomes=outcomes)
        resolved = await self._resolve_each(served, request.requests, response.outcomes, deadline)
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
        # What is wrong with all variants alike is refused as a whole, with the untouched answer.
        untouched = resolve_request(served, _in_full(request, pb.Variant()))
        entries = [_in_full(request, variant) for variant in request.variants]
        resolved = await self._resolve_each(served, entries, response.outcomes, deadline)
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

    async def _resolve_each(
        self,
        served: ServedRelease,
        entries: Sequence[pb.RecommendRequest],
        outcomes: Sequence[Any],
        deadline: float,
    ) -> dict[int, ResolvedRequest]:
        """Entries of one call by their place; of those that are refused, the outcome says why. To
        find names that are near takes milliseconds, so only the first is told them."""
        resolved: dict[int, ResolvedRequest] = {}
        before = suggesting.set(True)
        for index, entry in enumerate(entries):
            try:
                check_request_id(entry.request_id)
                _check_release(entry.release, served.release.name)
                resolved[index] = await self.resolved(served, entry, deadline)
            except RecLensError as error:
                if is_of_version(error):
                    raise
                write_failure(error, outcomes[index].failure)
                suggesting.set(False)
        suggesting.reset(before)
        return resolved


def _in_full(request: pb.CompareRequest, variant: pb.Variant) -> pb.RecommendRequest:
    """A variant as a request of its own."""
    return pb.RecommendRequest(
        subject=request.subject,
        top_k=request.top_k,
        include_seen=request.include_seen,
        constraints=request.constraints,
        edits=variant.edits,
        mode=variant.mode,
        policy=variant.policy if variant.HasField("policy") else None,
    )


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
            write_failure(answer, outcomes[index].failure)
        else:
            yield index, one, answer


def _check_release(name: str, first: str) -> None:
    if name and name != first:
        raise InvalidInput(
            f"a batch is answered from its first entry's release, {first!r}.",
            field="release",
            remedy="send requests for another release in a batch of their own.",
        )
