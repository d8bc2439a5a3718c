"""Blocking client of SteeringService."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, Self, TypeVar

import grpc

from reclens.adapters.grpc_errors import error_of
from reclens.adapters.grpc_server import channel_options
from reclens.api.steering.v1 import steering_pb2 as pb
from reclens.api.steering.v1 import steering_pb2_grpc
from reclens.client.requests import recommend_request, search_request, subject

A = TypeVar("A")

MAX_MESSAGE_BYTES = 32 << 20
"""Largest answer that a client takes."""
DEFAULT_TIMEOUT = 10.0
"""Seconds that a call may take."""


class SteeringClient:
    """Asks a gateway, over one channel that threads may share.

    Every call has a deadline; calls that did not get through are repeated within it.

    Args:
        target: ``host:port`` of the gateway.
        timeout: seconds that each call may take.
        credentials: for TLS. None: plain text.

    Raises (all calls):
        RecLensError: the error that the gateway answered with, as its own class, with ``field``
            and ``remedy``: InvalidInput, NotFound, NotReady, Unavailable, ...
    """

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
            grpc.insecure_channel(target, options=options)
            if credentials is None
            else grpc.secure_channel(target, credentials, options=options)
        )
        self._stub = steering_pb2_grpc.SteeringServiceStub(self._channel)

    def recommend(self, **options: Any) -> pb.RecommendResponse:
        """Recommend for one user or history; options as in `recommend_request`."""
        return self._send(self._stub.Recommend, recommend_request(**options))

    def batch_recommend(self, requests: Iterable[pb.RecommendRequest]) -> list[pb.RecommendOutcome]:
        """Recommend for up to 256 users or histories; each fails alone."""
        batch = pb.BatchRecommendRequest(requests=requests)
        return list(self._send(self._stub.BatchRecommend, batch).outcomes)

    def explain(
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
        return self._send(self._stub.Explain, request)

    def concepts(self, *, min_confidence: float = 0.0, release: str = "") -> Iterator[pb.Concept]:
        """All concepts, most trusted first, fetched a page at a time."""
        request = pb.ListConceptsRequest(
            release=release, min_confidence=min_confidence, page_size=200
        )
        while True:
            page = self._send(self._stub.ListConcepts, request)
            yield from page.concepts
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    def concept(self, concept_id: str, *, release: str = "") -> pb.Concept:
        """One concept."""
        request = pb.GetConceptRequest(release=release, concept_id=concept_id)
        return self._send(self._stub.GetConcept, request).concept

    def search_concepts(
        self,
        text: str | None = None,
        *,
        item_id: str | None = None,
        user_id: str | None = None,
        release: str = "",
    ) -> list[pb.Concept]:
        """Concepts by words, by an item that is evidence, or by whom they fire for."""
        request = search_request(text, item_id, user_id, release)
        return list(self._send(self._stub.SearchConcepts, request).concepts)

    def release(self, name: str = "") -> pb.Release:
        """One release. Empty: ``default``."""
        return self._send(self._stub.GetRelease, pb.GetReleaseRequest(name=name)).release

    def releases(self) -> list[pb.Release]:
        """All releases by name."""
        request = pb.ListReleasesRequest(page_size=1000)
        return list(self._send(self._stub.ListReleases, request).releases)

    def close(self) -> None:
        """Close the channel."""
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _send(self, call: Callable[..., A], request: Any) -> A:
        try:
            return call(request, timeout=self._timeout)
        except grpc.RpcError as error:
            # What a stub raises is a call as well; the type stubs do not say so.
            ended: Any = error
            raise error_of(
                ended.code(),
                ended.details(),
                ended.trailing_metadata(),
                f"the gateway at {self._target}",
            ) from error
