"""TLS for servers and channels; renewed certificates are taken without a restart."""

from __future__ import annotations

import ssl
from pathlib import Path

import grpc
from grpc import aio
from pydantic import SecretStr, model_validator

from reclens.errors import InvalidInput
from reclens.platform.files import FollowedFiles
from reclens.platform.grpc.auth import AUTHORIZATION_KEY
from reclens.platform.settings.models import Section
from reclens.proxies import proxy_options
from reclens.rpc_status import channel_options


class TlsSettings(Section):
    """How a server proves who it is, and asks others to."""

    certificate: Path | None = None
    """PEM file with the server's certificate and those between it and its CA. None: plain text."""
    key: Path | None = None
    """PEM file with its private key."""
    client_ca: Path | None = None
    """PEM file with the CAs of client certificates."""
    require_client_cert: bool = False
    """Take connections only from clients with a certificate of one of those CAs (mTLS)."""

    @model_validator(mode="after")
    def _whole(self) -> TlsSettings:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key belong together: set both or none")
        if self.require_client_cert != (self.client_ca is not None):
            raise ValueError("client_ca and require_client_cert belong together")
        if self.require_client_cert and self.certificate is None:
            raise ValueError("client certificates need TLS: set certificate and key")
        return self

    @property
    def enabled(self) -> bool:
        """Whether the server speaks TLS."""
        return self.certificate is not None


class ChannelTlsSettings(Section):
    """How a client trusts a server, and proves who it is."""

    ca: Path | None = None
    """PEM file with the CAs of the server's certificate. None: plain text."""
    certificate: Path | None = None
    """PEM file with the client's certificate, for servers that ask for one."""
    key: Path | None = None
    """PEM file with its private key."""
    server_name: str = ""
    """Name in the server's certificate, where it differs from the host that is called."""

    @model_validator(mode="after")
    def _whole(self) -> ChannelTlsSettings:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key belong together: set both or none")
        if self.certificate is not None and self.ca is None:
            raise ValueError("a client certificate needs TLS: set ca")
        return self


def server_credentials(settings: TlsSettings) -> grpc.ServerCredentials:
    """What a server with a certificate listens with. gRPC asks before every handshake whether its
    files have changed; connections that stand are not touched.

    Raises:
        InvalidInput: the files cannot be used to begin with.
    """
    certificate, key, client_ca = settings.certificate, settings.key, settings.client_ca
    assert certificate is not None
    assert key is not None

    def read() -> grpc.ServerCertificateConfiguration:
        check_pair(certificate, key)
        roots = read_pem(client_ca, "tls.client_ca") if client_ca else None
        pair = read_pem(key, "tls.key"), read_pem(certificate, "tls.certificate")
        return grpc.ssl_server_certificate_configuration([pair], roots)

    files = [path for path in (certificate, key, client_ca) if path]
    followed = FollowedFiles(files, read, "certificate")
    return grpc.dynamic_ssl_server_credentials(
        followed.current,
        followed.renewed,  # pyright: ignore[reportArgumentType] (None: unchanged)
        require_client_authentication=client_ca is not None,
    )


def channel_credentials(settings: ChannelTlsSettings) -> grpc.ChannelCredentials | None:
    """Credentials of a channel; None for plain text.

    Raises:
        InvalidInput: a file cannot be used.
    """
    if settings.ca is None:
        return None
    authorities = read_pem(settings.ca, "ca")
    if settings.certificate is None or settings.key is None:
        return grpc.ssl_channel_credentials(authorities)
    check_pair(settings.certificate, settings.key)
    key, certificate = read_pem(settings.key, "key"), read_pem(settings.certificate, "certificate")
    return grpc.ssl_channel_credentials(authorities, key, certificate)


def channel_tls_options(settings: ChannelTlsSettings) -> list[tuple[str, str]]:
    """Channel options that go with the credentials."""
    name = settings.server_name
    return [("grpc.ssl_target_name_override", name)] if name else []


def check_pair(certificate: Path, key: Path) -> None:
    """Refuse a key that does not belong to the certificate: gRPC would only fail every handshake.

    Raises:
        InvalidInput: they do not fit, or one of them cannot be read.
    """
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(
            # Without a password OpenSSL would ask for one at the terminal.
            certificate,
            key,
            password=lambda: "",
        )
    except (OSError, ssl.SSLError, ValueError) as error:
        raise InvalidInput(
            f"{certificate} and {key} are no certificate with its key ({type(error).__name__}).",
            field="tls.certificate",
            remedy="give PEM files that belong together, the key without a password.",
        ) from error


def read_pem(path: Path, field: str) -> bytes:
    """The bytes of a PEM file.

    Raises:
        InvalidInput: it cannot be read, or is no PEM.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InvalidInput(
            f"{path} cannot be read ({error.strerror}).", field=field, remedy="check the path."
        ) from error
    if b"-----BEGIN" not in content:
        raise InvalidInput(f"{path} is no PEM file.", field=field, remedy="convert it to PEM.")
    return content


def open_channel(target: str, max_message_bytes: int, tls: ChannelTlsSettings) -> aio.Channel:
    """A channel to ``target``, encrypted where ``tls`` names a CA.

    Raises:
        InvalidInput: a file of ``tls`` cannot be used.
    """
    # InferenceService only reads, so all of its calls are repeated.
    repeated = channel_options(max_message_bytes, [{}])
    options = [*repeated, *proxy_options(target), *channel_tls_options(tls)]
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
