"""Settings of the gateway."""

from __future__ import annotations

from pydantic import Field, SecretStr

from reclens.platform.grpc.server import ServerSettings
from reclens.platform.grpc.tls import ChannelTlsSettings
from reclens.platform.settings.models import StoreSettings


class GatewaySection(ServerSettings):
    """What answering SteeringService takes."""

    listen: str = "127.0.0.1:50051"
    """``host:port`` to listen on; port 0 takes a free one."""
    inference: str = "127.0.0.1:50052"
    """``host:port`` of InferenceService."""
    inference_tls: ChannelTlsSettings = ChannelTlsSettings()
    """How InferenceService is trusted, and what is shown to it."""
    inference_token: SecretStr | None = None
    """Token for InferenceService, where it asks for one: scope steer."""
    default_deadline_seconds: float = Field(default=10, gt=0, le=3600)
    """Deadline of callers that set none."""
    session_idle_seconds: float = Field(default=300, gt=0, le=86400)
    """How long a session may wait for its caller, to ask or to read, before it is closed."""
    hops: int = Field(default=1, ge=1, le=64)
    """Calls to InferenceService at a time that carry rank requests. Further requests gather
    meanwhile and go together in the next one."""
    max_batch: int = Field(default=32, ge=1, le=1024)
    """Rank requests in one such call."""
    load_seconds: float = Field(default=120, gt=0, le=3600)
    """How long the inference service may take to load a new release."""


class GatewaySettings(StoreSettings):
    """All settings of ``reclens-gateway``."""

    gateway: GatewaySection = GatewaySection()
    """The server."""
