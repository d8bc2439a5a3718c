"""The channel from the gateway to inference: plain, TLS or mTLS, with a bearer token."""

from __future__ import annotations

from grpc import aio
from pydantic import SecretStr

from reclens.platform.grpc.auth import AUTHORIZATION_KEY
from reclens.platform.grpc.tls import ChannelTlsSettings, channel_credentials, channel_tls_options


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


def channel_options(max_message_bytes: int) -> list[tuple[str, int | str]]:
    """Options of a client channel: keepalive, message caps, retries of UNAVAILABLE only.

    Calls to InferenceService only read, so the transport may repeat one that did not get through.
    Clients of SteeringService have options of their own, see `reclens.client`.
    """
    retry = (
        '{"methodConfig": [{"name": [{}], "retryPolicy": {"maxAttempts": 4, '
        '"initialBackoff": "0.1s", "maxBackoff": "2s", "backoffMultiplier": 2, '
        '"retryableStatusCodes": ["UNAVAILABLE"]}}]}'
    )
    return [
        ("grpc.service_config", retry),
        ("grpc.enable_retries", 1),
        ("grpc.max_receive_message_length", max_message_bytes),
        ("grpc.max_send_message_length", max_message_bytes),
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.max_reconnect_backoff_ms", 5_000),
    ]
