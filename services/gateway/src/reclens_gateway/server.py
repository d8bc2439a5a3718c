"""Wires the gateway together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

import structlog

from reclens.api.steering.v1 import steering_pb2, steering_pb2_grpc
from reclens.contracts import Release
from reclens.errors import DeadlineExceeded, Unavailable
from reclens.platform.grpc.server import GrpcServer, until_signalled
from reclens.platform.observability import metrics
from reclens.platform.store.artifacts import ArtifactStore
from reclens.platform.store.policy_log import PolicyLog
from reclens.platform.store.release_watch import ReleaseWatch
from reclens_gateway.batching.inference_client import InferenceClient
from reclens_gateway.calls.catalog import CatalogCalls
from reclens_gateway.calls.policies import PolicyCalls
from reclens_gateway.calls.proposals import ProposalCalls
from reclens_gateway.calls.sessions import SessionCalls
from reclens_gateway.policies.book import PolicyBook
from reclens_gateway.resolving import ServedRelease, load_served_release
from reclens_gateway.settings import GatewaySettings

logger = structlog.get_logger(__name__)


SERVICE: Final = steering_pb2.DESCRIPTOR.services_by_name["SteeringService"]
"""What is served."""


class SteeringServicer(
    SessionCalls,
    ProposalCalls,
    CatalogCalls,
    PolicyCalls,
    steering_pb2_grpc.SteeringServiceServicer,
):
    """SteeringService, put together from its calls. They raise; the interceptor maps errors."""


RULES: Final = {
    method.name: handler.rule
    for method in SERVICE.methods
    if hasattr(handler := getattr(SteeringServicer, method.name), "rule")
}
"""What calling each method takes, as its handler declares; a server without one does not start."""


@dataclass(frozen=True)
class RunningGateway:
    """A server that is up."""

    address: str
    """``host:port`` that it listens on."""
    watch: ReleaseWatch[ServedRelease]
    """The releases that it serves."""
    policies: PolicyBook
    """The policies that it serves."""


async def load_release(
    store: ArtifactStore,
    inference: InferenceClient,
    seconds: float,
    release: Release,
    current: ServedRelease | None,
) -> ServedRelease:
    """Make a release servable: our tables, and the other side's agreement.

    Without that, a release whose weights the inference service refuses would replace one that
    answers.

    Args:
        store: where the tables are.
        inference: must have the release loaded if another is served.
        seconds: how long it may take to load it.
        release: what to load.
        current: what is served now.

    Raises:
        NotReady, NotFound, CorruptArtifact: it cannot be served here or there.
        Unavailable: the store, or the inference service, does not answer just now.
    """
    loaded = await asyncio.to_thread(load_served_release, store, release)
    try:
        await inference.model(release.name, release.version, seconds)
    except (Unavailable, DeadlineExceeded) as error:
        if current is not None:
            raise Unavailable(error.message, remedy=error.remedy) from error
        # With nothing to fall back on, concepts can be listed before inference is up.
        logger.warning("release not confirmed", release=release.name, error=error.sentence)
    return loaded


@asynccontextmanager
async def running_gateway(settings: GatewaySettings) -> AsyncIterator[RunningGateway]:
    """A gateway for the life of the block; leaving it drains requests under way."""
    section = settings.gateway
    store = ArtifactStore.from_settings(settings)
    server = GrpcServer(section, "gateway")
    inference = InferenceClient(
        section.inference,
        section.max_message_bytes,
        hops=section.hops,
        max_batch=section.max_batch,
        tls=section.inference_tls,
        token=section.inference_token,
    )

    async def changed(any_served: bool) -> None:
        metrics.set_releases(watch.versions())
        await server.set_serving(SERVICE.full_name, any_served)

    load = partial(load_release, store, inference, section.load_seconds)
    watch = ReleaseWatch(store.releases.heads, load, section.poll_seconds, changed)
    policies = PolicyBook(PolicyLog(store.objects), section.poll_seconds)
    servicer = SteeringServicer(
        watch,
        inference,
        policies,
        section.default_deadline_seconds,
        session_idle_seconds=section.session_idle_seconds,
    )
    add = steering_pb2_grpc.add_SteeringServiceServicer_to_server
    server.add(add, servicer, SERVICE.full_name, RULES)
    if section.processes > 1:
        # The kernel gives this process connections as soon as it listens.
        await watch.poll_once()
    address = await server.start()
    await watch.start()
    await policies.start()
    try:
        yield RunningGateway(address, watch, policies)
    finally:
        await server.stop()
        await watch.stop()
        await policies.stop()
        await inference.close()


async def serve(settings: GatewaySettings) -> None:
    """Serve until SIGTERM or SIGINT."""
    async with running_gateway(settings):
        await until_signalled()
