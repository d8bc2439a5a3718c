"""Who calls, and whether it may: bearer tokens with scopes, and client certificates."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import structlog
from pydantic import Field, SecretStr

from reclens.errors import InvalidInput, PermissionDenied, RecLensError, Unauthenticated
from reclens.platform.grpc.call import caller
from reclens.platform.grpc.token_file import Scope, TokenEntry, digest, parse_rate, read_tokens
from reclens.platform.settings.file_stamp import file_stamp
from reclens.platform.settings.models import Section

__all__ = ["AuthSettings", "Client", "Rule", "Scope", "TokenBook", "caller"]

AUTHORIZATION_KEY: Final = "authorization"
"""Header with the token."""
_SCHEME: Final = "bearer "
_NEVER: Final = float("inf")
logger = structlog.get_logger(__name__)


class AuthSettings(Section):
    """Who may call."""

    tokens_file: Path | None = None
    """JSON or YAML file of tokens, see `reclens tokens`. None: everybody may call everything."""
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

    scope: Scope | Callable[[Any], Scope]
    """The right, or what finds it from the message."""
    weight: Callable[[Any], int] | None = None
    """How many requests a message counts as against a rate. None: one."""

    def required(self, message: Any) -> Scope:
        """The right that this message takes."""
        return self.scope if isinstance(self.scope, Scope) else self.scope(message)


@dataclass(frozen=True)
class Client:
    """A caller that proved who it is."""

    name: str
    """As the tokens file has it."""
    scopes: frozenset[Scope]
    """Its rights."""
    rate: tuple[int, int] | None = None
    """Requests and seconds. None: no limit."""
    expires: float = _NEVER
    """Unix time."""

    @classmethod
    def of(cls, entry: TokenEntry) -> Client:
        """The client of an entry."""
        return cls(
            name=entry.client,
            scopes=entry.scopes,
            rate=parse_rate(entry.rate) if entry.rate else None,
            expires=entry.expires.timestamp() if entry.expires else _NEVER,
        )

    def check(self, scope: Scope) -> None:
        """Refuse what the client may not do.

        Raises:
            PermissionDenied: it lacks the right.
        """
        if scope not in self.scopes:
            have = ", ".join(sorted(self.scopes))
            raise PermissionDenied(
                f"{self.name!r} has no right to {scope.value}, but to {have}.",
                remedy=f"use a token with the scope {scope.value}.",
            )


class TokenBook:
    """The clients of a tokens file, followed as it changes.

    A token is looked up by its SHA-256. How long that takes may tell how far digests agree, but
    nobody can choose a token whose digest begins like another's, so there is nothing to learn.

    Raises:
        MissingData, InvalidInput: the file cannot be used at all. Later on, the clients read last
            stay.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp = file_stamp(path)
        self._by_digest: dict[str, Client] = {}
        self._by_certificate: dict[str, Client] = {}
        self._take(read_tokens(path))

    def refresh(self) -> bool:
        """Read the file again if it changed; whether it did and could be used."""
        stamp = file_stamp(self._path)
        if stamp == self._stamp:
            return False
        self._stamp = stamp
        try:
            self._take(read_tokens(self._path))
        except RecLensError as error:
            logger.error("tokens not reloaded, those before stay", error=error.sentence)
            return False
        logger.info("tokens reloaded", tokens=len(self._by_digest) + len(self._by_certificate))
        return True

    def client(self, authorization: str, common_name: Callable[[], str]) -> Client:
        """The client that calls.

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
        if time.time() >= found.expires:
            ended = datetime.fromtimestamp(found.expires, UTC).isoformat(timespec="seconds")
            raise Unauthenticated(f"the token ended {ended}.", remedy="ask for a new one.")
        return found

    def _take(self, entries: list[TokenEntry]) -> None:
        clients = [(entry, Client.of(entry)) for entry in entries]
        self._by_digest = {entry.sha256: client for entry, client in clients if entry.sha256}
        self._by_certificate = {
            entry.certificate: client for entry, client in clients if entry.certificate
        }


_HOW_TO_SEND: Final = "send `authorization: Bearer <token>`; tokens are made by `reclens tokens`."


def common_name(context: Any) -> str:
    """Common name of the client's certificate; empty where TLS asked for none."""
    names = context.auth_context().get("x509_common_name", ())
    return names[0].decode(errors="replace") if names else ""


def require_private(listen: str, encrypted: bool, settings: AuthSettings) -> None:
    """Refuse to take tokens where others can read them on the way.

    Raises:
        InvalidInput: plain text on an address that other machines reach.
    """
    if settings.tokens_file is None or encrypted or settings.allow_plaintext or is_local(listen):
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
