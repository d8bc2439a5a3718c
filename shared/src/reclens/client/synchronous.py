"""Blocking client of SteeringService."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

import grpc

from reclens.api.steering.v1 import steering_pb2 as pb
from reclens.api.steering.v1 import steering_pb2_grpc
from reclens.client.connection import (
    DEFAULT_TIMEOUT,
    SESSION_TIMEOUT,
    Connection,
    channel_options,
)
from reclens.client.policies import PolicyMethods
from reclens.client.requests import (
    RecommendOptions,
    SubjectOptions,
    compare_request,
    explain_request,
    propose_request,
    recommend_request,
    search_request,
)
from reclens.client.session import Session

A = TypeVar("A")


class SteeringClient(PolicyMethods):
    """Asks a gateway, over one channel that threads may share.

    Every call has a deadline: ``timeout``, or the one that it is given itself. Calls that only read
    are repeated within it where the gateway could not be reached.

    Args:
        target: ``host:port`` of the gateway.
        timeout: seconds that each call may take.
        token: bearer token that is shown with each call. Empty: none.
        ca: for TLS: a PEM file of the authorities to trust, or its contents.
        credentials: for TLS with anything else, e.g. a certificate of the caller's own. Neither
            this nor ``ca``: plain text.

    Raises (all calls):
        RecLensError: the error that the gateway answered with, as its own class, with ``field``
            and ``remedy``: InvalidInput, NotFound, NotReady, Unavailable, ...
    """

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
            grpc.insecure_channel(target, options=channel_options())
            if secure is None
            else grpc.secure_channel(target, secure, options=channel_options())
        )
        self._stub = steering_pb2_grpc.SteeringServiceStub(self._channel)

    # --- recommendations -------------------------------------------------------------------------

    def recommend(
        self, *, timeout: float | None = None, **options: Unpack[RecommendOptions]
    ) -> pb.RecommendResponse:
        """Recommend for one user or history."""
        return self._send(self._stub.Recommend, recommend_request(**options), timeout)

    def batch_recommend(
        self, requests: Iterable[pb.RecommendRequest], *, timeout: float | None = None
    ) -> list[pb.RecommendOutcome]:
        """Recommend for up to 256 users or histories; each fails alone."""
        batch = pb.BatchRecommendRequest(requests=requests)
        return list(self._send(self._stub.BatchRecommend, batch, timeout).outcomes)

    def session(
        self, *, timeout: float = SESSION_TIMEOUT, **options: Unpack[RecommendOptions]
    ) -> Session:
        """Open a session that begins with this question.

        Args:
            timeout: seconds that the whole session may last.
            options: as for `recommend`.
        """
        start = recommend_request(**options)
        return Session(self._stub.StreamRecommend, self._connection, start, timeout)

    def compare(
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
        return self._send(self._stub.Compare, request, timeout)

    def explain(
        self, *, timeout: float | None = None, **options: Unpack[SubjectOptions]
    ) -> pb.ExplainResponse:
        """The latents that fire and what each adds to each recommended item's score."""
        return self._send(self._stub.Explain, explain_request(**options), timeout)

    def propose_edit(
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
        return self._send(self._stub.ProposeEdit, request, timeout)

    # --- concepts --------------------------------------------------------------------------------

    def concepts(
        self, *, min_confidence: float = 0.0, release: str = "", timeout: float | None = None
    ) -> Iterator[pb.Concept]:
        """All concepts, most trusted first, fetched a page at a time."""
        request = pb.ListConceptsRequest(
            release=release, min_confidence=min_confidence, page_size=200
        )
        for page in self._pages(self._stub.ListConcepts, request, timeout):
            yield from page.concepts

    def concept(
        self, concept_id: str, *, release: str = "", timeout: float | None = None
    ) -> pb.Concept:
        """One concept."""
        request = pb.GetConceptRequest(release=release, concept_id=concept_id)
        return self._send(self._stub.GetConcept, request, timeout).concept

    def concept_push(
        self, concept_id: str, *, release: str = "", timeout: float | None = None
    ) -> list[pb.ProposedPart]:
        """What adding a concept pushes, heaviest first; nothing: its own latents."""
        request = pb.GetConceptRequest(release=release, concept_id=concept_id, include_push=True)
        return list(self._send(self._stub.GetConcept, request, timeout).push)

    def search_concepts(
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
        return [concept for page in pages for concept in page.concepts]

    # --- releases --------------------------------------------------------------------------------

    def release(self, name: str = "", *, timeout: float | None = None) -> pb.Release:
        """One release. Empty: ``default``."""
        request = pb.GetReleaseRequest(name=name)
        return self._send(self._stub.GetRelease, request, timeout).release

    def releases(self, *, timeout: float | None = None) -> list[pb.Release]:
        """All releases by name."""
        request = pb.ListReleasesRequest(page_size=1000)
        pages = self._pages(self._stub.ListReleases, request, timeout)
        return [release for page in pages for release in page.releases]

    # --- the channel -----------------------------------------------------------------------------

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

    def _pages(
        self, call: Callable[..., Any], request: Any, timeout: float | None
    ) -> Iterator[Any]:
        while True:
            page = self._send(call, request, timeout)
            yield page
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    def _send(self, call: Callable[..., A], request: Any, timeout: float | None) -> A:
        connection = self._connection
        try:
            return call(request, timeout=connection.seconds(timeout), metadata=connection.metadata)
        except grpc.RpcError as error:
            raise connection.error(error) from error
