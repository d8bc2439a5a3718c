"""How commands find the system: the environment first, then the local stack's folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from reclens.errors import InvalidInput
from reclens.ops.local.state import StateFolder
from reclens.platform.settings.files import setting_names
from reclens.platform.settings.models import ClientSettings

if TYPE_CHECKING:
    from reclens.client import SteeringClient


def client_settings() -> ClientSettings:
    """Settings from ``RECLENS_...`` variables and files; what they leave out from a local stack, if
    any.

    A section (Redis, S3, the gateway) comes from one place as a whole, so that the address of one
    system is never used with the credentials of another.
    """
    state = StateFolder.default()
    if not state.endpoints_file.exists():
        return ClientSettings()
    local = state.settings()
    given = setting_names()
    from_stack: dict[str, Any] = {
        name: getattr(local, name)
        for name in ClientSettings.model_fields
        if not _is_given(name, given)
    }
    return ClientSettings(**from_stack)


def steering_client() -> SteeringClient:
    """A client of the gateway, with the token and the certificates that the settings name.

    Raises:
        InvalidInput: a file cannot be used, or one of two that belong together is missing.
    """
    # Most commands ask no gateway.
    from reclens.client import SteeringClient  # noqa: PLC0415
    from reclens.platform.grpc.tls import ChannelTlsSettings, channel_credentials  # noqa: PLC0415

    gateway = client_settings().client
    try:
        tls = ChannelTlsSettings(ca=gateway.ca, certificate=gateway.certificate, key=gateway.key)
    except ValidationError as error:
        raise InvalidInput(
            f"{error.errors(include_url=False)[0]['msg']}.",
            field="RECLENS_CLIENT__CA",
            remedy="set RECLENS_CLIENT__CA, and both of __CERTIFICATE and __KEY or neither.",
        ) from error
    token = gateway.token.get_secret_value() if gateway.token is not None else ""
    return SteeringClient(gateway.target, token=token, credentials=channel_credentials(tls))


def _is_given(section: str, given: set[str]) -> bool:
    variable = f"RECLENS_{section.upper()}"
    return any(name == variable or name.startswith(f"{variable}__") for name in given)
