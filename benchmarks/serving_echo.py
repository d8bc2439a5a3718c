"""The bare ``grpc.aio`` server that everything is compared with: bytes in, bytes out.

``/echo/Same`` gives the request back as it is; ``/echo/Answer`` gives the bytes of a file, as long
as a real answer. Nothing is parsed, no interceptor runs.
"""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path
from typing import Any

import grpc
from grpc import aio


async def serve(port: int, answer: bytes) -> None:
    """Serve until terminated."""

    async def same(request: bytes, _context: Any) -> bytes:
        return request

    async def fixed(_request: bytes, _context: Any) -> bytes:
        return answer

    server = aio.server()
    handlers = {
        "Same": grpc.unary_unary_rpc_method_handler(same),
        "Answer": grpc.unary_unary_rpc_method_handler(fixed),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("echo", handlers),))
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--answer", type=Path, required=True, help="file with the answer's bytes")
    parser.add_argument("--uvloop", action="store_true", help="run on uvloop")
    options = parser.parse_args()
    if options.uvloop:
        import uvloop

        uvloop.install()
    asyncio.run(serve(options.port, options.answer.read_bytes()))


if __name__ == "__main__":
    main()
