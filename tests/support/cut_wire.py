"""A wire to a server that can be cut."""

from __future__ import annotations

import asyncio


class CutWire:
    """Forwards connections to a server until it is cut; then nobody answers at ``address``."""

    def __init__(self, target: str) -> None:
        self._host, _, port = target.rpartition(":")
        self._port = int(port)
        self._server: asyncio.Server | None = None
        self._joined: set[asyncio.Task[None]] = set()
        self.address = ""

    async def open(self) -> None:
        """Listen on a free port; after a cut, on the one before."""
        port = int(self.address.rpartition(":")[2] or 0)
        self._server = await asyncio.start_server(self._join, "127.0.0.1", port)
        self.address = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def cut(self) -> None:
        """Close the port and all connections."""
        assert self._server is not None
        self._server.close()
        for task in self._joined:
            task.cancel()
        await asyncio.gather(*self._joined)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._joined.add(task)
        try:
            far_reader, far_writer = await asyncio.open_connection(self._host, self._port)
            await asyncio.gather(_pass(reader, far_writer), _pass(far_reader, writer))
        except asyncio.CancelledError:
            pass
        finally:
            self._joined.discard(task)


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        # The other direction ends as well, as its writer is closed.
        pass
    finally:
        writer.close()
