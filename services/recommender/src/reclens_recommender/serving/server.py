"""Wires the inference server together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import torch

from reclens.api.inference.v1 import inference_pb2, inference_pb2_grpc
from reclens.contracts import Release
from reclens.device import resolve_device
from reclens.platform.grpc.server import GrpcServer, until_signalled
from reclens.platform.observability import metrics
from reclens.platform.store.artifacts import ArtifactStore
from reclens.platform.store.release_watch import ReleaseWatch
from reclens_recommender.serving.answering import answer_observed
from reclens_recommender.serving.batching import MicroBatcher
from reclens_recommender.serving.ranking.approximate import index_library
from reclens_recommender.serving.served_model import ServedModel, load_served_model
from reclens_recommender.serving.servicer import RULES, InferenceServicer
from reclens_recommender.serving.settings import InferenceSettings

SERVICE = inference_pb2.DESCRIPTOR.services_by_name["InferenceService"].full_name


@dataclass(frozen=True)
class RunningInference:
    """An inference server that is up."""

    address: str
    """``host:port`` that it listens on."""
    watch: ReleaseWatch[ServedModel]
    """The releases that it serves."""


@asynccontextmanager
async def running_inference(settings: InferenceSettings) -> AsyncIterator[RunningInference]:
    """An inference server for the life of the block; leaving it drains requests under way.

    Raises:
        NotReady: the device is not there, or the library of the approximate index is not.
    """
    section = settings.inference
    device = resolve_device(settings.device)
    if section.index == "approximate":
        index_library("RECLENS_INFERENCE__INDEX")
    store = ArtifactStore.from_settings(settings)
    server = GrpcServer(section, "inference")
    batcher = MicroBatcher(
        answer_observed, max_batch=section.max_batch, max_waiting=section.max_waiting
    )

    async def load(release: Release, _current: ServedModel | None) -> ServedModel:
        return await asyncio.to_thread(load_served_model, store, release, device, section)

    async def changed(any_served: bool) -> None:
        metrics.set_releases(watch.versions())
        await server.set_serving(SERVICE, any_served)

    watch = ReleaseWatch(store.releases.heads, load, section.poll_seconds, changed)
    servicer = InferenceServicer(watch, batcher, section.default_deadline_seconds)
    server.add(inference_pb2_grpc.add_InferenceServiceServicer_to_server, servicer, SERVICE, RULES)
    if section.processes > 1:
        # The kernel gives this process connections as soon as it listens.
        await watch.poll_once()
    address = await server.start()
    await watch.start()
    try:
        yield RunningInference(address, watch)
    finally:
        await server.stop()
        await watch.stop()
        batcher.close()


async def serve(settings: InferenceSettings) -> None:
    """Serve until SIGTERM or SIGINT."""
    if settings.inference.torch_threads is not None:
        torch.set_num_threads(settings.inference.torch_threads)
    async with running_inference(settings):
        await until_signalled()
