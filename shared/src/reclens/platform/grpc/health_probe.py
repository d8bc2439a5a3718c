"""Container health check: exits 0 where the server at the given address reports SERVING.

python -m reclens.platform.grpc.health_probe 127.0.0.1:50051 [--ca FILE]
    [--certificate FILE --key FILE] [--server-name NAME]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from pydantic import ValidationError

from reclens.errors import RecLensError
from reclens.platform.grpc.tls import ChannelTlsSettings, channel_credentials, channel_tls_options
from reclens.proxies import proxy_options

_SECONDS = 2


def grpc_status(address: str, tls: ChannelTlsSettings | None = None) -> str | None:
    """Overall status by the gRPC health protocol: ``SERVING``, ``NOT_SERVING``; None: no answer.

    Args:
        address: ``host:port`` of the server. It asks for no token.
        tls: how to trust it; None: plain text.

    Raises:
        InvalidInput: a file of ``tls`` cannot be used.
    """
    tls = tls or ChannelTlsSettings()
    credentials = channel_credentials(tls)
    options = [*channel_tls_options(tls), *proxy_options(address)]
    with (
        grpc.insecure_channel(address, options)
        if credentials is None
        else grpc.secure_channel(address, credentials, options)
    ) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        try:
            answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=_SECONDS)
        except grpc.RpcError:
            return None
    return health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)


def is_serving(address: str, tls: ChannelTlsSettings | None = None) -> bool:
    """Whether the server answers and serves, asked as by `grpc_status`."""
    return grpc_status(address, tls) == "SERVING"


def main(arguments: Sequence[str] | None = None) -> int:
    """Probe as the command line says, and return the exit code."""
    parser = argparse.ArgumentParser(prog="grpc_health_probe", description=__doc__)
    parser.add_argument("address", help="host:port")
    parser.add_argument("--ca", type=Path, help="PEM file; without it, plain text")
    parser.add_argument("--certificate", type=Path, help="PEM file, for servers that ask for one")
    parser.add_argument("--key", type=Path, help="PEM file")
    parser.add_argument("--server-name", default="", help="name in the server's certificate")
    given = parser.parse_args(arguments)
    try:
        tls = ChannelTlsSettings(
            ca=given.ca,
            certificate=given.certificate,
            key=given.key,
            server_name=given.server_name,
        )
        if is_serving(given.address, tls):
            return 0
        print(f"{given.address} does not serve", file=sys.stderr)  # noqa: T201
        return 1
    except (ValidationError, RecLensError) as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 2


if __name__ == "__main__":
    sys.exit(main())
