"""How clients reach a gateway: channel options, credentials, deadlines and errors."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import grpc

from reclens.api.steering.v1 import steering_pb2
from reclens.errors import Cancelled, InvalidInput, RecLensError
from reclens.proxies import named, proxy_of_target, proxy_options
from reclens.rpc_status import channel_options, error_of

MAX_MESSAGE_BYTES: Final = 32 << 20
"""Largest answer that a client takes."""
DEFAULT_TIMEOUT: Final = 10.0
"""Seconds that a call may take."""
SESSION_TIMEOUT: Final = 3600.0
"""Seconds that a session may last."""

_SERVICE: Final = steering_pb2.DESCRIPTOR.services_by_name["SteeringService"]
NOT_REPEATED: Final = frozenset({"CreatePolicy", "UpdatePolicy", "DeletePolicy", "StreamRecommend"})
"""Methods that the transport does not repeat: it cannot know whether one that failed was done."""

_WRITTEN_TOO_LATE: Final = "Internal error from Core"
"""What gRPC says of a write to a stream that the server has ended, in place of the status."""


@dataclass(frozen=True)
class Connection:
    """Where a gateway is, and what is shown to it.

    Raises:
        InvalidInput: a timeout that is no positive number, a CA that cannot be read, or both a CA
            and credentials.
    """

    target: str
    """``host:port``."""
    timeout: float = DEFAULT_TIMEOUT
    """Seconds that a call may take that does not say."""
    token: str = ""
    """Bearer token; empty: none is shown."""
    ca: str | Path | bytes | None = None
    """For TLS: a PEM file of the authorities that the gateway's certificate is trusted by, or its
    contents."""
    credentials: grpc.ChannelCredentials | None = None
    """For TLS with anything else, e.g. a certificate of the caller's own. Neither this nor ``ca``:
    plain text."""

    def __post_init__(self) -> None:
        self.seconds(self.timeout)
        if self.ca is not None and self.credentials is not None:
            raise InvalidInput(
                "both a CA and credentials are given.", field="ca", remedy="give one of them."
            )

    def channel_credentials(self) -> grpc.ChannelCredentials | None:
        """What a secure channel is made with; None: the channel is plain text."""
        if self.ca is None:
            return self.credentials
        try:
            pem = self.ca if isinstance(self.ca, bytes) else Path(self.ca).read_bytes()
        except OSError as error:
            raise InvalidInput(
                f"{self.ca} cannot be read ({error.strerror}).",
                field="ca",
                remedy="name a PEM file.",
            ) from error
        return grpc.ssl_channel_credentials(root_certificates=pem)

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """Headers of every call."""
        return (("authorization", f"Bearer {self.token}"),) if self.token else ()

    def seconds(self, timeout: float | None) -> float:
        """Seconds that a call may take: no call goes without a deadline.

        Raises:
            InvalidInput: ``timeout`` is not positive and finite.
        """
        seconds = self.timeout if timeout is None else timeout
        if not (math.isfinite(seconds) and seconds > 0):
            raise InvalidInput(
                f"{seconds:g} s is no time to wait for an answer.",
                field="timeout",
                remedy="give a positive number of seconds.",
            )
        return seconds

    def error(self, ended: Any) -> RecLensError:
        """The error that a call ended with.

        Args:
            ended: a failed call of either kind of stub.
        """
        if ended.details() == _WRITTEN_TOO_LATE:
            return session_ended()
        trailers = [(str(key), value) for key, value in ended.trailing_metadata() or ()]
        peer = f"the gateway at {self.target}{named(proxy_of_target(self.target))}"
        return error_of(ended.code(), ended.details(), trailers, peer)


def session_ended() -> Cancelled:
    """The error of asking a session that is over."""
    return Cancelled("the session has ended.", remedy="open a new one.")


def client_channel_options(target: str) -> list[tuple[str, int | str]]:
    """Options of a client's channel to ``target``; calls that only read are repeated."""
    repeated = [
        {"service": _SERVICE.full_name, "method": method.name}
        for method in _SERVICE.methods
        if method.name not in NOT_REPEATED
    ]
    return [*channel_options(MAX_MESSAGE_BYTES, repeated), *proxy_options(target)]
