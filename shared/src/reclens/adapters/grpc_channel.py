"""Channels of asyncio clients: plain, TLS or mTLS, with a bearer token."""

from __future__ import annotations

from grpc import aio
from pydantic import SecretStr

from reclens.adapters.grpc_auth import AUTHORIZATION_KEY
from reclens.adapters.grpc_server import channel_options
from reclens.adapters.grpc_tls import ChannelTlsSettings, channel_credentials, channel_tls_options


def open_channel(target: str, max_message_bytes: int, tls: ChannelTlsSettings) -> aio.Channel:
    """A channel to ``target``, encrypted where ``tls`` names a CA.

    Raises:
        InvalidInput: a file of ``tls`` cannot be used.
    """
    options = [*channel_options(max_message_bytes), *channel_tls_options(tls)]
    credentials = channel_credentials(tls)
    if credentials is None:
        return aio.insecure_channel(target, options=options)
    return aio.secure_channel(target, credentials, options=options)


def bearer(token: SecretStr | str | None) -> tuple[tuple[str, str], ...]:
    """Metadata that proves who calls; empty without a token.

    It is sent with each call. gRPC's own call credentials would do that too, but only over TLS, so
    that they could not be tried on one machine.
    """
    if not token:
        return ()
    text = token.get_secret_value() if isinstance(token, SecretStr) else token
    return ((AUTHORIZATION_KEY, f"Bearer {text}"),) if text else ()
