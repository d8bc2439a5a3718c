"""Who calls, and whether it may: bearer tokens with scopes, their file, and client certificates.

A token is 256 random bits, so the file holds its plain SHA-256: no guessing finds a value of that
size, which is what slow password hashes with salt are for. Whoever reads the file cannot call.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import cached_property, partial
from pathlib import Path
from typing import Annotated, Any, Final

import structlog
import yaml
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)

from reclens.errors import (
    InvalidInput,
    MissingData,
    PermissionDenied,
    Unauthenticated,
)
from reclens.platform.files import FollowedFiles, write_atomically
from reclens.platform.settings.models import Section

TOKEN_BYTES: Final = 32
"""Random bytes of a token."""
_PREFIX: Final = "reclens_"
_RATE = re.compile(r"^([1-9]\d{0,8})/(s|min|h|day)$")
_PERIODS: Final = {"s": 1, "min": 60, "h": 3600, "day": 86_400}


class Scope(StrEnum):
    """A right. They do not contain each other: a client is given each one that it needs."""

    READ = "read"
    """Concepts, releases, policies, explanations, untouched recommendations."""
    STEER = "steer"
    """Answers with edits or policies."""
    ADMIN = "admin"
    """Writing policies."""


def parse_rate(rate: str) -> tuple[int, int]:
    """Requests and seconds of a rate such as ``100/s`` or ``5000/min``.

    Raises:
        ValueError: it is no rate.
    """
    found = _RATE.match(rate)
    if found is None:
        raise ValueError(f"{rate!r} is no rate; write e.g. 100/s, 5000/min, 10/h, 1000/day")
    return int(found[1]), _PERIODS[found[2]]


def _checked_rate(rate: str) -> str:
    if rate:
        parse_rate(rate)
    return rate


class TokenEntry(BaseModel):
    """One token, or one client certificate, and what it allows."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    client: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")
    """Who holds it. Several entries of one client are alive together while it changes tokens."""
    sha256: str = Field(default="", pattern=r"^([0-9a-f]{64})?$")
    """Digest of the token, in hexadecimal. Empty: the entry is for a certificate."""
    certificate: str = Field(default="", max_length=64)
    """Common name of a client certificate that stands for a token, where TLS asks for one."""
    scopes: frozenset[Scope] = Field(min_length=1)
    """Rights."""
    expires: AwareDatetime | None = None
    """When it ends. None: never."""
    rate: Annotated[str, AfterValidator(_checked_rate)] = ""
    """Requests in a time, e.g. ``100/s``, over all gateways and all tokens of the client. Empty: no
    limit."""

    @model_validator(mode="after")
    def _one_proof(self) -> TokenEntry:
        if bool(self.sha256) == bool(self.certificate):
            raise ValueError("give either sha256 or certificate")
        return self

    @property
    def id(self) -> str:
        """What tells it from the client's others, and no secret."""
        return self.sha256[:12] if self.sha256 else f"CN={self.certificate}"

    @property
    def alive(self) -> bool:
        """Whether it has not expired."""
        return self.expires is None or datetime.now(UTC) < self.expires

    @cached_property
    def requests_in_seconds(self) -> tuple[int, int] | None:
        """The rate as requests and seconds; None: no limit."""
        return parse_rate(self.rate) if self.rate else None

    def check(self, scope: Scope) -> None:
        """Refuse what the client may not do.

        Raises:
            PermissionDenied: it lacks the right.
        """
        if scope not in self.scopes:
            have = ", ".join(sorted(self.scopes))
            raise PermissionDenied(
                f"{self.client!r} has no right to {scope.value}, but to {have}.",
                remedy=f"use a token with the scope {scope.value}.",
            )


class TokenFile(BaseModel):
    """All entries."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # Required: a file that was emptied by accident is broken, and does not lock everybody out.
    tokens: list[TokenEntry] = Field(max_length=10_000)


def new_token() -> str:
    """A token: a prefix that secret scanners can look for, and 256 random bits."""
    return _PREFIX + secrets.token_urlsafe(TOKEN_BYTES)


def digest(token: str) -> str:
    """SHA-256 of a token, in hexadecimal."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def read_tokens(path: Path) -> list[TokenEntry]:
    """Entries of a JSON or YAML file.

    Raises:
        MissingData: there is no such file.
        InvalidInput: it cannot be read as tokens; the message quotes no value.
    """
    try:
        text = path.read_text()
    except FileNotFoundError as error:
        raise MissingData(
            f"there is no file {path}.",
            field="tokens_file",
            remedy="make one with `reclens tokens create`.",
        ) from error
    except (OSError, UnicodeError) as error:
        raise InvalidInput(
            f"{path} cannot be read ({type(error).__name__}).", field="tokens_file"
        ) from error
    try:
        # JSON is YAML, so one parser does for both.
        entries = TokenFile.model_validate(yaml.safe_load(text)).tokens
    except yaml.YAMLError as error:
        raise InvalidInput(
            f"{path} is neither JSON nor YAML.", field="tokens_file", remedy="correct it."
        ) from error
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InvalidInput(
            f"{path}, {where or 'top level'}: {first['msg']}.",
            field="tokens_file",
            remedy="correct the entry.",
        ) from error
    proofs = [entry.id if entry.certificate else entry.sha256 for entry in entries]
    if len(set(proofs)) != len(proofs):
        raise InvalidInput(
            f"{path} has the same token or certificate twice.",
            field="tokens_file",
            remedy="remove one of the entries.",
        )
    return entries


def write_tokens(path: Path, entries: list[TokenEntry]) -> None:
    """Replace the file as a whole, readable by its owner and, as before, its group."""
    path.parent.mkdir(parents=True, exist_ok=True)
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o600
    write_atomically(path, tokens_text(entries, path.suffix), mode)


def tokens_text(entries: list[TokenEntry], suffix: str = ".json") -> str:
    """What a file of that suffix with these entries says."""
    content = {"tokens": [_plain(entry) for entry in entries]}
    if suffix in {".yaml", ".yml"}:
        return yaml.safe_dump(content, sort_keys=False)
    return json.dumps(content, indent=2) + "\n"


def _plain(entry: TokenEntry) -> dict[str, Any]:
    plain = entry.model_dump(mode="json", exclude_defaults=True)
    plain["scopes"] = sorted(plain["scopes"])
    return plain


AUTHORIZATION_KEY: Final = "authorization"
"""Header with the token."""
_SCHEME: Final = "bearer "
logger = structlog.get_logger(__name__)


class AuthSettings(Section):
    """Who may call."""

    tokens_file: Path | None = None
    """JSON or YAML file of tokens, see `reclens tokens`. None: everybody may call everything, so
    that the server only starts where nobody but this machine reaches it, or where TLS asks for
    certificates of clients."""
    allow_anonymous: bool = False
    """Start without tokens on an address that other machines reach. Whoever does may write
    policies."""
    reload_seconds: float = Field(default=1, gt=0, le=3600)
    """How often the file is looked at for changes."""
    allow_plaintext: bool = False
    """Take tokens without TLS on an address that other machines reach, e.g. behind a proxy that
    ends TLS. Tokens can be read on the way there."""
    rates_redis: SecretStr | None = None
    """Redis in which gateways count together what clients with a rate have sent. None: each process
    counts for itself."""
    rates_fail_open: bool = True
    """Without Redis, let clients with a rate call (true) or refuse them (false)."""


@dataclass(frozen=True)
class Rule:
    """What calling a method takes."""

    scope: Scope | Callable[[Any], Scope] | None
    """The right, or what finds it from the message. None: no token is asked for; such calls are
    bounded apart from all others."""
    weight: Callable[[Any], int] | None = None
    """How many requests a message counts as against a rate. None: one."""
    max_bytes: int | None = None
    """The largest message. None: as large as the server takes."""

    def required(self, message: Any) -> Scope | None:
        """The right that this message takes; None: no token is asked for."""
        return self.scope(message) if callable(self.scope) else self.scope


class TokenBook:
    """The clients of a tokens file, followed as it changes.

    A token is looked up by its SHA-256. How long that takes may tell how far digests agree, but
    nobody can choose a token whose digest begins like another's, so there is nothing to learn.

    Raises:
        MissingData, InvalidInput: the file cannot be used at all. Later on, the clients read last
            stay.
    """

    def __init__(self, path: Path) -> None:
        self._file = FollowedFiles([path], partial(read_tokens, path), "tokens")
        self._take(self._file.current)

    def refresh(self) -> bool:
        """Read the file again if it changed; whether it did and could be used."""
        entries = self._file.renewed()
        if entries is not None:
            self._take(entries)
        return entries is not None

    def client(self, authorization: str, common_name: Callable[[], str]) -> TokenEntry:
        """The entry of the client that calls.

        Args:
            authorization: the header of that name; empty: there is none.
            common_name: finds the name in the client's certificate, empty where it has none; asked
                where there is no token.

        Raises:
            Unauthenticated: it has no valid token and no known certificate.
        """
        given = authorization
        if given:
            if given[: len(_SCHEME)].lower() != _SCHEME:
                raise Unauthenticated(
                    "the authorization header is no bearer token.", remedy=_HOW_TO_SEND
                )
            found = self._by_digest.get(digest(given[len(_SCHEME) :].strip()))
            missing = "this token is not known, or was revoked."
        else:
            name = common_name()
            found = self._by_certificate.get(name) if name else None
            missing = (
                f"no client has the certificate {name[:64]!r}." if name else "there is no token."
            )
        if found is None:
            raise Unauthenticated(missing, remedy=_HOW_TO_SEND)
        if not found.alive:
            assert found.expires is not None
            ended = found.expires.astimezone(UTC).isoformat(timespec="seconds")
            raise Unauthenticated(f"the token ended {ended}.", remedy="ask for a new one.")
        return found

    def _take(self, entries: list[TokenEntry]) -> None:
        self._by_digest = {entry.sha256: entry for entry in entries if entry.sha256}
        self._by_certificate = {entry.certificate: entry for entry in entries if entry.certificate}


_HOW_TO_SEND: Final = "send `authorization: Bearer <token>`; tokens are made by `reclens tokens`."


def common_name(context: Any) -> str:
    """Common name of the client's certificate; empty where TLS asked for none."""
    names = context.auth_context().get("x509_common_name", ())
    return names[0].decode(errors="replace") if names else ""


def require_private(
    listen: str, settings: AuthSettings, *, encrypted: bool, certificates: bool
) -> None:
    """Refuse to let everybody in by accident, and to take tokens where others can read them.

    Args:
        listen: the address.
        settings: who may call.
        encrypted: whether it is reached over TLS alone.
        certificates: whether TLS asks clients for certificates.

    Raises:
        InvalidInput: other machines reach the address, and there are no tokens and no certificates,
            or tokens in plain text.
    """
    if is_local(listen):
        return
    if settings.tokens_file is None:
        if certificates or settings.allow_anonymous:
            return
        raise InvalidInput(
            f"everybody who reaches {listen} could call everything.",
            field="auth.tokens_file",
            remedy="make tokens with `reclens tokens create` and name their file, ask for client"
            " certificates (tls.require_client_cert), listen on 127.0.0.1, or set"
            " auth.allow_anonymous.",
        )
    if encrypted or settings.allow_plaintext:
        return
    raise InvalidInput(
        f"tokens would be sent in plain text to {listen}.",
        field="auth.allow_plaintext",
        remedy="set tls.certificate and tls.key, listen on 127.0.0.1, or allow it explicitly.",
    )


def is_local(listen: str) -> bool:
    """Whether only this machine reaches ``host:port`` or ``unix:path``."""
    if listen.startswith(("unix:", "unix-abstract:")):
        return True
    host = listen.rpartition(":")[0].strip("[]")
    return host in {"localhost", "::1"} or host.startswith("127.")
