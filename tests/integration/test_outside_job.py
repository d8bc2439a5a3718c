"""A job of a stranger's package: installed, and nothing of RecLens is changed for it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from outside_package import OutsidePackage, files_of_page, installed
from planted_artifacts import commit_planted, pipeline
from planted_world import planted_world

from reclens.cli.main import run
from reclens.cli.reference.jobs import jobs_reference
from reclens.contracts import job_kinds
from reclens.contracts.specs.dataset import DATASET_IMPORT
from reclens.ops.deployment.account_rules import policies
from reclens.platform.jobs.app import make_app
from reclens.platform.settings.models import RedisSettings, S3Settings, StoreSettings
from reclens.platform.store.artifacts import ArtifactStore

FILES = files_of_page("job.md")
TASK = "shop.popularity.rank.v1"


@pytest.fixture(scope="module")
def shop_jobs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OutsidePackage]:
    with installed(FILES, tmp_path_factory) as package:
        yield package


@pytest.fixture
def environment(
    redis_url: str, own_bucket: S3Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "RECLENS_REDIS__URL": redis_url,
        "RECLENS_S3__ENDPOINT": own_bucket.endpoint,
        "RECLENS_S3__ACCESS_KEY": own_bucket.access_key.get_secret_value(),
        "RECLENS_S3__SECRET_KEY": own_bucket.secret_key.get_secret_value(),
        "RECLENS_S3__BUCKET": own_bucket.bucket,
        "RECLENS_CACHE_DIR": str(tmp_path / "cache-of-the-worker"),
    }.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def _worker(shop_jobs: OutsidePackage, environment: None, tmp_path: Path) -> Iterator[None]:
    """The recommender's own worker, in which the package is installed."""
    with (tmp_path / "worker.log").open("wb") as log:
        worker = subprocess.Popen(
            [sys.executable, "-m", "reclens_recommender.main", "worker"],
            env={**os.environ, "PYTHONPATH": str(shop_jobs.site)},
            stdout=log,
            stderr=log,
        )
    yield
    worker.send_signal(signal.SIGQUIT)
    worker.wait(30)


# The first test, before the package is installed.
def test_where_it_is_not_installed_it_is_not_known(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    job = tmp_path / "popularity.yaml"
    job.write_text(FILES["popularity.yaml"])
    assert run(["submit", str(job)]) == 2
    assert "there is no task 'shop.popularity.rank.v1' to submit" in capsys.readouterr().err


@pytest.mark.usefixtures("_worker")
def test_it_is_submitted_run_and_found_again(
    own_bucket: S3Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    store = ArtifactStore.from_settings(StoreSettings(s3=own_bucket, cache_dir=tmp_path / "cache"))
    world = planted_world()
    commit_planted(world, store, tmp_path / "planted")
    dataset = pipeline().plan()[0].artifact
    job = tmp_path / "popularity.yaml"
    job.write_text(FILES["popularity.yaml"].replace("datasets/0123456789abcdef", dataset))

    def submitted() -> dict[str, object]:
        assert run(["submit", str(job), "--watch", "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    first = submitted()
    assert first["state"] == "SUCCEEDED"
    assert first["task"] == TASK
    result = first["result"]
    assert isinstance(result, dict)
    assert result["metrics"]["items"] == 3
    manifest = store.manifest(result["artifact"])
    assert (manifest.task, list(manifest.inputs)) == (TASK, ["dataset"])
    ranked = json.loads(store.fetch(result["artifact"], "popularity.json").read_bytes())
    assert set(ranked) < set(world.items.ids)
    assert json.loads(store.objects.get("shop-newest/popularity.json")) == ranked
    again = submitted()["result"]
    assert isinstance(again, dict)
    assert (again["reused"], again["artifact"]) == (True, result["artifact"])


@pytest.mark.usefixtures("shop_jobs")
def test_route_reference_and_rights_follow_from_its_declaration():
    app = make_app(RedisSettings())
    assert app.conf.task_routes[TASK]["queue"] == "capture"
    page = jobs_reference()
    assert f"## `{TASK}`\n\nRank the items of a data set by their number of interactions." in page
    assert "| `top` | integer from 1 to 100,000 | `100` | Items to keep. |" in page
    may = {account.value: json.dumps(policy) for account, policy in policies("b").items()}
    # Its worker writes there; what nothing needs is removed there, and what was lost put back.
    assert {name for name, policy in may.items() if "shop-newest/*" in policy} == {
        "recommender",
        "gc",
        "restore",
    }
    # It is one of many, and the others are as they were.
    assert job_kinds()[DATASET_IMPORT.task] is DATASET_IMPORT
