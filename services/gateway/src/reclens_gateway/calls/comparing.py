"""Compare."""

from __future__ import annotations

from typing import Any

from reclens.api.steering.v1 import steering_pb2 as pb
from reclens.errors import InvalidInput, NotReady, RecLensError
from reclens.platform.grpc.calls import request_id
from reclens_gateway.calls.answering import add_items, failure_of
from reclens_gateway.calls.base import Calls, is_of_version
from reclens_gateway.calls.effects import add_effect
from reclens_gateway.resolving.policies import FittedPolicy
from reclens_gateway.resolving.requests import Asked, resolve
from reclens_gateway.served_release import ServedRelease

MAX_VARIANTS = 32
"""Lists of edits in one comparison."""
MAX_NAME = 128
"""Characters of a variant's name."""


class ComparingCalls(Calls):
    """Several lists of edits for one subject."""

    async def Compare(self, request: pb.CompareRequest, context: Any) -> pb.CompareResponse:  # noqa: N802
        if not 1 <= len(request.variants) <= MAX_VARIANTS:
            raise InvalidInput(
                f"{len(request.variants)} variants cannot be compared.",
                field="variants",
                remedy=f"send 1 to {MAX_VARIANTS}.",
            )
        for position, variant in enumerate(request.variants):
            if len(variant.name) > MAX_NAME:
                raise InvalidInput(
                    f"{len(variant.name)} characters are too many for a name.",
                    field=f"variants[{position}].name",
                    remedy=f"use at most {MAX_NAME}.",
                )
        deadline = self.deadline(context)

        async def answer(served: ServedRelease) -> pb.CompareResponse:
            return await self._compared(served, request, deadline)

        return await self.on_one_version(request.release, answer)

    async def _compared(
        self, served: ServedRelease, request: pb.CompareRequest, deadline: float
    ) -> pb.CompareResponse:
        response = pb.CompareResponse(versions=served.versions, request_id=request_id())
        # What is wrong with all variants alike is refused as a whole, with the untouched answer.
        asked = {-1: self._asked(served, request, pb.Variant(), None)}
        for index, variant in enumerate(request.variants):
            outcome = response.outcomes.add(name=variant.name)
            try:
                policy = await self.policy(variant, served, deadline)
                await self.learn(served, variant.edits, deadline)
                asked[index] = self._asked(served, request, variant, policy)
            except RecLensError as error:
                if is_of_version(error):
                    raise
                outcome.failure.CopyFrom(failure_of(error))
        answers = await self.peer.rank_all([one.question for one in asked.values()], deadline)
        for (index, one), answer in zip(asked.items(), answers, strict=True):
            if isinstance(answer, RecLensError):
                if index < 0 or isinstance(answer, NotReady):
                    raise answer
                response.outcomes[index].failure.CopyFrom(failure_of(answer))
            elif index < 0:
                add_items(served, answer.ranked, response.baseline)
            else:
                variant = response.outcomes[index].answer
                add_items(served, answer.ranked, variant.items)
                add_effect(served, one, answer, variant.effect)
        return response

    @staticmethod
    def _asked(
        served: ServedRelease,
        request: pb.CompareRequest,
        variant: pb.Variant,
        policy: FittedPolicy | None,
    ) -> Asked:
        return resolve(
            served,
            request.subject,
            request.top_k,
            request.include_seen,
            edits=variant.edits,
            mode=variant.mode,
            constraints=request.constraints if request.HasField("constraints") else None,
            policy=policy,
        )
