"""Free TCP ports on the loopback interface."""

from __future__ import annotations

import random
import socket

LOOPBACK = "127.0.0.1"

# Below the ephemeral range of common systems (Linux starts at 32768), so that no outgoing
# connection can sit on a port of ours between two runs. SeaweedFS wants its gRPC port 10,000
# above the HTTP port, hence room for that on top.
_FIRST, _LAST, GRPC_OFFSET = 12_000, 21_999, 10_000


def is_free(port: int) -> bool:
    """Whether a server could listen on ``port`` of the loopback interface now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers do: a port in TIME_WAIT after a restart is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def free_ports(count: int) -> list[int]:
    """Draw distinct ports that are free now, each with ``port + GRPC_OFFSET`` free too."""
    drawn: list[int] = []
    # The system's own randomness: two stacks that start at once must not draw alike.
    candidates = random.SystemRandom().sample(range(_FIRST, _LAST + 1), k=_LAST + 1 - _FIRST)
    for port in candidates:
        if is_free(port) and is_free(port + GRPC_OFFSET):
            drawn.append(port)
        if len(drawn) == count:
            return drawn
    raise OSError(f"fewer than {count} free ports between {_FIRST} and {_LAST}")


def keep_or_draw(wanted: dict[str, int | None]) -> dict[str, int]:
    """Keep each wanted port that is still free; draw a new one for the others.

    Args:
        wanted: port of the last run by name, None where there was none.
    """
    kept = {
        name: port
        for name, port in wanted.items()
        if port is not None and is_free(port) and is_free(port + GRPC_OFFSET)
    }
    missing = [name for name in wanted if name not in kept]
    fresh = [port for port in free_ports(len(wanted) * 2) if port not in kept.values()]
    return kept | dict(zip(missing, fresh, strict=False))
