"""Labelling workers on planted artifacts, and a client, for tests that cut and kill them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
from labelled_at_once import label_latents
from planted_artifacts import pipeline
from planted_world import planted_world
from running_stack import wait_for

from reclens.concepts.labels.table import read_concepts
from reclens.contracts import ConceptShardSpec, ConceptsSpec
from reclens.contracts.specs.concepts import CONCEPTS_LABEL
from reclens.contracts.specs.pipeline import PIPELINE_RUN
from reclens.contracts.tables import CONCEPTS
from reclens.platform.jobs.log import JobLog
from reclens.platform.jobs.view import JobView
from reclens.platform.settings.models import RedisSettings, S3Settings
from reclens.platform.store.artifacts import ArtifactStore

_WORKER = Path(__file__).parents[1] / "integration" / "labelling_worker.py"
N_LATENTS = 16
FIRSTS = (0, 4, 8, 12)
VISIBILITY_SECONDS = 4


LLM_CONCURRENCY = 2


def spec(seed: int, **options: object) -> ConceptsSpec:
    """A labelling, of four shards by default; seeds keep those of different tests apart."""
    plan = pipeline(**{"shard_latents": 4, "seed": seed, **options}).plan()
    (stage,) = [one for one in plan if one.name == "concepts"]
    return ConceptsSpec.parse(stage.spec)


def shard(seed: int, first: int) -> ConceptShardSpec:
    """Its shard that begins with latent ``first``."""
    return ConceptShardSpec.of(spec(seed), N_LATENTS)[first // 4]


class LabellingStack:
    """Labelling workers and a client."""

    def __init__(
        self,
        redis_url: str,
        s3: S3Settings,
        llm: str,
        folder: Path,
        *,
        dialect: str = "tgi",
        **settings: str,
    ) -> None:
        self.folder = folder
        self.redis = RedisSettings.model_validate({"url": redis_url})
        self.joblog = JobLog(self.redis)
        self.workers: list[subprocess.Popen[bytes]] = []
        self._environment = {
            **os.environ,
            "LABELLING_FOLDER": str(folder),
            "PYTHONPATH": os.pathsep.join([str(_WORKER.parent), os.environ.get("PYTHONPATH", "")]),
            "RECLENS_REDIS__URL": redis_url,
            "RECLENS_REDIS__VISIBILITY_TIMEOUT_SECONDS": str(VISIBILITY_SECONDS),
            "RECLENS_S3__ENDPOINT": s3.endpoint,
            "RECLENS_S3__ACCESS_KEY": s3.access_key.get_secret_value(),
            "RECLENS_S3__SECRET_KEY": s3.secret_key.get_secret_value(),
            "RECLENS_S3__BUCKET": s3.bucket,
            "RECLENS_CACHE_DIR": str(folder / "cache"),
            "RECLENS_CHECKPOINT_SECONDS": "1e-9",
            "RECLENS_LEASE_SECONDS": "2",
            "RECLENS_LLM__ENDPOINT": llm,
            "RECLENS_LLM__DIALECT": dialect,
            "RECLENS_LLM__CONCURRENCY": str(LLM_CONCURRENCY),
            "RECLENS_LLM__RETRIES": "0",
            **settings,
        }

    def start_worker(self) -> subprocess.Popen[bytes]:
        with (self.folder / "worker.log").open("ab") as log:
            worker = subprocess.Popen(
                [sys.executable, str(_WORKER)],
                env=self._environment,
                stdout=log,
                stderr=log,
            )
        self.workers.append(worker)
        return worker

    def submit(self, seed: int, **options: object) -> str:
        return self.joblog.submit(CONCEPTS_LABEL.task, spec(seed, **options).canonical())

    def submit_pipeline(self, seed: int) -> str:
        plan = pipeline(shard_latents=4, seed=seed)
        return self.joblog.submit(PIPELINE_RUN.task, plan.canonical())

    def finish(self, job_id: str, seconds: float = 60) -> JobView:
        wait_for(lambda: self.joblog.show(job_id).state.final, f"job {job_id}", seconds)
        return self.joblog.show(job_id)

    def ask(self, seed: int, first: int, what: str) -> Path:
        path = self.folder / f"{seed}-{first}.{what}"
        path.touch()
        return path

    def noted(self, seed: int, what: str) -> list[list[str]]:
        """Lines that the workers noted, per shard."""
        paths = [self.folder / f"{seed}-{first}.{what}" for first in FIRSTS]
        return [path.read_text().splitlines() if path.exists() else [] for path in paths]

    def runs(self, seed: int) -> list[int]:
        return [len(lines) for lines in self.noted(seed, "runs")]

    def stop(self) -> None:
        """Let go of all that is held and stop all workers."""
        for held in self.folder.glob("*.hold"):
            held.unlink()
        for worker in self.workers:
            worker.send_signal(signal.SIGQUIT)
        for worker in self.workers:
            try:
                worker.wait(30)
            except subprocess.TimeoutExpired:  # a request in flight is waited for
                worker.kill()
                worker.wait(10)


def assert_complete(bucket: ArtifactStore, seed: int) -> None:
    """The artifact has the rows that one process makes in one go."""
    world = planted_world()
    whole = label_latents(
        world.construct,
        world.verify,
        world.items,
        np.full(world.n_latents, 2.0, np.float32),
        options=spec(seed),
    )
    ref = spec(seed).artifact_ref()
    assert read_concepts(bucket.fetch(ref, CONCEPTS.file)) == whole.rows
    assert bucket.manifest(ref).metrics == whole.metrics
