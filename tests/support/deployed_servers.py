"""Redis and the store with the rights of a deployment, and each part's way to them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minio.error import S3Error
from redis import Redis
from redis.exceptions import NoPermissionError
from server_processes import redis_server, s3_server

from reclens.contracts import Release
from reclens.errors import StoreRefused
from reclens.ops.deployment.access import Account
from reclens.ops.deployment.credentials import Addresses, make_credentials
from reclens.platform.settings.models import RedisSettings, S3Settings
from reclens.platform.store.artifacts import ArtifactStore
from reclens.platform.store.objects import ObjectStore, S3Store


@dataclass(frozen=True)
class Deployed:
    """Running servers, and the folder with everybody's secrets."""

    credentials: Path
    redis_address: str
    s3_address: str

    def environment(self, part: Account) -> dict[str, str]:
        """What a container of the part is given."""
        return {
            "RECLENS_SECRETS_DIR": str(self.credentials / part.value),
            "RECLENS_S3__ENDPOINT": self.s3_address,
        }

    def redis_settings(self, part: Account) -> RedisSettings:
        folder = self.credentials / part.value
        name = "GATEWAY__AUTH__RATES_REDIS" if part is Account.GATEWAY else "REDIS__URL"
        return RedisSettings.model_validate({"url": (folder / f"RECLENS_{name}").read_text()})

    def redis(self, part: Account) -> Redis:
        return Redis.from_url(self.redis_settings(part).url.get_secret_value())

    def s3_settings(self, part: Account) -> S3Settings:
        folder = self.credentials / part.value
        return S3Settings.model_validate(
            {
                "endpoint": self.s3_address,
                "access_key": (folder / "RECLENS_S3__ACCESS_KEY").read_text(),
                "secret_key": (folder / "RECLENS_S3__SECRET_KEY").read_text(),
            }
        )

    def objects(self, part: Account) -> ObjectStore:
        return S3Store(self.s3_settings(part))

    def store(self, part: Account, cache: Path) -> ArtifactStore:
        return ArtifactStore(self.objects(part), cache)


AUTOENCODER = f"autoencoders/{'a' * 16}"


def release_of_nothing(name: str) -> Release:
    """A release as it is published, of artifacts that need not be there."""
    return Release(
        name=name,
        version="1",
        recommender=f"recommenders/{'a' * 16}",
        autoencoder=AUTOENCODER,
        concepts=f"concepts/{'a' * 16}",
        published_at="2026-01-01T00:00:00+00:00",
    )


def refused(action: Callable[[], Any]) -> bool:
    """Whether Redis or the store says that who does it may not."""
    try:
        action()
    except (StoreRefused, NoPermissionError):
        return True
    except S3Error as error:
        return error.code == "AccessDenied"
    return False


@contextmanager
def deployed_servers(folder: Path) -> Iterator[Deployed]:
    """Start both with fresh credentials; the bucket is made by who may make it."""
    credentials = folder / "credentials"
    make_credentials(credentials, Addresses())
    users = credentials / "redis" / "users.acl"
    identities = credentials / "s3" / "identities.json"
    with redis_server(folder / "redis", users) as redis, s3_server(folder / "s3", identities) as s3:
        address = redis.url.get_secret_value().removeprefix("redis://").removesuffix("/0")
        # Ports are known only now; the secrets stay.
        make_credentials(credentials, Addresses(redis_inside=address))
        deployed = Deployed(credentials, address, s3.endpoint)
        deployed.objects(Account.INIT).ensure_bucket()
        yield deployed
