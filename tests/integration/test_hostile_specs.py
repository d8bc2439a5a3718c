"""Specifications that name files which are nobody's data, through the recommender's own worker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from planted_artifacts import commit_planted, pipeline
from planted_world import planted_world
from running_stack import wait_for

from reclens.contracts.specs.dataset import DATASET_IMPORT
from reclens.contracts.specs.recommender import RECOMMENDER_TRAIN
from reclens.platform.jobs.app import make_app
from reclens.platform.jobs.log import JobLog
from reclens.platform.jobs.view import JobState, JobView
from reclens.platform.settings.models import RedisSettings, S3Settings
from reclens.platform.store.artifacts import ArtifactStore

SECRET = "hunter2-of-the-operator"
ROWS = "user_id,item_id,timestamp\n" + "".join(
    f"u{user},i{item},{item}\n" for user in range(3) for item in range(4)
)


@dataclass(frozen=True)
class Worker:
    """A worker with one folder of data, and a secret outside of it."""

    data: Path
    secret: Path
    log: Path
    key: str
    joblog: JobLog
    app: Celery

    def fate_of(self, task: str, spec: dict[str, Any]) -> JobView:
        job_id = self.joblog.submit(task, spec)
        wait_for(lambda: self.joblog.show(job_id).state.final, f"job {job_id}")
        return self.joblog.show(job_id)

    def fate_of_import(self, **source: Any) -> JobView:
        return self.fate_of(DATASET_IMPORT.task, {"name": "mine", "source": source})


@pytest.fixture(scope="module")
def worker(
    redis_url: str, s3: S3Settings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Worker]:
    folder = tmp_path_factory.mktemp("hostile")
    data, secret, log = folder / "data", folder / "secret.csv", folder / "worker.log"
    data.mkdir()
    secret.write_text(f"name,{SECRET}\nroot,{SECRET}\n")
    environment = {
        **os.environ,
        "RECLENS_REDIS__URL": redis_url,
        "RECLENS_S3__ENDPOINT": s3.endpoint,
        "RECLENS_S3__ACCESS_KEY": s3.access_key.get_secret_value(),
        "RECLENS_S3__SECRET_KEY": s3.secret_key.get_secret_value(),
        "RECLENS_S3__BUCKET": s3.bucket,
        "RECLENS_CACHE_DIR": str(folder / "cache"),
        "RECLENS_DATA__ROOTS": str(data),
        # Seen in the environment of its process alone.
        "NOTE": SECRET,
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "reclens_recommender.main", "worker"],
            env=environment,
            stdout=output,
            stderr=output,
        )
    settings = RedisSettings.model_validate({"url": redis_url})
    key = s3.secret_key.get_secret_value()
    yield Worker(data, secret, log, key, JobLog(settings), make_app(settings))
    process.send_signal(signal.SIGQUIT)
    process.wait(30)


@pytest.fixture(autouse=True)
def bucket(artifact_store: ArtifactStore) -> ArtifactStore:
    return artifact_store


def refused(view: JobView, worker: Worker, field: str) -> None:
    assert view.state is JobState.FAILED
    assert view.error is not None
    assert view.error.type == "InvalidInput", view.error.message
    assert view.error.message.startswith(f"{field}: ")
    assert "RECLENS_DATA__ROOTS" in view.error.message
    assert SECRET not in view.model_dump_json()
    assert SECRET not in worker.log.read_text()


def test_a_file_below_the_folders_is_imported(worker: Worker):
    (worker.data / "mine.csv").write_text(ROWS)
    view = worker.fate_of_import(format="table", path=str(worker.data / "mine.csv"))
    assert view.state is JobState.SUCCEEDED


@pytest.mark.parametrize("form", ["table", "sequences", "movielens", "recbole", "hetrec"])
@pytest.mark.parametrize(
    "path", ["SECRET", "DATA/../secret.csv", "/etc/passwd", "/proc/self/environ", "/", "secret.csv"]
)
def test_no_format_reads_a_file_from_outside(worker: Worker, form: str, path: str):
    path = path.replace("SECRET", str(worker.secret)).replace("DATA", str(worker.data))
    refused(worker.fate_of_import(format=form, path=path), worker, "source.path")


def test_titles_are_not_read_from_outside(worker: Worker):
    (worker.data / "mine.csv").write_text(ROWS)
    mine = str(worker.data / "mine.csv")
    view = worker.fate_of_import(format="table", path=mine, items_path=str(worker.secret))
    refused(view, worker, "source.items_path")


@pytest.mark.parametrize("name", ["interactions.csv", "items.csv", "users.csv"])
def test_a_link_leads_nowhere_else(worker: Worker, name: str):
    folder = worker.data / f"links-{name}"
    folder.mkdir()
    (folder / "interactions.csv").write_text(ROWS)
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to(worker.secret)
    refused(worker.fate_of_import(format="table", path=str(folder)), worker, "source.path")


def test_a_folder_that_is_a_link_leads_nowhere_else(worker: Worker):
    (worker.data / "elsewhere").symlink_to(worker.secret.parent)
    path = str(worker.data / "elsewhere" / "secret.csv")
    refused(worker.fate_of_import(format="sequences", path=path), worker, "source.path")


def test_what_is_hidden_is_no_data(worker: Worker):
    (worker.data / ".env").write_text(worker.secret.read_text())
    path = str(worker.data / ".env")
    refused(worker.fate_of_import(format="sequences", path=path), worker, "source.path")


def test_a_pipe_holds_no_worker_up(worker: Worker):
    os.mkfifo(worker.data / "pipe.csv")
    path = str(worker.data / "pipe.csv")
    refused(worker.fate_of_import(format="table", path=path), worker, "source.path")


@pytest.mark.parametrize("path", ["SECRET", "/etc/passwd", "/proc/self/environ", "DATA/pipe"])
def test_weights_are_not_read_from_outside(
    worker: Worker, path: str, bucket: ArtifactStore, tmp_path: Path
):
    if not (worker.data / "pipe").exists():
        os.mkfifo(worker.data / "pipe")
    commit_planted(planted_world(), bucket, tmp_path / "planted")
    path = path.replace("SECRET", str(worker.secret)).replace("DATA", str(worker.data))
    model = {"kind": "module", "name": "any", "weights": {"path": path, "sha256": "0" * 64}}
    spec = {"dataset": pipeline().plan()[0].artifact, "model": model}
    refused(worker.fate_of(RECOMMENDER_TRAIN.task, spec), worker, "model.weights.path")


def test_a_specification_that_nobody_asked_for_at_the_door_is_short(worker: Worker):
    job_id = str(uuid.uuid4())
    spec = {"name": "mine", "more": ["x"] * 20_000}
    worker.app.send_task(DATASET_IMPORT.task, kwargs={"spec": spec}, task_id=job_id)
    wait_for(lambda: job_id in worker.joblog.ids(), "the worker")
    wait_for(lambda: worker.joblog.show(job_id).state.final, f"job {job_id}")
    error = worker.joblog.show(job_id).error
    assert error is not None
    assert (error.type, "more than 32768 bytes" in error.message) == ("InvalidSpec", True)


def test_results_and_logs_do_not_tell_the_secrets_of_the_worker(worker: Worker):
    """Here it is the submitter who has one; errors of servers have them likewise."""
    view = worker.fate_of_import(format="table", path=f"/nowhere/{worker.key}")
    assert view.error is not None
    assert view.error.message.startswith("source.path: /nowhere/[secret] is not taken")
    assert worker.key not in view.error.model_dump_json()
    assert worker.key not in worker.log.read_text()
