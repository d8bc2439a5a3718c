"""Recommend, BatchRecommend and Explain."""

from __future__ import annotations

import asyncio
from typing import Any

from reclens.api.steering.v1 import steering_pb2 as pb
from reclens.errors import InvalidInput, NotReady, RecLensError
from reclens.platform.grpc.calls import check_request_id, request_id
from reclens_gateway.calls.answering import explain_response, failure_of, recommend_response
from reclens_gateway.calls.base import Calls, is_of_version
from reclens_gateway.resolving.policies import FittedPolicy
from reclens_gateway.resolving.requests import Asked, resolve
from reclens_gateway.served_release import ServedRelease

MAX_BATCH = 256
"""Entries in one BatchRecommend."""


class RecommendingCalls(Calls):
    """Answers for one subject or several."""

    async def Recommend(  # noqa: N802
        self, request: pb.RecommendRequest, context: Any
    ) -> pb.RecommendResponse:
        return await self.recommended(request, self.deadline(context), request_id())

    async def BatchRecommend(  # noqa: N802
        self, request: pb.BatchRecommendRequest, context: Any
    ) -> pb.BatchRecommendResponse:
        if not 1 <= len(request.requests) <= MAX_BATCH:
            raise InvalidInput(
                f"{len(request.requests)} requests cannot be answered at once.",
                field="requests",
                remedy=f"send 1 to {MAX_BATCH}.",
            )
        deadline = self.deadline(context)

        async def answer(served: ServedRelease) -> pb.BatchRecommendResponse:
            return await self._batch(served, request, deadline)

        first = request.requests[0].release
        return await self.on_one_version(first, answer, field="requests[0].release")

    async def Explain(self, request: pb.ExplainRequest, context: Any) -> pb.ExplainResponse:  # noqa: N802
        deadline = self.deadline(context)

        async def answer(served: ServedRelease) -> pb.ExplainResponse:
            asked = resolve(
                served, request.subject, request.top_k, request.include_seen, include_latents=True
            )
            ranked = await self.peer.rank(asked.question, deadline)
            return explain_response(served, ranked, request_id())

        return await self.on_one_version(request.release, answer)

    async def recommended(
        self, request: pb.RecommendRequest, deadline: float, identifier: str
    ) -> pb.RecommendResponse:
        """The answer to one request."""

        async def answer(served: ServedRelease) -> pb.RecommendResponse:
            policy = await self.policy(request, served, deadline)
            await self.learn(served, request.edits, deadline)
            asked = asked_of(served, request, policy)
            asked.question.request_id = identifier
            ranked = await self.peer.rank(asked.question, deadline)
            return recommend_response(
                served, asked, ranked, explain=request.explain, request_id=identifier
            )

        return await self.on_one_version(request.release, answer)

    async def _batch(
        self, served: ServedRelease, request: pb.BatchRecommendRequest, deadline: float
    ) -> pb.BatchRecommendResponse:
        response = pb.BatchRecommendResponse()
        resolved: dict[int, Asked] = {}
        for index, entry in enumerate(request.requests):
            outcome = response.outcomes.add()
            try:
                check_request_id(entry.request_id)
                _same_release(entry.release, served.release.name)
                policy = await self.policy(entry, served, deadline)
                await self.learn(served, entry.edits, deadline)
                resolved[index] = asked_of(served, entry, policy)
            except RecLensError as error:
                if is_of_version(error):
                    raise
                outcome.failure.CopyFrom(failure_of(error))
                # To find names that are near takes milliseconds; others have their turn between.
                await asyncio.sleep(0)
        questions = [asked.question for asked in resolved.values()]
        answers = await self.peer.rank_all(questions, deadline) if questions else []
        for (index, asked), answer in zip(resolved.items(), answers, strict=True):
            entry, outcome = request.requests[index], response.outcomes[index]
            if isinstance(answer, NotReady):
                # Nothing in an entry that was resolved can be that but its version.
                raise answer
            if isinstance(answer, RecLensError):
                outcome.failure.CopyFrom(failure_of(answer))
            else:
                identifier = entry.request_id or f"{request_id()}/{index}"
                outcome.response.CopyFrom(
                    recommend_response(
                        served, asked, answer, explain=entry.explain, request_id=identifier
                    )
                )
        return response


def asked_of(
    served: ServedRelease, request: pb.RecommendRequest, policy: FittedPolicy | None
) -> Asked:
    """What a request of Recommend asks, with the edits of its policy."""
    return resolve(
        served,
        request.subject,
        request.top_k,
        request.include_seen,
        edits=request.edits,
        mode=request.mode,
        constraints=request.constraints if request.HasField("constraints") else None,
        policy=policy,
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
