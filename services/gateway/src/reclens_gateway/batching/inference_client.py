"""The gateway's one hop: calls to InferenceService."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from grpc import aio
from pydantic import SecretStr

from reclens.api.inference.v1 import inference_pb2 as pb
from reclens.api.inference.v1 import inference_pb2_grpc
from reclens.errors import NotReady, PermissionDenied, RecLensError, Unauthenticated
from reclens.platform.grpc.calls import REQUEST_ID_KEY, request_id, traceparent
from reclens.platform.grpc.tls import ChannelTlsSettings, bearer, open_channel
from reclens.proxies import named, proxy_of_target
from reclens.rpc_status import error_of
from reclens_gateway.batching.dynamic_batching import DynamicBatcher

A = TypeVar("A")

SERVER = "the inference service"
"""Who is called, in words."""


class InferenceClient:
    """A channel to InferenceService.

    Args:
        target: its ``host:port``.
        max_message_bytes: of requests and answers.
        hops: calls that carry rank requests at a time; further requests gather meanwhile.
        max_batch: rank requests in one call.
        tls: whether and how the channel is encrypted. None: plain text.
        token: bearer token of the gateway. None: it sends none.

    Raises (all calls):
        RecLensError: what the service raised, or Unavailable where it does not answer.
    """

    def __init__(
        self,
        target: str,
        max_message_bytes: int,
        *,
        hops: int,
        max_batch: int,
        tls: ChannelTlsSettings | None = None,
        token: SecretStr | None = None,
    ) -> None:
        self._channel = open_channel(target, max_message_bytes, tls or ChannelTlsSettings())
        self._peer = f"{SERVER}{named(proxy_of_target(target))}"
        self._bearer = bearer(token)
        self._stub = inference_pb2_grpc.InferenceServiceStub(self._channel)
        # Half, as what an answer takes is only estimated.
        self._batcher = DynamicBatcher(
            self._batch_rank, hops=hops, max_batch=max_batch, max_bytes=max_message_bytes // 2
        )

    async def rank(self, request: pb.RankRequest, deadline: float) -> pb.RankResponse:
        """Rank for one subject, in one call with what others ask meanwhile.

        Raises:
            DeadlineExceeded: there was no answer before ``deadline``, in the loop's time.
        """
        self._sign(request)
        return await self._batcher.submit(request, deadline)

    async def rank_all(
        self, requests: Sequence[pb.RankRequest], deadline: float
    ) -> list[pb.RankResponse | RecLensError]:
        """Rank for several subjects. Each is answered or refused on its own, in the same order."""
        for request in requests:
            self._sign(request)
        return await self._batcher.submit_all(requests, deadline)

    async def propose(self, request: pb.ProposeRequest, seconds: float) -> pb.ProposeResponse:
        """The latents that best move representations towards some items."""
        return await self._send(self._stub.Propose, request, seconds)

    async def model(self, release: str, version: str, seconds: float) -> pb.GetModelResponse:
        """The loaded model of this version; the service looks for it if it has not got it."""
        request = pb.GetModelRequest(release=release, release_version=version)
        return await self._send(self._stub.GetModel, request, seconds)

    async def close(self) -> None:
        """Close the channel."""
        await self._channel.close()

    def _sign(self, request: pb.RankRequest) -> None:
        request.request_id = request.request_id or request_id()
        request.traceparent = traceparent()

    async def _batch_rank(
        self, requests: list[pb.RankRequest], seconds: float
    ) -> Sequence[pb.RankOutcome]:
        batch = pb.BatchRankRequest(requests=requests)
        # Each entry carries its own request's id: the call is of no one request.
        return (await self._call(self._stub.BatchRank, batch, seconds, self._bearer)).outcomes

    async def _send(self, call: Callable[..., Awaitable[A]], request: Any, seconds: float) -> A:
        identifier = request_id()
        # Header values are printable ASCII; an id that is not stays in the gateway.
        sendable = identifier and identifier.isascii() and identifier.isprintable()
        named = ((REQUEST_ID_KEY, identifier),) if sendable else ()
        return await self._call(call, request, seconds, (*named, *self._bearer))

    async def _call(
        self,
        call: Callable[..., Awaitable[A]],
        request: Any,
        seconds: float,
        metadata: tuple[tuple[str, str], ...],
    ) -> A:
        try:
            return await call(request, timeout=seconds, metadata=metadata)
        except aio.AioRpcError as error:
            trailers = [(str(key), value) for key, value in error.trailing_metadata() or ()]
            told = error_of(error.code(), error.details(), trailers, self._peer)
            if isinstance(told, Unauthenticated | PermissionDenied):
                # It is the gateway that was refused. Its caller's token is as good as it was.
                raise NotReady(
                    f"{SERVER} refuses the gateway: {told.message}",
                    remedy="set RECLENS_GATEWAY__INFERENCE_TOKEN, see docs/how-to/operations.md.",
                ) from error
            raise told from error
