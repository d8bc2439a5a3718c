"""The gateway's one hop: calls to InferenceService."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from grpc import aio
from pydantic import SecretStr

from reclens.adapters.grpc_call import REQUEST_ID_KEY, request_id
from reclens.adapters.grpc_channel import bearer, open_channel
from reclens.adapters.grpc_errors import error_of
from reclens.adapters.grpc_tls import ChannelTlsSettings
from reclens.api.inference.v1 import inference_pb2 as pb
from reclens.api.inference.v1 import inference_pb2_grpc

A = TypeVar("A")


class InferencePeer:
    """A channel to InferenceService.

    Raises (all calls):
        RecLensError: what the service raised, or Unavailable where it does not answer.
    """

    def __init__(
        self,
        target: str,
        max_message_bytes: int,
        tls: ChannelTlsSettings | None = None,
        token: SecretStr | None = None,
    ) -> None:
        self._channel = open_channel(target, max_message_bytes, tls or ChannelTlsSettings())
        self._bearer = bearer(token)
        self._stub = inference_pb2_grpc.InferenceServiceStub(self._channel)

    async def rank(self, request: pb.RankRequest, seconds: float) -> pb.RankResponse:
        """Rank for one subject."""
        return await self._send(self._stub.Rank, request, seconds)

    async def batch_rank(
        self, request: pb.BatchRankRequest, seconds: float
    ) -> pb.BatchRankResponse:
        """Rank for several subjects."""
        return await self._send(self._stub.BatchRank, request, seconds)

    async def model(self, release: str, version: str, seconds: float) -> pb.GetModelResponse:
        """The loaded model of this version; the service looks for it if it has not got it."""
        request = pb.GetModelRequest(release=release, release_version=version)
        return await self._send(self._stub.GetModel, request, seconds)

    async def close(self) -> None:
        """Close the channel."""
        await self._channel.close()

    async def _send(self, call: Callable[..., Awaitable[A]], request: Any, seconds: float) -> A:
        identifier = request_id()
        # Header values are printable ASCII; an id that is not stays in the gateway.
        sendable = identifier and identifier.isascii() and identifier.isprintable()
        metadata = ((REQUEST_ID_KEY, identifier), *self._bearer) if sendable else self._bearer
        try:
            return await call(request, timeout=seconds, metadata=metadata)
        except aio.AioRpcError as error:
            trailers = [(str(key), value) for key, value in error.trailing_metadata() or ()]
            raise error_of(
                error.code(), error.details(), trailers, "the inference service"
            ) from error
