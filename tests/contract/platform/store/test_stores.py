"""Any store does what artifacts need: S3, and one of an outside package."""

from __future__ import annotations

from pathlib import Path

import pytest
from outside_package import files_of_page, installed

from reclens.contracts import Release
from reclens.errors import NotFound
from reclens.platform.settings.models import S3Settings, StoreChoice, StoreSettings
from reclens.platform.store.artifacts import ArtifactStore
from reclens.platform.store.objects import STORES, S3Store
from reclens.testing.stores import ObjectStoreSuite

PAGE = files_of_page("store.md")


class TestS3(ObjectStoreSuite):
    @pytest.fixture
    def store(self, s3: S3Settings) -> S3Store:
        store = S3Store(s3)
        store.ensure_bucket()
        return store


def test_s3_is_declared_as_others_are() -> None:
    assert STORES.load("s3") is S3Store


def test_a_store_that_nobody_offers_is_named_with_those_there_are() -> None:
    with pytest.raises(NotFound, match=r"(?s)store 'tape'.*s3"):
        ArtifactStore.from_settings(StoreSettings(store=StoreChoice(kind="tape")))


def test_a_store_of_an_outside_package_passes_the_suite_and_keeps_releases(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    settings = StoreSettings(
        store=StoreChoice(kind="folder", address=str(tmp_path / "objects")),
        cache_dir=tmp_path / "cache",
    )
    release = Release(
        name="default",
        version="1",
        recommender="recommenders/0123456789abcdef",
        autoencoder="autoencoders/0123456789abcdef",
        concepts="concepts/0123456789abcdef",
        published_at="2026-01-01T00:00:00+00:00",
    )
    with installed(PAGE, tmp_path_factory) as package:
        package.run_tests("test_folder.py")
        store = ArtifactStore.from_settings(settings)
        published = store.releases.publish(release)
        assert published.number == 1
        assert store.releases.heads() == {"default": published}
        with pytest.raises(NotFound, match="no artifact"):
            store.manifest(release.concepts)
