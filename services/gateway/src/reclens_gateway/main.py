"""Entry point: ``reclens-gateway`` answers SteeringService over gRPC."""

from __future__ import annotations

import argparse
import asyncio

from reclens.adapters.logs import configure_logging
from reclens_gateway.server import serve
from reclens_gateway.settings import GatewaySettings


def main() -> None:
    """Serve until told to stop. Everything is set by environment variables, see the README."""
    parser = argparse.ArgumentParser(prog="reclens-gateway", description=__doc__)
    parser.add_argument("command", nargs="?", choices=["serve"], default="serve")
    parser.parse_args()
    configure_logging("gateway")
    asyncio.run(serve(GatewaySettings()))


if __name__ == "__main__":
    main()
