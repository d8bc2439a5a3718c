"""Makes the secrets of a deployment: one folder an account, one file a value, named as the setting.

```
FOLDER/                   0700: nobody else on this machine gets in
  trainer/, gateway/, ... RECLENS_REDIS__URL, RECLENS_S3__ACCESS_KEY, RECLENS_S3__SECRET_KEY,
                          as far as the part needs them; mounted into its containers
  gateway/, inference/    tokens.json: who may call; digests only
  gateway/                RECLENS_GATEWAY__INFERENCE_TOKEN
  operator/               RECLENS_CLIENT__TOKEN
  grafana/                GRAFANA_ADMIN_PASSWORD
  redis/users.acl         for Redis; has digests of the passwords only
  s3/                     for the store: identities.json and security.toml of SeaweedFS,
                          MINIO_ROOT_USER and MINIO_ROOT_PASSWORD of MinIO
  operator.env            0600: for a person's shell on this machine
```

**Who can read it.** A container sees the one folder that is mounted into it, not the folders above;
its user is known by number only, and differs between images. So what protects the secrets from
other people on this machine is FOLDER itself, which only its owner may enter, and within it files
may be read by all (0644), folders by all (0755). That needs no rights beyond the owner's.

A second run keeps every secret, completes what is missing, and writes the rules anew, so that those
of a new version hold after Redis and the store are restarted. Addresses and keys that somebody
wrote by hand, for a Redis or a store of their own, stay as they are.
"""

from __future__ import annotations

import secrets
import shlex
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit

import typer

from reclens.ops.deployment.access import Account, rights
from reclens.ops.deployment.account_rules import S3Keys, render_acl, render_identities
from reclens.ops.deployment.secret_folder import SecretFolder
from reclens.platform.grpc.auth import (
    Scope,
    TokenEntry,
    digest,
    new_token,
    read_tokens,
    tokens_text,
)

IDENTITIES: Final = "identities.json"
"""SeaweedFS's file in ``s3/``; it has the keys of all parts."""
SECURITY: Final = "security.toml"
"""SeaweedFS's file in ``s3/`` with the key that its servers show one another."""
ROOT_USER: Final = "MINIO_ROOT_USER"
"""MinIO's administrator, in ``s3/``."""
ROOT_PASSWORD: Final = "MINIO_ROOT_PASSWORD"
"""The administrator's password, in ``s3/``."""
TOKENS: Final = "tokens.json"
"""Clients of a server, in its folder. Entries that somebody adds stay."""
OPERATOR_ENV: Final = "operator.env"
"""Lines for a shell, in the folder itself."""

_REDIS_URL: Final = "RECLENS_REDIS__URL"
_ACCESS_KEY: Final = "RECLENS_S3__ACCESS_KEY"
_SECRET_KEY: Final = "RECLENS_S3__SECRET_KEY"
_GRAFANA: Final = "grafana/GRAFANA_ADMIN_PASSWORD"
_REDIS_INSIDE: Final = "redis:6379"
# The gateway counts rates in Redis and does nothing else there.
_REDIS_FILES: Final = {Account.GATEWAY: "RECLENS_GATEWAY__AUTH__RATES_REDIS"}
_CLIENT_TOKEN: Final = "RECLENS_CLIENT__TOKEN"
_INFERENCE_TOKEN: Final = "RECLENS_GATEWAY__INFERENCE_TOKEN"
_SECRET_BYTES: Final = 30  # 240 bits, 40 characters: MinIO takes no more


@dataclass(frozen=True)
class Addresses:
    """Where the servers are found, as ``host:port``: within the deployment, and from this machine.

    They are options of ``reclens deploy credentials`` too.
    """

    redis_inside: Annotated[
        str | None,
        typer.Option(
            help="Redis as the parts reach it, host:port.", show_default="as it is, or redis:6379"
        ),
    ] = None
    """None, or empty: as it is, or ``redis:6379``."""
    redis: Annotated[str, typer.Option(help="Redis as this machine reaches it.")] = "127.0.0.1:6379"
    s3: Annotated[str, typer.Option(help="The object store as this machine reaches it.")] = (
        "127.0.0.1:8333"
    )
    gateway: Annotated[str, typer.Option(help="The gateway as this machine reaches it.")] = (
        "127.0.0.1:50051"
    )
    """Its SteeringService."""
    s3_region: Annotated[str, typer.Option(help="Region of the store.")] = "us-east-1"
    s3_secure: Annotated[
        bool, typer.Option(help="Whether the store is asked over TLS.", envvar="RECLENS_S3__SECURE")
    ] = False


def make_credentials(
    root: Path,
    addresses: Addresses,
    *,
    bucket: str = "reclens",
    rotate: Collection[Account] = (),
) -> list[str]:
    """Make or complete the folder.

    Args:
        root: the folder; made where it is missing.
        addresses: of the servers.
        bucket: of all artifacts.
        rotate: parts that get new secrets.

    Returns:
        Names of the files that were made or changed, below ``root``.

    Raises:
        Unavailable: the folder cannot be read or written.
    """
    with SecretFolder(root) as folder:
        passwords: dict[Account, str] = {}
        keys: dict[Account, S3Keys] = {}
        for account, granted in rights().items():
            fresh = account in rotate
            if granted.redis and (password := _redis_password(folder, account, addresses, fresh)):
                passwords[account] = password
            if granted.store:
                keys[account] = _s3_keys(folder, account, fresh)
        folder.write("redis/users.acl", render_acl(passwords))
        folder.write(f"s3/{IDENTITIES}", render_identities(keys, bucket))
        fresh = Account.MONITORING in rotate
        _kept(folder, _GRAFANA, _new_secret, fresh=fresh)
        if folder.read(f"s3/{SECURITY}") is None:
            folder.write(f"s3/{SECURITY}", _security())
        _kept(folder, f"s3/{ROOT_USER}", lambda: "reclens-root")
        _kept(folder, f"s3/{ROOT_PASSWORD}", _new_secret)
        if (password := passwords.get(Account.OPERATOR)) is not None:
            redis = _redis_url(Account.OPERATOR, password, addresses.redis)
        else:
            redis = folder.read(f"{Account.OPERATOR.value}/{_REDIS_URL}") or ""
        called = f"{Account.GATEWAY.value}/{_INFERENCE_TOKEN}"
        fresh = Account.GATEWAY in rotate
        _token(folder, called, Account.INFERENCE, [Scope.STEER], fresh=fresh)
        called = f"{Account.OPERATOR.value}/{_CLIENT_TOKEN}"
        fresh = Account.OPERATOR in rotate
        token = _token(folder, called, Account.GATEWAY, list(Scope), fresh=fresh)
        told = _operator_env(redis, keys[Account.OPERATOR], bucket, addresses, token)
        folder.write(OPERATOR_ENV, told, private=True)
        return folder.changed


def _redis_password(
    folder: SecretFolder, account: Account, addresses: Addresses, fresh: bool
) -> str | None:
    """The part's password, in its address; None where that is of a Redis of one's own."""
    name = f"{account.value}/{_REDIS_FILES.get(account, _REDIS_URL)}"
    known = None if fresh else folder.read(name)
    if known is None:
        password = _new_secret()
        address = addresses.redis_inside or _REDIS_INSIDE
    else:
        user, password = _login(known)
        if user != account.value or not password:
            return None
        address = addresses.redis_inside
    if address:
        folder.write(name, _redis_url(account, password, address))
    return password


def _s3_keys(folder: SecretFolder, account: Account, fresh: bool) -> S3Keys:
    # A name that stays: with MinIO, a new secret then replaces the old one. Another stays too: it
    # is of a store of one's own.
    name = f"{account.value}/{_ACCESS_KEY}"
    access = _kept(folder, name, lambda: f"reclens-{account.value}")
    secret = _kept(folder, f"{account.value}/{_SECRET_KEY}", _new_secret, fresh=fresh)
    return S3Keys(access, secret)


def _token(
    folder: SecretFolder, name: str, server: Account, scopes: list[Scope], *, fresh: bool
) -> str:
    """The token in the file ``name`` of a part, by which it calls ``server``."""
    before = folder.read(name)
    token = _kept(folder, name, new_token, fresh=fresh)
    book = f"{server.value}/{TOKENS}"
    path = folder.root / book
    entries = read_tokens(path) if folder.read(book) else []
    # A token that was revoked stays so.
    if token != before or not entries:
        kept = [entry for entry in entries if not before or entry.sha256 != digest(before)]
        client, sha256 = name.partition("/")[0], digest(token)
        made = TokenEntry(client=client, sha256=sha256, scopes=frozenset(scopes))
        folder.write(book, tokens_text([*kept, made]))
    else:
        folder.write(book, path.read_text())
    return token


def _kept(
    folder: SecretFolder,
    name: str,
    new: Callable[[], str],
    *,
    fresh: bool = False,
) -> str:
    """What the file says, or ``new()`` where it is not there or a ``fresh`` one is wanted."""
    value = (None if fresh else folder.read(name)) or new()
    folder.write(name, value)
    return value


def _security() -> str:
    # Whoever reaches SeaweedFS's port for other servers of its kind could make identities without.
    key = secrets.token_urlsafe(_SECRET_BYTES)
    return f'[jwt.filer_signing]\nkey = "{key}"\n'


def _new_secret() -> str:
    return secrets.token_urlsafe(_SECRET_BYTES)


def _redis_url(account: Account, password: str, address: str) -> str:
    # Database 0: the rights are for it, and for channels that are named after it.
    return f"redis://{account.value}:{password}@{address}/0"


def _login(url: str) -> tuple[str | None, str | None]:
    try:
        parts = urlsplit(url)
    except ValueError:
        return None, None
    return parts.username, parts.password


def _operator_env(redis: str, keys: S3Keys, bucket: str, addresses: Addresses, token: str) -> str:
    values = {
        _REDIS_URL: redis,
        "RECLENS_S3__ENDPOINT": addresses.s3,
        "RECLENS_S3__REGION": addresses.s3_region,
        "RECLENS_S3__SECURE": str(addresses.s3_secure).lower(),
        _ACCESS_KEY: keys.access_key,
        _SECRET_KEY: keys.secret_key,
        "RECLENS_S3__BUCKET": bucket,
        "RECLENS_CLIENT__TARGET": addresses.gateway,
        _CLIENT_TOKEN: token,
    }
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in values.items())
