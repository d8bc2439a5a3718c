"""Real servers for the whole session: Redis, S3, and look-alikes of language model servers,
started once, on free ports."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from buckets import bucket_of_ones_own
from running_lookalike import Lookalike, lookalike
from servers import provider, redis_server, s3_server
from xdist.scheduler import LoadScopeScheduling

from reclens.errors import RecLensError
from reclens.platform.datasets.obtain import obtain
from reclens.platform.settings.models import S3Settings, StoreSettings, WorkerSettings
from reclens.platform.store.artifacts import ArtifactStore

# Whoever a test starts takes data from the folders of tests.
os.environ.setdefault("RECLENS_DATA__ROOTS", f"{tempfile.gettempdir()}{os.pathsep}{Path.cwd()}")


class _ByFile(LoadScopeScheduling):
    """A file's tests go to one process; so do a folder's that share what takes a minute to make."""

    def _split_scope(self, nodeid: str) -> str:
        shared = next((folder for folder in ("e2e", "quality") if f"tests/{folder}/" in nodeid), "")
        return shared or nodeid.partition("::")[0]


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> LoadScopeScheduling:
    """How tests are shared out among processes (``-n``)."""
    return _ByFile(config, log)


def pytest_report_header() -> str:
    """Who runs Redis and S3."""
    try:
        return f"servers: {provider()}"
    except RecLensError as error:
        raise pytest.UsageError(str(error)) from error


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Tests run side by side, and matrices of a few rows are slower on several threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Settings]:
    """A running S3 server with an empty bucket."""
    with s3_server(tmp_path_factory.mktemp("s3")) as settings:
        yield settings


@pytest.fixture
def own_bucket(s3: S3Settings) -> Iterator[S3Settings]:
    """An empty bucket of the test's own, on the session's server."""
    with bucket_of_ones_own(s3) as settings:
        yield settings


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A running Redis."""
    with redis_server(tmp_path_factory.mktemp("redis")) as settings:
        yield settings.url.get_secret_value()


@pytest.fixture(scope="session")
def _tgi_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lookalike]:
    with lookalike("tgi", tmp_path_factory.mktemp("tgi")) as server:
        yield server


@pytest.fixture(scope="session")
def _openai_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lookalike]:
    with lookalike("openai", tmp_path_factory.mktemp("openai")) as server:
        yield server


@pytest.fixture
def tgi(_tgi_process: Lookalike) -> Lookalike:
    """A server that looks like TGI, fresh for each test."""
    _tgi_process.reset()
    return _tgi_process


@pytest.fixture
def openai_server(_openai_process: Lookalike) -> Lookalike:
    """A server of OpenAI's dialect, as vLLM's and llama.cpp's are, fresh for each test."""
    _openai_process.reset()
    return _openai_process


@pytest.fixture
def artifact_store(s3: S3Settings, tmp_path: Path) -> ArtifactStore:
    """All artifacts of the session's bucket, with a cache of the test's own."""
    store = ArtifactStore.from_settings(StoreSettings(s3=s3, cache_dir=tmp_path / "cache"))
    store.objects.ensure_bucket()
    return store


@pytest.fixture(scope="session")
def ml_100k_folder() -> Path:
    """MovieLens-100K, obtained as the project obtains it and kept between runs."""
    return obtain("ml-100k", Path(".reclens/cache"), WorkerSettings().data.folder("ml-100k")).folder
