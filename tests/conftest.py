"""Real servers for the whole session: Redis and S3, started once, on free ports."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from reclens.adapters.artifacts import ArtifactStore
from reclens.adapters.settings import S3Settings, StoreSettings, WorkerSettings
from reclens.adapters.sources import obtain
from reclens.local.servers import redis_server, s3_server


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Settings]:
    """A running S3 server with an empty bucket."""
    with s3_server(tmp_path_factory.mktemp("s3")) as settings:
        yield settings


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A running Redis."""
    with redis_server(tmp_path_factory.mktemp("redis")) as settings:
        yield settings.url.get_secret_value()


@pytest.fixture
def artifact_store(s3: S3Settings, tmp_path: Path) -> ArtifactStore:
    """All artifacts of the session's bucket, with a cache of the test's own."""
    store = ArtifactStore.from_settings(StoreSettings(s3=s3, cache_dir=tmp_path / "cache"))
    store.objects.ensure_bucket()
    return store


@pytest.fixture(scope="session")
def ml_100k_folder() -> Path:
    """MovieLens-100K, obtained as the project obtains it and kept between runs."""
    return obtain("ml-100k", Path(".reclens/cache"), WorkerSettings().data.ml_100k).folder
