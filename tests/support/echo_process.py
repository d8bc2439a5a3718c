"""The echo as processes: what a service's ``main`` does, with settings from the command line."""

from __future__ import annotations

import asyncio
import os
import sys

from echo_server import NAME, RULES, Echo, register
from pydantic import BaseModel

from reclens.api.steering.v1 import steering_pb2 as pb
from reclens.platform.grpc.processes import run_loop, run_server
from reclens.platform.grpc.server import GrpcServer, ServerSettings, until_signalled


class Settings(BaseModel):
    """As the settings of a service."""

    server: ServerSettings


class SlowEcho(Echo):
    """Says in which process it is; ``slow`` takes a while, ``die`` ends the process."""

    async def recommend(
        self, request: pb.RecommendRequest, context: object
    ) -> pb.RecommendResponse:
        if request.subject.user_id == "die":
            os._exit(9)
        if request.subject.user_id == "slow":
            await asyncio.sleep(0.3)
        return pb.RecommendResponse(request_id=str(os.getpid()))


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM."""
    server = GrpcServer(settings.server)
    server.add(register, SlowEcho(), NAME, RULES)
    await server.start()
    await server.set_serving(NAME, True)
    await until_signalled()
    await server.stop()


def work(settings: Settings) -> None:
    """One process."""
    run_loop("echo", lambda: serve(settings))


if __name__ == "__main__":
    # By its importable name, as a service's console script has it: processes are spawned.
    import echo_process

    given = echo_process.Settings.model_validate_json(sys.argv[1])
    run_server("echo", echo_process.work, given, "server")
