"""The file of bearer tokens: who may call, with what rights, how often, until when.

A token is 256 random bits, so the file holds its plain SHA-256: no guessing finds a value of that
size, which is what slow password hashes with salt are for. Whoever reads the file cannot call.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import tempfile
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final

import yaml
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from reclens.errors import InvalidInput, MissingData

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
    content = {"tokens": [_plain(entry) for entry in entries]}
    path.parent.mkdir(parents=True, exist_ok=True)
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o600
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    with os.fdopen(descriptor, "w") as file:
        if path.suffix in {".yaml", ".yml"}:
            yaml.safe_dump(content, file, sort_keys=False)
        else:
            json.dump(content, file, indent=2)
            file.write("\n")
    Path(name).chmod(mode)
    Path(name).replace(path)


def is_alive(entry: TokenEntry, now: datetime | None = None) -> bool:
    """Whether the entry has not expired."""
    return entry.expires is None or (now or datetime.now(UTC)) < entry.expires


def _plain(entry: TokenEntry) -> dict[str, Any]:
    plain = entry.model_dump(mode="json", exclude_defaults=True)
    plain["scopes"] = sorted(plain["scopes"])
    return plain
