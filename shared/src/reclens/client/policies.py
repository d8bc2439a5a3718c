"""Stored policies, for both clients."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from typing import Any, TypedDict, Unpack

from reclens.api.steering.v1 import steering_pb2 as pb
from reclens.api.steering.v1 import steering_pb2_grpc
from reclens.client.requests import Mode, constraints, steering_mode
from reclens.errors import InvalidInput


class PolicyOptions(TypedDict, total=False):
    """What a policy says."""

    edits: Iterable[pb.Edit]
    """What to change, see `reclens.client.edits`. At most 100."""
    exclude: Iterable[str]
    """Item ids that must not be in answers."""
    limits: Mapping[str, int]
    """Most items of an answer that may carry a tag, by tag."""
    mode: Mode | None
    """``reconstruct`` drops what the dictionary does not explain. Not given: ``residual``."""
    description: str
    """What it is for."""
    release: str
    """Release that it is checked against. Not given: ``default``."""
    comment: str
    """Why it is made, for the record."""


def policy_message(policy_id: str, **options: Unpack[PolicyOptions]) -> pb.Policy:
    """A policy to be stored.

    Args:
        policy_id: its name: 1 to 63 of a-z, 0-9 and -, beginning with a letter.
        options: see `PolicyOptions`.

    Raises:
        InvalidInput: an unknown mode.
    """
    policy = pb.Policy(
        policy_id=policy_id,
        description=options.get("description", ""),
        release=options.get("release", ""),
        edits=options.get("edits", ()),
        mode=steering_mode(options.get("mode")),
        comment=options.get("comment", ""),
    )
    limited = constraints(options.get("exclude", ()), options.get("limits", {}))
    if limited is not None:
        policy.constraints.CopyFrom(limited)
    return policy


class PolicyMethods:
    """Calls that write are not repeated by the transport: one that failed may have been done."""

    _stub: steering_pb2_grpc.SteeringServiceStub

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
        return self._send(self._stub.CreatePolicy, request, timeout).policy

    def policy(
        self, policy_id: str, *, version: int = 0, timeout: float | None = None
    ) -> pb.Policy:
        """A policy as it is, or as it was in a version."""
        request = pb.GetPolicyRequest(policy_id=policy_id, version=version)
        return self._send(self._stub.GetPolicy, request, timeout).policy

    def policies(self, *, timeout: float | None = None) -> Iterator[pb.Policy]:
        """All policies by name, fetched a page at a time."""
        request = pb.ListPoliciesRequest(page_size=200)
        for page in self._pages(self._stub.ListPolicies, request, timeout):
            yield from page.policies

    def policy_versions(
        self, policy_id: str, *, timeout: float | None = None
    ) -> Iterator[pb.Policy]:
        """All versions of a policy, newest first, a page at a time; also of a deleted one."""
        request = pb.ListPolicyVersionsRequest(policy_id=policy_id, page_size=50)
        for page in self._pages(self._stub.ListPolicyVersions, request, timeout):
            yield from page.policies

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
        request = update_request(policy, comment)
        return self._send(self._stub.UpdatePolicy, request, timeout).policy

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
        return self._send(self._stub.DeletePolicy, request, timeout).policy

    def _send(self, call: Any, request: Any, timeout: float | None) -> Any:
        raise NotImplementedError

    def _pages(self, call: Any, request: Any, timeout: float | None) -> Iterator[Any]:
        raise NotImplementedError


class AsyncPolicyMethods:
    """As `PolicyMethods`, for asyncio."""

    _stub: steering_pb2_grpc.SteeringServiceStub

    async def create_policy(
        self,
        policy: str | pb.Policy,
        *,
        timeout: float | None = None,
        **options: Unpack[PolicyOptions],
    ) -> pb.Policy:
        """Store a policy under a name that is free; it is checked against its release."""
        request = create_request(policy, **options)
        return (await self._send(self._stub.CreatePolicy, request, timeout)).policy

    async def policy(
        self, policy_id: str, *, version: int = 0, timeout: float | None = None
    ) -> pb.Policy:
        """A policy as it is, or as it was in a version."""
        request = pb.GetPolicyRequest(policy_id=policy_id, version=version)
        return (await self._send(self._stub.GetPolicy, request, timeout)).policy

    async def policies(self, *, timeout: float | None = None) -> AsyncIterator[pb.Policy]:
        """All policies by name, fetched a page at a time."""
        request = pb.ListPoliciesRequest(page_size=200)
        async for page in self._pages(self._stub.ListPolicies, request, timeout):
            for policy in page.policies:
                yield policy

    async def policy_versions(
        self, policy_id: str, *, timeout: float | None = None
    ) -> AsyncIterator[pb.Policy]:
        """All versions of a policy, newest first, a page at a time; also of a deleted one."""
        request = pb.ListPolicyVersionsRequest(policy_id=policy_id, page_size=50)
        async for page in self._pages(self._stub.ListPolicyVersions, request, timeout):
            for policy in page.policies:
                yield policy

    async def update_policy(
        self, policy: pb.Policy, *, comment: str = "", timeout: float | None = None
    ) -> pb.Policy:
        """Store the next version of a policy, based on the version that it says."""
        request = update_request(policy, comment)
        return (await self._send(self._stub.UpdatePolicy, request, timeout)).policy

    async def delete_policy(
        self,
        policy_id: str,
        *,
        version: int = 0,
        comment: str = "",
        timeout: float | None = None,
    ) -> pb.Policy:
        """Delete a policy: requests that name it are refused, its versions stay."""
        request = pb.DeletePolicyRequest(policy_id=policy_id, version=version, comment=comment)
        return (await self._send(self._stub.DeletePolicy, request, timeout)).policy

    async def _send(self, call: Any, request: Any, timeout: float | None) -> Any:
        raise NotImplementedError

    def _pages(self, call: Any, request: Any, timeout: float | None) -> AsyncIterator[Any]:
        raise NotImplementedError


def create_request(
    policy: str | pb.Policy, **options: Unpack[PolicyOptions]
) -> pb.CreatePolicyRequest:
    """A request of CreatePolicy.

    Raises:
        InvalidInput: options beside a whole policy, or an unknown mode.
    """
    if isinstance(policy, str):
        return pb.CreatePolicyRequest(policy=policy_message(policy, **options))
    if options:
        raise InvalidInput(
            "options beside a whole policy.", field="policy", remedy="write them into the policy."
        )
    return pb.CreatePolicyRequest(policy=policy)


def update_request(policy: pb.Policy, comment: str) -> pb.UpdatePolicyRequest:
    """A request of UpdatePolicy; the comment of the version before is not repeated."""
    request = pb.UpdatePolicyRequest(policy=policy)
    request.policy.comment = comment
    return request
