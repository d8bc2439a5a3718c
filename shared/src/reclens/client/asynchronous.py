"""Client of SteeringService for asyncio; the same calls as the blocking one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from types import TracebackType
from typing import Any, Self, TypeVar

import grpc
from grpc import aio

from reclens.adapters.grpc_errors import error_of
from reclens.adapters.grpc_server import channel_options
from reclens.api.steering.v1 import steering_pb2 as pb
from reclens.api.steering.v1 import steering_pb2_grpc
from reclens.client.requests import recommend_request, search_request, subject
from reclens.client.synchronous import DEFAULT_TIMEOUT, MAX_MESSAGE_BYTES

A = TypeVar("A")


class AsyncSteeringClient:
    """Asks a gateway from an event loop; arguments and errors as `SteeringClient`."""

    def __init__(
        self,
        target: str = "127.0.0.1:50051",
        *,
        timeout: float = DEFAULT_TIMEOUT,
        credentials: grpc.ChannelCredentials | None = None,
    ) -> None:
        self._target = target
        self._timeout = timeout
        options = channel_options(MAX_MESSAGE_BYTES)
        self._channel = (
            aio.insecure_channel(target, options=options)
            if credentials is None
            else aio.secure_channel(target, credentials, options=options)
        )
        self._stub = steering_pb2_grpc.SteeringServiceStub(self._channel)

    async def recommend(self, **options: Any) -> pb.RecommendResponse:
        """Recommend for one user or history; options as in `recommend_request`."""
        return await self._send(self._stub.Recommend, recommend_request(**options))

    async def batch_recommend(
        self, requests: Iterable[pb.RecommendRequest]
    ) -> list[pb.RecommendOutcome]:
        """Recommend for up to 256 users or histories; each fails alone."""
        batch = pb.BatchRecommendRequest(requests=requests)
        return list((await self._send(self._stub.BatchRecommend, batch)).outcomes)

    async def explain(
        self,
        *,
        user_id: str | None = None,
        history: Iterable[str] | None = None,
        top_k: int = 10,
        include_seen: bool = False,
        release: str = "",
    ) -> pb.ExplainResponse:
        """The latents that fire and what each adds to each recommended item's score."""
        request = pb.ExplainRequest(
            release=release,
            subject=subject(user_id, history),
            top_k=top_k,
            include_seen=include_seen,
        )
        return await self._send(self._stub.Explain, request)

    async def concepts(
        self, *, min_confidence: float = 0.0, release: str = ""
    ) -> AsyncIterator[pb.Concept]:
        """All concepts, most trusted first, fetched a page at a time."""
        request = pb.ListConceptsRequest(
            release=release, min_confidence=min_confidence, page_size=200
        )
        while True:
            page = await self._send(self._stub.ListConcepts, request)
            for concept in page.concepts:
                yield concept
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    async def concept(self, concept_id: str, *, release: str = "") -> pb.Concept:
        """One concept."""
        request = pb.GetConceptRequest(release=release, concept_id=concept_id)
        return (await self._send(self._stub.GetConcept, request)).concept

    async def search_concepts(
        self,
        text: str | None = None,
        *,
        item_id: str | None = None,
        user_id: str | None = None,
        release: str = "",
    ) -> list[pb.Concept]:
        """Concepts by words, by an item that is evidence, or by whom they fire for."""
        request = search_request(text, item_id, user_id, release)
        return list((await self._send(self._stub.SearchConcepts, request)).concepts)

    async def release(self, name: str = "") -> pb.Release:
        """One release. Empty: ``default``."""
        request = pb.GetReleaseRequest(name=name)
        return (await self._send(self._stub.GetRelease, request)).release

    async def releases(self) -> list[pb.Release]:
        """All releases by name."""
        request = pb.ListReleasesRequest(page_size=1000)
        return list((await self._send(self._stub.ListReleases, request)).releases)

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

    async def _send(self, call: Callable[..., Awaitable[A]], request: Any) -> A:
        try:
            return await call(request, timeout=self._timeout)
        except aio.AioRpcError as error:
            trailers = [(str(key), value) for key, value in error.trailing_metadata() or ()]
            peer = f"the gateway at {self._target}"
            raise error_of(error.code(), error.details(), trailers, peer) from error
