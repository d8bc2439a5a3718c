"""How commands call the gateway."""

from __future__ import annotations

from pydantic import ValidationError

from reclens.adapters.grpc_tls import ChannelTlsSettings, channel_credentials
from reclens.cli.connection import client_settings
from reclens.client import SteeringClient
from reclens.errors import InvalidInput


def steering_client() -> SteeringClient:
    """A client of the gateway that the settings name, with the token and certificates that they
    name.

    Raises:
        InvalidInput: a file cannot be used, or one of two that belong together is missing.
    """
    gateway = client_settings().client
    try:
        tls = ChannelTlsSettings(ca=gateway.ca, certificate=gateway.certificate, key=gateway.key)
    except ValidationError as error:
        raise InvalidInput(
            f"{error.errors(include_url=False)[0]['msg']}.",
            field="RECLENS_CLIENT__CA",
            remedy="set RECLENS_CLIENT__CA, and both of __CERTIFICATE and __KEY or neither.",
        ) from error
    token = gateway.token.get_secret_value() if gateway.token else ""
    return SteeringClient(gateway.target, token=token, credentials=channel_credentials(tls))
