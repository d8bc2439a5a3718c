"""Makes the secrets of a deployment: one folder a part, one file a value, named as the setting.

```
FOLDER/                   0700: nobody else on this machine gets in
  trainer/, gateway/, ... RECLENS_REDIS__URL, RECLENS_S3__ACCESS_KEY, RECLENS_S3__SECRET_KEY,
                          as far as the part needs them; mounted into its containers.
                          monitoring/ has GRAFANA_ADMIN_PASSWORD too
  redis/users.acl         for Redis; has digests of the passwords only
  s3/                     for the store: identities.json and security.toml of SeaweedFS,
                          MINIO_ROOT_USER and MINIO_ROOT_PASSWORD of MinIO
  operator.env            0600: for a person's shell on this machine
```

**Who can read it.** A container sees the one folder that is mounted into it, not the folders above;
its user is known by number only, and differs between images. So what protects the secrets from
other people on this machine is FOLDER itself, which only its owner may enter, and within it files
may be read by all (0644), folders by all (0755). That needs no rights beyond the owner's. As root,
with ``owner``, the folders of the parts belong to that user besides, and nobody else may read them
(0700, 0600); Redis' and the store's stay as they are, as their images run as other users.

A second run keeps every secret, completes what is missing, and writes the rules anew, so that those
of a new version hold after Redis and the store are restarted.
"""

from __future__ import annotations

import secrets
import shlex
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from reclens.deployment.access import RIGHTS, Part
from reclens.deployment.redis_acl import render_acl
from reclens.deployment.s3_identities import S3Keys, render_identities
from reclens.deployment.secret_folder import SecretFolder
from reclens.errors import InvalidInput

IDENTITIES: Final = "identities.json"
"""SeaweedFS's file in ``s3/``; it has the keys of all parts."""
SECURITY: Final = "security.toml"
"""SeaweedFS's file in ``s3/`` with the key that its servers show one another."""
ROOT_USER: Final = "MINIO_ROOT_USER"
"""MinIO's administrator, in ``s3/``."""
ROOT_PASSWORD: Final = "MINIO_ROOT_PASSWORD"
"""The administrator's password, in ``s3/``."""
OPERATOR_ENV: Final = "operator.env"
"""Lines for a shell, in the folder itself."""

_REDIS_URL: Final = "RECLENS_REDIS__URL"
_ACCESS_KEY: Final = "RECLENS_S3__ACCESS_KEY"
_SECRET_KEY: Final = "RECLENS_S3__SECRET_KEY"
_GRAFANA: Final = f"{Part.MONITORING.value}/GRAFANA_ADMIN_PASSWORD"
# The gateway counts rates in Redis and does nothing else there.
_REDIS_FILES: Final = {Part.GATEWAY: "RECLENS_GATEWAY__AUTH__RATES_REDIS"}
_SECRET_BYTES: Final = 30  # 240 bits, 40 characters: MinIO takes no more


@dataclass(frozen=True)
class Addresses:
    """Where the servers are found: within the deployment, and from this machine."""

    redis_inside: str = "redis:6379"
    """``host:port`` of Redis, as containers reach it."""
    redis: str = "127.0.0.1:6379"
    """``host:port`` of Redis, as this machine reaches it."""
    s3: str = "127.0.0.1:8333"
    """``host:port`` of the store, as this machine reaches it."""
    gateway: str = "127.0.0.1:50051"
    """``host:port`` of SteeringService, as this machine reaches it."""


def make_credentials(
    root: Path,
    addresses: Addresses,
    *,
    bucket: str = "reclens",
    owner: int | None = None,
    rotate: Collection[Part] = (),
) -> list[str]:
    """Make or complete the folder.

    Args:
        root: the folder; made where it is missing.
        addresses: of the servers.
        bucket: of all artifacts.
        owner: user id that the folders of the parts are to belong to; takes root.
        rotate: parts that get new secrets.

    Returns:
        Names of the files that were made or changed, below ``root``.

    Raises:
        InvalidInput: a file that is there cannot be used.
        Unavailable: the folder cannot be read or written.
    """
    with SecretFolder(root) as folder:
        passwords: dict[Part, str] = {}
        keys: dict[Part, S3Keys] = {}
        for part, rights in RIGHTS.items():
            fresh = part in rotate
            if rights.redis:
                passwords[part] = _redis_password(folder, part, addresses, fresh, owner)
            if rights.store:
                keys[part] = _s3_keys(folder, part, fresh, owner)
        folder.write("redis/users.acl", render_acl(passwords))
        folder.write(f"s3/{IDENTITIES}", render_identities(keys, bucket))
        fresh = Part.MONITORING in rotate
        _kept(folder, _GRAFANA, _new_secret, fresh=fresh, owner=owner)
        if folder.read(f"s3/{SECURITY}") is None:
            folder.write(f"s3/{SECURITY}", _security())
        _kept(folder, f"s3/{ROOT_USER}", lambda: "reclens-root")
        _kept(folder, f"s3/{ROOT_PASSWORD}", _new_secret)
        folder.write(
            OPERATOR_ENV,
            _operator_env(passwords[Part.OPERATOR], keys[Part.OPERATOR], bucket, addresses),
            private=True,
        )
        return folder.changed


def _redis_password(
    folder: SecretFolder, part: Part, addresses: Addresses, fresh: bool, owner: int | None
) -> str:
    """The part's password; its file has the whole address, which may have become another."""
    name = f"{part.value}/{_REDIS_FILES.get(part, _REDIS_URL)}"
    known = None if fresh else folder.read(name)
    password = _new_secret() if known is None else _password_of(known, folder.root / name)
    # A user of another name is of a Redis of one's own: whoever wrote it knows where that is.
    if known is None or urlsplit(known).username == part.value:
        url = _redis_url(part, password, addresses.redis_inside)
        folder.write(name, url, owner=owner)
    return password


def _s3_keys(folder: SecretFolder, part: Part, fresh: bool, owner: int | None) -> S3Keys:
    # A name that stays: with MinIO, a new secret then replaces the old one. Another stays too: it
    # is of a store of one's own.
    name = f"{part.value}/{_ACCESS_KEY}"
    access = _kept(folder, name, lambda: f"reclens-{part.value}", owner=owner)
    secret = _kept(folder, f"{part.value}/{_SECRET_KEY}", _new_secret, fresh=fresh, owner=owner)
    return S3Keys(access, secret)


def _kept(
    folder: SecretFolder,
    name: str,
    new: Callable[[], str],
    *,
    fresh: bool = False,
    owner: int | None = None,
) -> str:
    """What the file says, or ``new()`` where it is not there or a ``fresh`` one is wanted."""
    value = (None if fresh else folder.read(name)) or new()
    folder.write(name, value, owner=owner)
    return value


def _security() -> str:
    # Whoever reaches SeaweedFS's port for other servers of its kind could make identities without.
    key = secrets.token_urlsafe(_SECRET_BYTES)
    return f'[jwt.filer_signing]\nkey = "{key}"\n'


def _new_secret() -> str:
    return secrets.token_urlsafe(_SECRET_BYTES)


def _redis_url(part: Part, password: str, address: str) -> str:
    # Database 0: the rights are for it, and for channels that are named after it.
    return f"redis://{part.value}:{password}@{address}/0"


def _password_of(url: str, file: Path) -> str:
    try:
        password = urlsplit(url).password
    except ValueError:
        password = None
    if not password:
        raise InvalidInput(
            f"{file} has no address with a password.",
            field=file.name,
            remedy=f"make a new one: `reclens deploy credentials --rotate {file.parent.name}`.",
        )
    return password


def _operator_env(password: str, keys: S3Keys, bucket: str, addresses: Addresses) -> str:
    values = {
        _REDIS_URL: _redis_url(Part.OPERATOR, password, addresses.redis),
        "RECLENS_S3__ENDPOINT": addresses.s3,
        _ACCESS_KEY: keys.access_key,
        _SECRET_KEY: keys.secret_key,
        "RECLENS_S3__BUCKET": bucket,
        "RECLENS_CLIENT__TARGET": addresses.gateway,
    }
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in values.items())
