"""Entry point: ``reclens-gateway`` answers SteeringService over gRPC."""

from __future__ import annotations

import argparse

from reclens.platform.grpc.processes import run_loop, run_server
from reclens_gateway.server import serve
from reclens_gateway.settings import GatewaySettings


def main() -> None:
    """Serve until told to stop. Everything is set by environment variables, see the README."""
    parser = argparse.ArgumentParser(prog="reclens-gateway", description=__doc__)
    parser.add_argument("command", nargs="?", choices=["serve"], default="serve")
    parser.parse_args()
    run_server("gateway", run, GatewaySettings(), "gateway")


def run(settings: GatewaySettings) -> None:
    """One process of the server."""
    run_loop("gateway", lambda: serve(settings))


if __name__ == "__main__":
    main()
