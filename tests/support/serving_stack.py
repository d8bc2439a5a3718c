"""Both servers over one bucket, on free ports, over a real wire."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import grpc
from served_world import Publisher, World

from reclens.api.inference.v1 import inference_pb2 as inference
from reclens.api.inference.v1 import inference_pb2_grpc
from reclens.api.steering.v1 import steering_pb2_grpc
from reclens.platform.settings.models import S3Settings, StoreSettings
from reclens.platform.store.artifacts import ArtifactStore
from reclens_gateway.server import RunningGateway, running_gateway
from reclens_gateway.settings import GatewaySection, GatewaySettings
from reclens_recommender.serving.server import RunningInference, running_inference
from reclens_recommender.serving.settings import InferenceSection, InferenceSettings

T = TypeVar("T")


class Loop:
    """An event loop on a thread of its own, so that tests are plain functions."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="servers", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T], timeout: float = 60) -> T:
        """Wait for ``work`` on the loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class Stack:
    """Both servers over one bucket, and plain stubs to talk to them."""

    def __init__(self, loop: Loop, s3: S3Settings, folder: Path) -> None:
        self.loop = loop
        self.store_settings = {"s3": s3, "cache_dir": folder / "cache"}
        store = ArtifactStore.from_settings(StoreSettings(**self.store_settings))
        self.publisher = Publisher(store, folder / "made")
        self._contexts = AsyncExitStack()
        self._channels: list[grpc.Channel] = []

    def start_inference(self, **options: Any) -> RunningInference:
        """Start an inference server that polls only when told to."""
        given = {"listen": "127.0.0.1:0", "poll_seconds": 3600, "drain_seconds": 1, **options}
        section = InferenceSection(torch_threads=1, **given)
        settings = InferenceSettings(inference=section, **self.store_settings)
        return self.loop.run(self._contexts.enter_async_context(running_inference(settings)))

    def start_gateway(self, inference: str, **options: Any) -> RunningGateway:
        """Start a gateway that polls only when told to."""
        section = GatewaySection(
            listen="127.0.0.1:0", inference=inference, poll_seconds=3600, drain_seconds=1, **options
        )
        settings = GatewaySettings(gateway=section, **self.store_settings)
        return self.loop.run(self._contexts.enter_async_context(running_gateway(settings)))

    def refresh(self, *servers: RunningInference | RunningGateway) -> None:
        """Read the pointers now."""
        for server in servers:
            self.loop.run(server.watch.refresh())

    def channel(self, address: str) -> grpc.Channel:
        """A plain channel, closed with the stack."""
        channel = grpc.insecure_channel(address)
        self._channels.append(channel)
        return channel

    def steering(self, gateway: RunningGateway) -> steering_pb2_grpc.SteeringServiceStub:
        """The published stub of the public service."""
        return steering_pb2_grpc.SteeringServiceStub(self.channel(gateway.address))

    def inference(self, server: RunningInference) -> inference_pb2_grpc.InferenceServiceStub:
        """The published stub of the internal service."""
        return inference_pb2_grpc.InferenceServiceStub(self.channel(server.address))

    def stop_servers(self) -> None:
        """Drain all servers."""
        self.loop.run(self._contexts.aclose())

    def close(self) -> None:
        for channel in self._channels:
            channel.close()
        self.stop_servers()


@dataclass(frozen=True)
class Serving:
    """A stack with one release up."""

    stack: Stack
    world: World
    inference: RunningInference
    gateway: RunningGateway
    steering: steering_pb2_grpc.SteeringServiceStub
    ranking: inference_pb2_grpc.InferenceServiceStub


def alone(query: inference.RankRequest) -> inference.BatchRankRequest:
    """A call that carries one request."""
    return inference.BatchRankRequest(requests=[query])


def outcome_of(
    stub: inference_pb2_grpc.InferenceServiceStub, query: inference.RankRequest
) -> inference.RankOutcome:
    """What the inference service makes of one request."""
    (outcome,) = stub.BatchRank(alone(query), timeout=30).outcomes
    return outcome
