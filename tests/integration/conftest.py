"""Labelling workers, and servers with the rights of a deployment, started once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import server_processes
from deployed_servers import Deployed, deployed_servers
from labelling_stack import LabellingStack
from planted_artifacts import commit_planted
from planted_world import planted_world
from redis import Redis
from running_lookalike import Lookalike
from servers import redis_server

from reclens.platform.jobs.app import connect
from reclens.platform.settings.models import RedisSettings, S3Settings, StoreSettings
from reclens.platform.store.artifacts import ArtifactStore


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisSettings]:
    """A Redis process of the test's own, which it may break."""
    with server_processes.redis_server(tmp_path / "redis") as redis:
        yield redis


@pytest.fixture
def client(redis: RedisSettings) -> Redis:
    """A client of that Redis."""
    return connect(redis)


@pytest.fixture(scope="session")
def labelling(
    s3: S3Settings, _tgi_process: Lookalike, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LabellingStack]:
    """One worker on the planted artifacts, with queues of its own: it takes jobs of every kind."""
    with redis_server(tmp_path_factory.mktemp("labelling-redis")) as redis:
        stack = LabellingStack(
            redis.url.get_secret_value(),
            s3,
            _tgi_process.url,
            tmp_path_factory.mktemp("labelling"),
        )
        store = ArtifactStore.from_settings(StoreSettings(s3=s3, cache_dir=stack.folder / "own"))
        store.objects.ensure_bucket()
        commit_planted(planted_world(), store, stack.folder / "planted")
        stack.start_worker()
        yield stack
        stack.stop()


@pytest.fixture(scope="session")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    """Redis and the store with an account for each part."""
    with deployed_servers(tmp_path_factory.mktemp("deployed")) as servers:
        yield servers
