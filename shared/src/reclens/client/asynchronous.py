"""Client of SteeringService for asyncio; the same calls as the blocking one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

import grpc
from grpc import aio

from reclens.api.steering.v1 import steering_pb2 as pb
from reclens.api.steering.v1 import steering_pb2_grpc
from reclens.client.async_session import AsyncSession
from reclens.client.connection import (
    DEFAULT_TIMEOUT,
    SESSION_TIMEOUT,
    Connection,
    channel_options,
)
from reclens.client.policies import AsyncPolicyMethods
from reclens.client.requests import (
    RecommendOptions,
    SubjectOptions,
    compare_request,
    explain_request,
    propose_request,
    recommend_request,
    search_request,
)

A = TypeVar("A")


class AsyncSteeringClient(AsyncPolicyMethods):
    """Asks a gateway from an event loop; arguments and errors as `SteeringClient`."""

    def __init__(
        self,
        target: str = "127.0.0.1:50051",
        *,
        timeout: float = DEFAULT_TIMEOUT,
        token: str = "",
        ca: str | Path | bytes | None = None,
        credentials: grpc.ChannelCredentials | None = None,
    ) -> None:
        self._connection = Connection(target, timeout, token, ca, credentials)
        secure = self._connection.channel_credentials()
        self._channel = (
            aio.insecure_channel(target, options=channel_options())
            if secure is None
            else aio.secure_channel(target, secure, options=channel_options())
        )
        self._stub = steering_pb2_grpc.SteeringServiceStub(self._channel)

    # --- recommendations -------------------------------------------------------------------------

    async def recommend(
        self, *, timeout: float | None = None, **options: Unpack[RecommendOptions]
    ) -> pb.RecommendResponse:
        """Recommend for one user or history."""
        return await self._send(self._stub.Recommend, recommend_request(**options), timeout)

    async def batch_recommend(
        self, requests: Iterable[pb.RecommendRequest], *, timeout: float | None = None
    ) -> list[pb.RecommendOutcome]:
        """Recommend for up to 256 users or histories; each fails alone."""
        batch = pb.BatchRecommendRequest(requests=requests)
        return list((await self._send(self._stub.BatchRecommend, batch, timeout)).outcomes)

    def session(
        self, *, timeout: float = SESSION_TIMEOUT, **options: Unpack[RecommendOptions]
    ) -> AsyncSession:
        """Open a session that begins with this question.

        Args:
            timeout: seconds that the whole session may last.
            options: as for `recommend`.
        """
        start = recommend_request(**options)
        return AsyncSession(self._stub.StreamRecommend, self._connection, start, timeout)

    async def compare(
        self,
        variants: Mapping[str, Iterable[pb.Edit]] | Iterable[pb.Variant],
        *,
        exclude: Iterable[str] = (),
        limits: Mapping[str, int] | None = None,
        timeout: float | None = None,
        **options: Unpack[SubjectOptions],
    ) -> pb.CompareResponse:
        """Answer up to 32 lists of edits for one user or history, beside one untouched answer."""
        request = compare_request(variants, exclude=exclude, limits=limits, **options)
        return await self._send(self._stub.Compare, request, timeout)

    async def explain(
        self, *, timeout: float | None = None, **options: Unpack[SubjectOptions]
    ) -> pb.ExplainResponse:
        """The latents that fire and what each adds to each recommended item's score."""
        return await self._send(self._stub.Explain, explain_request(**options), timeout)

    async def propose_edit(
        self,
        text: str | None = None,
        *,
        liked: Iterable[str] = (),
        disliked: Iterable[str] = (),
        max_latents: int = 0,
        trusted_only: bool = False,
        release: str = "",
        timeout: float | None = None,
    ) -> pb.ProposeEditResponse:
        """An edit that moves answers towards a text, or towards liked and away from disliked items.

        Nothing is applied: send ``edit`` of what comes back.
        """
        request = propose_request(
            text,
            liked,
            disliked,
            max_latents=max_latents,
            trusted_only=trusted_only,
            release=release,
        )
        return await self._send(self._stub.ProposeEdit, request, timeout)

    # --- concepts --------------------------------------------------------------------------------

    async def concepts(
        self, *, min_confidence: float = 0.0, release: str = "", timeout: float | None = None
    ) -> AsyncIterator[pb.Concept]:
        """All concepts, most trusted first, fetched a page at a time."""
        request = pb.ListConceptsRequest(
            release=release, min_confidence=min_confidence, page_size=200
        )
        async for page in self._pages(self._stub.ListConcepts, request, timeout):
            for concept in page.concepts:
                yield concept

    async def concept(
        self, concept_id: str, *, release: str = "", timeout: float | None = None
    ) -> pb.Concept:
        """One concept."""
        request = pb.GetConceptRequest(release=release, concept_id=concept_id)
        return (await self._send(self._stub.GetConcept, request, timeout)).concept

    async def concept_push(
        self, concept_id: str, *, release: str = "", timeout: float | None = None
    ) -> list[pb.ProposedPart]:
        """What adding a concept pushes, heaviest first; nothing: its own latents."""
        request = pb.GetConceptRequest(release=release, concept_id=concept_id, include_push=True)
        return list((await self._send(self._stub.GetConcept, request, timeout)).push)

    async def search_concepts(
        self,
        text: str | None = None,
        *,
        item_id: str | None = None,
        user_id: str | None = None,
        release: str = "",
        timeout: float | None = None,
    ) -> list[pb.Concept]:
        """Concepts by words, by an item that is evidence, or by whom they fire for."""
        request = search_request(text, item_id, user_id, release)
        pages = self._pages(self._stub.SearchConcepts, request, timeout)
        return [concept async for page in pages for concept in page.concepts]

    # --- releases --------------------------------------------------------------------------------

    async def release(self, name: str = "", *, timeout: float | None = None) -> pb.Release:
        """One release. Empty: ``default``."""
        request = pb.GetReleaseRequest(name=name)
        return (await self._send(self._stub.GetRelease, request, timeout)).release

    async def releases(self, *, timeout: float | None = None) -> list[pb.Release]:
        """All releases by name."""
        request = pb.ListReleasesRequest(page_size=1000)
        pages = self._pages(self._stub.ListReleases, request, timeout)
        return [release async for page in pages for release in page.releases]

    # --- the channel -----------------------------------------------------------------------------

    async def close(self) -> None:
        """Close the channel."""
        await self._channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def _pages(
        self, call: Callable[..., Any], request: Any, timeout: float | None
    ) -> AsyncIterator[Any]:
        while True:
            page = await self._send(call, request, timeout)
            yield page
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    async def _send(
        self, call: Callable[..., Awaitable[A]], request: Any, timeout: float | None
    ) -> A:
        connection = self._connection
        try:
            return await call(
                request, timeout=connection.seconds(timeout), metadata=connection.metadata
            )
        except aio.AioRpcError as error:
            raise connection.error(error) from error
