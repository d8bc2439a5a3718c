"""A real trainer is told to stop in mid-training: it saves, hands its job back, and is followed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from redis import Redis
from running_stack import wait_for

from reclens.contracts import (
    AutoencoderSpec,
    CaptureSpec,
    DatasetSpec,
    PipelineSpec,
    RecommenderSpec,
)
from reclens.platform.jobs.log import JobLog
from reclens.platform.jobs.view import JobState
from reclens.platform.settings.models import RedisSettings, S3Settings
from reclens.platform.store.artifacts import ArtifactStore, ArtifactWriter

_ROWS, _WIDTH = 3000, 16
_CONFIG = {"n_latents": 64, "k": 4, "batch_size": 32, "n_epochs": 25}


@pytest.fixture
def spec(artifact_store: ArtifactStore, tmp_path: Path) -> AutoencoderSpec:
    """A training of some seconds on activations that are there."""
    x = np.random.default_rng(0).standard_normal((_ROWS, _WIDTH)).astype(np.float32)
    splits = ["train"] * (_ROWS - 300) + ["construct", "verify", "test"] * 100
    users = [f"u{i}" for i in range(_ROWS)]
    table = pa.table(
        {
            "user_id": users,
            "split": splits,
            "origin": ["history"] * _ROWS,
            "context": [[f"item-{user}"] for user in users],
            "representation": pa.FixedSizeListArray.from_arrays(pa.array(x.ravel()), _WIDTH),
            "top_items": [["best"]] * _ROWS,
            "top_scores": pa.array([[1.0]] * _ROWS, pa.list_(pa.float32())),
        }
    )
    shard = tmp_path / "shard-00000.parquet"
    pq.write_table(table, shard)
    plan = PipelineSpec.parse(
        {
            "release": "trainer-stops",
            "dataset": {"name": "trainer-stops", "source": {"format": "table", "path": "unused"}},
            "autoencoder": {"config": _CONFIG},
        }
    ).plan()
    specs = {stage.name: stage.spec for stage in plan}
    made = {"dataset": DatasetSpec, "recommender": RecommenderSpec, "activations": CaptureSpec}
    for name, kind in made.items():
        writer = ArtifactWriter(artifact_store, kind.parse(specs[name]))
        if name == "activations":
            writer.add(shard)
        writer.commit({}, 0.0)
    return AutoencoderSpec.parse(specs["autoencoder"])


def trainer(redis: RedisSettings, s3: S3Settings, folder: Path) -> subprocess.Popen[bytes]:
    environment = {
        **os.environ,
        "RECLENS_REDIS__URL": redis.url.get_secret_value(),
        "RECLENS_S3__ENDPOINT": s3.endpoint,
        "RECLENS_S3__ACCESS_KEY": s3.access_key.get_secret_value(),
        "RECLENS_S3__SECRET_KEY": s3.secret_key.get_secret_value(),
        "RECLENS_S3__BUCKET": s3.bucket,
        "RECLENS_CACHE_DIR": str(folder / "cache"),
        "RECLENS_DEVICE": "cpu",
        "OMP_NUM_THREADS": "1",
    }
    code = "from reclens_trainer.main import main; main()"
    with (folder / "trainer.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-c", code, "worker"], env=environment, stdout=log, stderr=log
        )


def test_it_saves_hands_its_job_back_and_is_followed(
    spec: AutoencoderSpec,
    redis: RedisSettings,
    s3: S3Settings,
    artifact_store: ArtifactStore,
    tmp_path: Path,
):
    client = Redis.from_url(redis.url.get_secret_value())
    joblog = JobLog(redis)
    ref = spec.artifact_ref()
    leaving = trainer(redis, s3, tmp_path)
    try:
        job_id = joblog.submit(spec.JOB.task, spec.canonical())

        def trains() -> bool:
            progress = joblog.show(job_id).progress
            return progress is not None and progress.stage == "train"

        wait_for(trains, "the training")
        # By default a checkpoint is due every 20 seconds: the one below is made for the stop.
        assert artifact_store.objects.list(f"checkpoints/{ref}/") == []
        # As `docker stop` does: to the main process alone.
        leaving.send_signal(signal.SIGTERM)
        assert leaving.wait(60) == 0
        assert artifact_store.objects.list(f"checkpoints/{ref}/")
        assert not artifact_store.exists(ref)
        assert client.llen("train") == 1
        assert list(client.scan_iter("reclens:unacked:*")) == []
        assert not joblog.show(job_id).state.final
    finally:
        leaving.kill()
    following = trainer(redis, s3, tmp_path)
    try:
        wait_for(lambda: joblog.show(job_id).state.final, "the job")
        view = joblog.show(job_id)
        assert view.state is JobState.SUCCEEDED
        assert view.result is not None
        assert view.result.artifact == ref
        assert b"job.resumed" in (tmp_path / "trainer.log").read_bytes()
        assert artifact_store.objects.list(f"checkpoints/{ref}/") == []
    finally:
        following.terminate()
        following.wait(60)
