# Generated from asynchronous.py by deploy/generate-sync-client.py. DO NOT EDIT!
"""Blocking client of SteeringService."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self, Unpack

import grpc

from reclens.api.steering.v1 import steering_pb2 as pb
from reclens.api.steering.v1 import steering_pb2_grpc
from reclens.client.connection import (
    DEFAULT_TIMEOUT,
    SESSION_TIMEOUT,
    Connection,
    client_channel_options,
    session_ended,
)
from reclens.client.requests import (
    PolicyOptions,
    RecommendOptions,
    SubjectOptions,
    compare_request,
    create_request,
    explain_request,
    propose_request,
    recommend_request,
    search_request,
)
from reclens.client.sessions import END, BlockingStream, SessionAnswer, answer_of, update_step
from reclens.steering.limits import MAX_PAGE_SIZE


class SteeringClient:
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
            grpc.insecure_channel(target, options=client_channel_options(target))
            if secure is None
            else grpc.secure_channel(target, secure, options=client_channel_options(target))
        )
        # The generated code knows only the blocking channel.
        self._stub: Any = steering_pb2_grpc.SteeringServiceStub(self._channel)

    # --- recommendations -------------------------------------------------------------------------

    def recommend(
        self, *, timeout: float | None = None, **options: Unpack[RecommendOptions]
    ) -> pb.RecommendResponse:
        """Recommend for one user or history."""
        return self._send(self._stub.Recommend, recommend_request(**options), timeout)

    def batch_recommend(
        self, requests: Iterable[pb.RecommendRequest], *, timeout: float | None = None
    ) -> list[pb.RecommendOutcome]:
        """Recommend for up to `MAX_BATCH` users or histories; each fails alone."""
        batch = pb.BatchRecommendRequest(requests=requests)
        return list((self._send(self._stub.BatchRecommend, batch, timeout)).outcomes)

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
        """Answer up to `MAX_VARIANTS` lists of edits for one user or history, beside one untouched
        answer."""
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
        return self._entries(self._stub.ListConcepts, request, "concepts", timeout)

    def concept(
        self, concept_id: str, *, release: str = "", timeout: float | None = None
    ) -> pb.Concept:
        """One concept."""
        request = pb.GetConceptRequest(release=release, concept_id=concept_id)
        return (self._send(self._stub.GetConcept, request, timeout)).concept

    def concept_push(
        self, concept_id: str, *, release: str = "", timeout: float | None = None
    ) -> list[pb.ProposedPart]:
        """What adding a concept pushes, heaviest first; nothing: its own latents."""
        request = pb.GetConceptRequest(release=release, concept_id=concept_id, include_push=True)
        return list((self._send(self._stub.GetConcept, request, timeout)).push)

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
        found = self._entries(self._stub.SearchConcepts, request, "concepts", timeout)
        return [concept for concept in found]

    # --- policies: calls that write are not repeated, as one that failed may have been done ------

    def create_policy(
        self,
        policy: str | pb.Policy,
        *,
        timeout: float | None = None,
        **options: Unpack[PolicyOptions],
    ) -> pb.Policy:
        """Store a policy under a name that is free; it is checked against its release.

        Args:
            policy: its name, with what it says as options; or all of it.
            timeout: seconds that the call may take.
            options: see `PolicyOptions`.

        Raises:
            AlreadyExists: there is one of that name.
            InvalidInput, NotFound: what it says cannot be applied to its release.
        """
        request = create_request(policy, **options)
        return (self._send(self._stub.CreatePolicy, request, timeout)).policy

    def policy(
        self, policy_id: str, *, version: int = 0, timeout: float | None = None
    ) -> pb.Policy:
        """A policy as it is, or as it was in a version."""
        request = pb.GetPolicyRequest(policy_id=policy_id, version=version)
        return (self._send(self._stub.GetPolicy, request, timeout)).policy

    def policies(self, *, timeout: float | None = None) -> Iterator[pb.Policy]:
        """All policies by name, fetched a page at a time."""
        request = pb.ListPoliciesRequest(page_size=200)
        return self._entries(self._stub.ListPolicies, request, "policies", timeout)

    def policy_versions(
        self, policy_id: str, *, timeout: float | None = None
    ) -> Iterator[pb.Policy]:
        """All versions of a policy, newest first, a page at a time; also of a deleted one."""
        request = pb.ListPolicyVersionsRequest(policy_id=policy_id, page_size=50)
        return self._entries(self._stub.ListPolicyVersions, request, "policies", timeout)

    def update_policy(
        self, policy: pb.Policy, *, comment: str = "", timeout: float | None = None
    ) -> pb.Policy:
        """Store the next version of a policy.

        Args:
            policy: the whole new policy, with the version that the change is based on: get it,
                change it, send it.
            comment: why, for the record.
            timeout: seconds that the call may take.

        Raises:
            StalePolicy: another change came first.
            InvalidInput, NotFound: what it says cannot be applied to its release.
        """
        request = pb.UpdatePolicyRequest(policy=policy)
        # That of the version before is not repeated.
        request.policy.comment = comment
        return (self._send(self._stub.UpdatePolicy, request, timeout)).policy

    def delete_policy(
        self,
        policy_id: str,
        *,
        version: int = 0,
        comment: str = "",
        timeout: float | None = None,
    ) -> pb.Policy:
        """Delete a policy: requests that name it are refused, its versions stay.

        Args:
            policy_id: its name.
            version: that the decision is based on. 0: whichever is the newest.
            comment: why, for the record.
            timeout: seconds that the call may take.

        Raises:
            StalePolicy: another change came first.
        """
        request = pb.DeletePolicyRequest(policy_id=policy_id, version=version, comment=comment)
        return (self._send(self._stub.DeletePolicy, request, timeout)).policy

    # --- releases --------------------------------------------------------------------------------

    def release(self, name: str = "", *, timeout: float | None = None) -> pb.Release:
        """One release. Empty: ``default``."""
        request = pb.GetReleaseRequest(name=name)
        return (self._send(self._stub.GetRelease, request, timeout)).release

    def releases(self, *, timeout: float | None = None) -> list[pb.Release]:
        """All releases by name."""
        request = pb.ListReleasesRequest(page_size=MAX_PAGE_SIZE)
        found = self._entries(self._stub.ListReleases, request, "releases", timeout)
        return [release for release in found]

    # --- the channel -----------------------------------------------------------------------------

    def close(self) -> None:
        """Close the channel."""
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _entries(self, call: Any, request: Any, field: str, timeout: float | None) -> Iterator[Any]:
        """What ``field`` of all pages holds, fetched a page at a time."""
        while True:
            page = self._send(call, request, timeout)
            for entry in getattr(page, field):
                yield entry
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    def _send(self, call: Any, request: Any, timeout: float | None) -> Any:
        connection = self._connection
        seconds = connection.seconds(timeout)
        try:
            return call(request, timeout=seconds, metadata=connection.metadata)
        except grpc.RpcError as error:
            raise connection.error(error) from error


class Session:
    """An open session: `send` changes, and iterate over the answers.

    Where changes come faster than answers only the newest is answered. One thread may send while
    another reads.

    Raises (while reading):
        RecLensError: the session ended with it.
    """

    def __init__(
        self, method: Any, connection: Connection, start: pb.RecommendRequest, timeout: float
    ) -> None:
        self._connection = connection
        self._start = start
        self._sequence = 0
        self._call = BlockingStream(
            method, timeout=connection.seconds(timeout), metadata=connection.metadata
        )

    def send(
        self,
        *,
        edits: Iterable[pb.Edit] | None = None,
        exclude: Iterable[str] | None = None,
        limits: Mapping[str, int] | None = None,
        top_k: int = 0,
    ) -> int:
        """Change what is asked; what is not given stays as it is.

        Args:
            edits: in place of all edits before.
            exclude: with ``limits`` in place of the constraints before.
            limits: see ``exclude``.
            top_k: items to return. 0: as before.

        Returns:
            Number of the step, which its answer carries.
        """
        self._begin()
        self._sequence += 1
        self._write(update_step(self._sequence, edits, exclude, limits, top_k))
        return self._sequence

    def __iter__(self) -> Iterator[SessionAnswer]:
        return self

    def __next__(self) -> SessionAnswer:
        self._begin()
        try:
            message = self._call.read()
        except grpc.RpcError as error:
            raise self._connection.error(error) from error
        if message is END:
            raise StopIteration
        return answer_of(message)

    def ask(self, **change: Any) -> pb.RecommendResponse:
        """`send` a change and wait for its answer. Answers to steps before it are passed over.

        Raises:
            RecLensError: the change was refused; the session goes on.
        """
        sequence = self.send(**change)
        for answer in self:
            if answer.sequence == sequence:
                return answer.result()
        raise session_ended()

    def end(self) -> None:
        """Send no more: the answers end after the one to the last step."""
        self._begin()
        self._call.done_writing()

    def close(self) -> None:
        """Give the session up, with what is not answered yet."""
        self._call.cancel()

    def __enter__(self) -> Self:
        self._begin()
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _begin(self) -> None:
        if not self._sequence:
            self._sequence = 1
            self._write(pb.StreamRecommendRequest(sequence=1, start=self._start))

    def _write(self, step: pb.StreamRecommendRequest) -> None:
        try:
            self._call.write(step)
        except grpc.RpcError as error:
            raise self._connection.error(error) from error
