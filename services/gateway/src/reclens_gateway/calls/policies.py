"""CreatePolicy, GetPolicy, ListPolicies, ListPolicyVersions, UpdatePolicy and DeletePolicy."""

from __future__ import annotations

import asyncio
import re
import unicodedata
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

from reclens.api.inference.v1 import inference_pb2 as inference
from reclens.api.steering.v1 import steering_pb2 as pb
from reclens.contracts import canonical_json
from reclens.errors import InvalidInput, NotReady
from reclens.platform.grpc.auth import Scope
from reclens.platform.grpc.calls import caller, request_id
from reclens.platform.store.policy_log import PolicyChange
from reclens.steering.limits import (
    DEFAULT_PAGE_SIZE,
    MAX_DRAFT_BYTES,
    MAX_PAGE_BYTES,
    MAX_POLICIES,
    MAX_POLICIES_BYTES,
    MAX_POLICY_BYTES,
    MAX_QUERY_BYTES,
    MAX_TEXT,
    check_count,
)
from reclens.steering.policies import POLICY_ID, StoredPolicy
from reclens.steering.wire import read_mode, resolve_edits
from reclens_gateway.calls.base import Calls, requires
from reclens_gateway.calls.paging import (
    Cursor,
    cut,
    digest,
    open_token,
    page_size,
    seal,
    unusable_token,
)
from reclens_gateway.resolving import ServedRelease, add_constraints

_DIGITS = 12
_POLICY_ID = re.compile(POLICY_ID)


class PolicyCalls(Calls):
    """Stored policies: written after a check against their release, read from memory."""

    @requires(Scope.ADMIN, max_bytes=MAX_DRAFT_BYTES)
    async def CreatePolicy(  # noqa: N802
        self, request: pb.CreatePolicyRequest, context: Any
    ) -> pb.CreatePolicyResponse:
        draft = self._checked(request.policy)
        stored = await self._write(context, "create", self.policies.log.create, draft)
        return pb.CreatePolicyResponse(policy=stored)

    @requires(Scope.READ, max_bytes=MAX_QUERY_BYTES)
    async def GetPolicy(self, request: pb.GetPolicyRequest, context: Any) -> pb.GetPolicyResponse:  # noqa: N802
        check_policy_id(request.policy_id, field="policy_id")
        async with asyncio.timeout_at(self.deadline(context)):
            if request.version:
                policy = await self.policies.version(request.policy_id, request.version)
            else:
                policy = await self.policies.get(request.policy_id)
        return pb.GetPolicyResponse(policy=policy)

    @requires(Scope.READ, max_bytes=MAX_QUERY_BYTES)
    async def ListPolicies(  # noqa: N802
        self, request: pb.ListPoliciesRequest, context: Any
    ) -> pb.ListPoliciesResponse:
        size = page_size(request.page_size, DEFAULT_PAGE_SIZE)
        query = digest("ListPolicies")
        cursor = open_token(request.page_token, query)
        # Names order the list, so that what comes and goes meanwhile shifts no page.
        after = cursor.version if cursor is not None else ""
        waiting = [policy for policy in self.policies.listed() if policy.policy_id > after]
        page: list[pb.Policy] = []
        n_bytes = 0
        for policy in waiting[:size]:
            n_bytes += policy.ByteSize()
            if page and n_bytes > MAX_PAGE_BYTES:
                break
            page.append(policy)
        more = len(page) < len(waiting)
        return pb.ListPoliciesResponse(
            policies=page,
            next_page_token=seal(Cursor(page[-1].policy_id, query, 0)) if more else "",
        )

    @requires(Scope.READ, max_bytes=MAX_QUERY_BYTES)
    async def ListPolicyVersions(  # noqa: N802
        self, request: pb.ListPolicyVersionsRequest, context: Any
    ) -> pb.ListPolicyVersionsResponse:
        check_policy_id(request.policy_id, field="policy_id")
        size = page_size(request.page_size, DEFAULT_PAGE_SIZE)
        query = digest("ListPolicyVersions", request.policy_id)
        cursor = open_token(request.page_token, query)
        async with asyncio.timeout_at(self.deadline(context)):
            newest = await self.policies.newest(request.policy_id)
            # The list ends where it ended when it was begun, whatever is written meanwhile.
            cursor = cursor or Cursor(str(newest), query, 0)
            first = cursor.version
            # Python refuses to read numbers of thousands of digits.
            if not (first.isdecimal() and len(first) <= _DIGITS):
                raise unusable_token()
            if not cursor.offset < int(first) <= newest:
                raise unusable_token()
            numbers = range(int(first), 0, -1)
            policies = await self.policies.versions(
                request.policy_id, cut(numbers, size, cursor).entries, MAX_PAGE_BYTES
            )
        return pb.ListPolicyVersionsResponse(
            policies=policies, next_page_token=cut(numbers, len(policies), cursor).next_token
        )

    @requires(Scope.ADMIN, max_bytes=MAX_DRAFT_BYTES)
    async def UpdatePolicy(  # noqa: N802
        self, request: pb.UpdatePolicyRequest, context: Any
    ) -> pb.UpdatePolicyResponse:
        based_on = request.policy.version
        check_policy_id(request.policy.policy_id, field="policy.policy_id")
        if not based_on:
            raise InvalidInput(
                "it does not say which version the change is based on.",
                field="policy.version",
                remedy="get the policy, change it, and send it with the version that it has.",
            )
        draft = self._checked(request.policy)
        write = partial(self.policies.log.update, based_on=based_on)
        stored = await self._write(context, "update", write, draft)
        return pb.UpdatePolicyResponse(policy=stored)

    @requires(Scope.ADMIN, max_bytes=MAX_QUERY_BYTES)
    async def DeletePolicy(  # noqa: N802
        self, request: pb.DeletePolicyRequest, context: Any
    ) -> pb.DeletePolicyResponse:
        marker = deletion(request.policy_id, request.comment)
        write = partial(self.policies.log.delete, based_on=request.version)
        stored = await self._write(context, "delete", write, marker)
        return pb.DeletePolicyResponse(policy=stored)

    def _checked(self, policy: pb.Policy) -> StoredPolicy:
        check_policy_id(policy.policy_id, field="policy.policy_id")
        n_policies, n_bytes = self.policies.size()
        full = n_policies >= MAX_POLICIES and not self.policies.knows(policy.policy_id)
        if full or n_bytes + policy.ByteSize() > MAX_POLICIES_BYTES:
            raise NotReady(
                f"there is no room for more: {n_policies} policies take {n_bytes} bytes.",
                field="policy",
                remedy="take the name of a deleted policy."
                if full
                else "delete policies that nobody uses, or shorten their lists of items.",
            )
        return checked_policy(policy, self.served(policy.release, field="policy.release"))

    async def _write(
        self,
        context: Any,
        operation: str,
        write: Callable[[StoredPolicy], PolicyChange],
        draft: StoredPolicy,
    ) -> pb.Policy:
        async with asyncio.timeout_at(self.deadline(context)):
            return await self.policies.write(operation, draft.policy_id, lambda: write(draft))


# --- a policy before it is stored: what a request with its edits would be refused for ------------


def checked_policy(policy: pb.Policy, served: ServedRelease) -> StoredPolicy:
    """The policy as it is to be stored, checked against its release; its version is not set.

    What the service sets (autoencoder, author, time) is set here, whatever the caller wrote there.

    Raises:
        InvalidInput, NotFound: names the field, under ``policy``.
    """
    check_policy_id(policy.policy_id, field="policy.policy_id")
    check_text(policy.description, field="policy.description")
    check_text(policy.comment, field="policy.comment")
    read_mode(policy.mode, field="policy.mode")
    resolve_edits(policy.edits, served.pushes, field="policy.edits", check_only=True)
    add_constraints(served, policy.constraints, inference.RankRequest(), field="policy.constraints")
    release = served.release
    stored = StoredPolicy.of(
        policy, release=release.name, autoencoder=release.autoencoder, **_stamp()
    )
    check_count(
        len(canonical_json(stored.canonical())),
        MAX_POLICY_BYTES,
        "bytes of a policy",
        field="policy",
        remedy=f"at most {MAX_POLICY_BYTES} are stored; exclude fewer items.",
    )
    return stored


def deletion(policy_id: str, comment: str) -> StoredPolicy:
    """The version that deletes a policy; its version is not set.

    Raises:
        InvalidInput: names the field.
    """
    check_policy_id(policy_id, field="policy_id")
    check_text(comment, field="comment")
    return StoredPolicy(policy_id=policy_id, version=1, comment=comment, deleted=True, **_stamp())


def check_policy_id(policy_id: str, *, field: str) -> None:
    """Refuse what cannot be a policy's name.

    Raises:
        InvalidInput: names the field.
    """
    if not _POLICY_ID.fullmatch(policy_id):
        raise InvalidInput(
            f"{policy_id[:100]!r} cannot be the name of a policy.",
            field=field,
            remedy="use 1 to 63 of a-z, 0-9 and -, beginning with a letter.",
        )


def check_text(text: str, *, field: str) -> None:
    """Refuse words that are too long, or that a terminal would take for commands.

    Raises:
        InvalidInput: names the field.
    """
    check_count(len(text), MAX_TEXT, "characters", field=field)
    if any(unicodedata.category(one) == "Cc" and one not in "\n\t" for one in text):
        raise InvalidInput(
            "there are control characters in it.", field=field, remedy="leave them out."
        )


def _stamp() -> dict[str, Any]:
    """Who writes a version, when, and in which request."""
    return {
        "author": caller(),
        "changed_at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "request_id": request_id(),
    }
