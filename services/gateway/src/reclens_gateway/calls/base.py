"""What all calls share: which release answers, policies, and the right that a handler takes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from reclens.api.steering.v1 import steering_pb2 as pb
from reclens.errors import InvalidInput, NotReady, RecLensError
from reclens.lru_cache import LruCache
from reclens.platform.grpc.auth import Rule, Scope
from reclens.platform.grpc.calls import seconds_left
from reclens.platform.store.release_watch import ReleaseWatch
from reclens.steering.limits import DEFAULT_RELEASE
from reclens.steering.wire import resolve_edits
from reclens_gateway.batching.inference_client import InferenceClient
from reclens_gateway.calls.paging import Cursor, open_token
from reclens_gateway.policies.book import PolicyBook
from reclens_gateway.resolving import (
    ResolvedPolicy,
    ResolvedRequest,
    ServedRelease,
    resolve_policy,
    resolve_request,
)

T = TypeVar("T")

MAX_TRIES = 5
"""Times that a request is resolved anew when its release has moved on meanwhile."""
_MAX_POLICY_BYTES = 32 << 20
_VERSION_FIELD = "release_version"


def requires(
    scope: Scope | Callable[[Any], Scope],
    *,
    weight: Callable[[Any], int] | None = None,
    max_bytes: int | None = None,
) -> Callable[[T], T]:
    """Declare beside a handler what calling it takes, see `Rule`."""

    def declare(handler: T) -> T:
        handler.rule = Rule(scope, weight, max_bytes)  # pyright: ignore[reportAttributeAccessIssue]
        return handler

    return declare


def is_of_version(error: RecLensError) -> bool:
    """Whether the inference service has moved on from the version that was asked for."""
    return isinstance(error, NotReady) and error.field == _VERSION_FIELD


class Calls:
    """The releases that ``watch`` keeps loaded and one inference service.

    Args:
        watch: the releases.
        inference: the inference service.
        policies: those that are stored.
        default_deadline: seconds that a call may take whose caller set no deadline.
        session_idle_seconds: how long a session may wait for its caller.
    """

    def __init__(
        self,
        watch: ReleaseWatch[ServedRelease],
        inference: InferenceClient,
        policies: PolicyBook,
        default_deadline: float,
        *,
        session_idle_seconds: float = 300,
    ) -> None:
        self.watch = watch
        self.inference = inference
        self.policies = policies
        # Neither a version of a policy nor one of a release changes.
        self._resolved: LruCache[tuple[object, ...], ResolvedPolicy] = LruCache(
            _MAX_POLICY_BYTES, lambda one: one.n_bytes
        )
        self.session_idle_seconds = session_idle_seconds
        self._default_deadline = default_deadline
        self._refreshing: asyncio.Task[None] | None = None

    # --- which release answers, and until when ---------------------------------------------------

    def served(self, name: str, *, field: str = "release") -> ServedRelease:
        """The version of a release that answers now."""
        return self.watch.current(name or DEFAULT_RELEASE, field=field).loaded

    def listed(self, name: str, token: str, query: str) -> tuple[ServedRelease, Cursor]:
        """The release to list from, the same one over all pages, and where to go on."""
        cursor = open_token(token, query)
        if cursor is None:
            served = self.served(name)
            return served, Cursor(served.release.version, query, 0)
        try:
            found = self.watch.version(name or DEFAULT_RELEASE, cursor.version)
        except NotReady as error:
            raise InvalidInput(
                "the release has changed since this listing began.",
                field="page_token",
                remedy="start again without a page token.",
            ) from error
        return found.loaded, cursor

    def deadline(self, context: Any) -> float:
        """The caller's deadline, in seconds of the event loop's clock."""
        left = seconds_left(context, self._default_deadline)
        return asyncio.get_running_loop().time() + left

    def default_deadline(self) -> float:
        """The deadline of a caller that set none."""
        return asyncio.get_running_loop().time() + self._default_deadline

    async def on_one_version(
        self,
        name: str,
        answer: Callable[..., Awaitable[T]],
        *arguments: object,
        field: str = "release",
    ) -> T:
        """What ``answer``, called with it and ``arguments``, makes of the current version.

        Where the inference service has moved on from it, releases are read again and the request is
        resolved anew: a swap fails no request, and no answer is of two versions.
        """
        for _ in range(MAX_TRIES - 1):
            try:
                return await answer(self.served(name, field=field), *arguments)
            except NotReady as error:
                if not is_of_version(error):
                    raise
            await self._refresh()
        return await answer(self.served(name, field=field), *arguments)

    async def _refresh(self) -> None:
        # One reading for all requests that met the same swap.
        if self._refreshing is None or self._refreshing.done():
            self._refreshing = asyncio.create_task(self.watch.refresh())
        await asyncio.shield(self._refreshing)

    # --- what requests name ----------------------------------------------------------------------

    async def resolved(
        self, served: ServedRelease, request: pb.RecommendRequest, deadline: float
    ) -> ResolvedRequest:
        """``request`` in terms of ``served``; its policy and what its concepts push are loaded.

        Raises:
            InvalidInput: a policy without a name, or something that cannot be asked.
            NotFound: there is no such policy or version, or the release lacks what is named.
            NotReady: the policy names latents of another autoencoder.
            CorruptArtifact: the policy cannot be read.
            Unavailable: it is not loaded, and the store does not answer.
            Overloaded: too many ask for policies that are not loaded.
            RecLensError: the inference service does not tell what the concepts push.
        """
        policy = None
        if request.HasField("policy"):
            policy = await self._policy(request.policy, served, deadline)
        await self.load_pushes(served, request.edits, deadline)
        return resolve_request(served, request, policy)

    async def load_pushes(
        self, served: ServedRelease, edits: Sequence[pb.Edit], deadline: float
    ) -> None:
        """See to it that ``served`` knows what the concepts push that edits add.

        Raises:
            InvalidInput, NotFound: names the field that cannot be asked.
            RecLensError: the inference service does not tell.
        """
        missing = served.pushes.missing(edits)
        if missing:
            resolve_edits(edits, served.pushes, check_only=True)
            await self._load_pushes(served, missing, deadline)

    async def _load_pushes(
        self, served: ServedRelease, concept_ids: Sequence[str], deadline: float
    ) -> None:
        await served.pushes.load(
            concept_ids, self.inference.propose, deadline, self._default_deadline
        )

    async def _policy(
        self, ref: pb.PolicyRef, served: ServedRelease, deadline: float
    ) -> ResolvedPolicy:
        if not ref.policy_id:
            raise InvalidInput(
                "the policy has no name.",
                field="policy.policy_id",
                remedy="name one, or leave the policy out.",
            )
        policy = await self.policies.get(ref.policy_id, ref.version, field="policy")
        release = served.release
        key = (
            policy.policy_id, policy.version, policy.changed_at, release.name, release.version
        )  # fmt: skip
        resolved = self._resolved.get(key)
        if resolved is None:
            missing = served.pushes.missing(policy.edits)
            if missing:
                resolve_policy(policy, served, field="policy", check_only=True)
                await self._load_pushes(served, missing, deadline)
            resolved = resolve_policy(policy, served, field="policy")
            self._resolved.keep(key, resolved)
        return resolved
