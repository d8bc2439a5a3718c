"""A small system with everything in it: servers, workers, serving, data, and the jobs that run."""

from __future__ import annotations

import contextlib
import csv
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import redis as redis_py

from chaos.oracle import Artifacts, digest, snapshot
from chaos.programs import Program, supervised, until
from chaos.schedule import WORKERS
from chaos.servers import RedisServer, S3Server, SmallDisk
from chaos.wires import StoreWire, Traffic, Wire
from reclens.contracts import (
    ConceptCorrection,
    ConceptCorrectionsSpec,
    EvaluationSpec,
    Manifest,
    PipelineSpec,
    Release,
)
from reclens.contracts.specs.corrections import CONCEPTS_EDIT
from reclens.contracts.specs.evaluation import AUTOENCODER_EVALUATE
from reclens.errors import RecLensError
from reclens.ops.local.servers import free_ports
from reclens.ops.retention.garbage_collection import Collector
from reclens.ops.retention.live_jobs import LiveJobs
from reclens.platform.grpc.health_probe import grpc_status
from reclens.platform.jobs.log import JobLog
from reclens.platform.jobs.view import JobState, JobView
from reclens.platform.settings.models import RetentionSettings
from reclens.platform.store.artifacts import ArtifactStore
from reclens.platform.store.label_corrections import CorrectionLog
from reclens.platform.store.objects import S3Store

LEASE_SECONDS = 3
VISIBILITY_SECONDS = 4
RELEASE = "chaos"
SERVED = "shop"
_QUEUES = ("capture", "train", "label", "pipeline")
_MODULE = {
    "capture": ("reclens_recommender.main", "worker"),
    "train": ("reclens_trainer.main", "worker"),
    "label": ("reclens_labeler.main", "worker"),
}
_HEARTBEAT_SECONDS = 6.0
_BASE_SECONDS = 240.0
_GENRES = ("Comedy", "Horror", "Western", "Drama")


class World:
    """Everything that runs, and the ways to it. Use `opened`.

    Args:
        folder: empty, for all data and logs.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.disk = SmallDisk(folder / "disk")
        self.logs = folder / "logs"
        self.logs.mkdir()
        self.redis = RedisServer(folder / "redis")
        self.s3 = S3Server(folder / "s3")
        self.traffic = Traffic(frozenset(name for one in WORKERS for name in (one, f"{one}-2")))
        self.redis_wires: dict[str, Wire] = {}
        self.store_wires: dict[str, StoreWire] = {}
        self.programs: dict[str, Program] = {
            "redis": self.redis.program,
            "s3": self.s3.program,
        }
        self.objects = S3Store(self.s3.settings)
        self.store = ArtifactStore(self.objects, folder / "own-cache")
        self.joblog = JobLog(self.redis.settings)
        self.gateway = ""
        self.inference = ""
        self.reference: dict[str, bytes] = {}
        """Objects of the undisturbed run."""
        self.served: dict[str, bytes] = {}
        """Objects of what is served meanwhile."""
        self.releases: tuple[Release, ...] = ()
        """The two versions of what is served."""
        self.jobs: dict[str, tuple[str, dict[str, Any]]] = {}
        """Task and specification by kind of job."""
        self._kept: dict[str, str] = {}

    @contextlib.contextmanager
    def opened(self) -> Iterator[None]:
        """Everything started, for the life of the block."""
        try:
            with supervised(self.programs), self.redis.recorded():
                for program in (self.redis.program, self.s3.program):
                    program.start()
                    program.wait()
                self.objects.ensure_bucket()
                self._add_parts()
                for name in (*WORKERS, "inference", "gateway"):
                    self.programs[name].start()
                for name in WORKERS:
                    self.programs[name].wait()
                self._prepare()
                yield
        finally:
            self.s3.tidy()
            self.disk.close()

    # --- processes -------------------------------------------------------------------------------

    def workers(self) -> list[Program]:
        """All workers that run, standbys included."""
        names = [*WORKERS, *(f"{one}-2" for one in WORKERS)]
        return [self.programs[name] for name in names if self.programs[name].pid is not None]

    def _add_parts(self) -> None:
        inference, gateway = (f"127.0.0.1:{port}" for port in free_ports(2))
        self.inference, self.gateway = inference, gateway
        for name in WORKERS:
            for worker in (name, f"{name}-2"):
                self._add_worker(worker, *_MODULE[name])
        serving = {
            "inference": (["-m", "reclens_recommender.main", "serve"], inference),
            "gateway": (["-m", "reclens_gateway.main"], gateway),
        }
        for name, (arguments, address) in serving.items():
            environment = self._environment(name) | {
                "RECLENS_INFERENCE__LISTEN": inference,
                "RECLENS_GATEWAY__LISTEN": gateway,
                "RECLENS_GATEWAY__INFERENCE": inference,
            }
            self.programs[name] = Program(
                name,
                [sys.executable, *arguments],
                environment,
                self.logs / f"{name}.log",
                lambda address=address: grpc_status(address) == "SERVING",
            )

    def _add_worker(self, name: str, module: str, argument: str) -> None:
        heartbeat = self.logs / f"{name}.heartbeat"
        code = f"from {module} import main; main()"
        environment = self._environment(name) | {"RECLENS_HEARTBEAT__FILE": str(heartbeat)}

        def consumes() -> bool:
            program = self.programs[name]
            try:
                fresh = time.time() - heartbeat.stat().st_mtime < _HEARTBEAT_SECONDS
                return fresh and f'"pid": {program.pid},' in heartbeat.read_text()
            except OSError:
                return False

        command = [sys.executable, "-c", code, argument]
        self.programs[name] = Program(
            name, command, environment, self.logs / f"{name}.log", consumes
        )

    def _environment(self, name: str) -> dict[str, str]:
        s3, traffic = self.s3.settings, self.traffic
        redis = self.redis_wires[name] = Wire(name, self.redis.address)
        store = self.store_wires[name] = StoreWire(name, s3.endpoint, s3.bucket, traffic)
        scratch = self.disk.folder / name / "scratch"
        scratch.mkdir(parents=True)
        return {
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "OMP_WAIT_POLICY": "PASSIVE",
            "TMPDIR": str(scratch),
            "RECLENS_REDIS__URL": f"redis://{redis.address}/0",
            "RECLENS_REDIS__VISIBILITY_TIMEOUT_SECONDS": str(VISIBILITY_SECONDS),
            "RECLENS_S3__ENDPOINT": store.address,
            "RECLENS_S3__ACCESS_KEY": s3.access_key.get_secret_value(),
            "RECLENS_S3__SECRET_KEY": s3.secret_key.get_secret_value(),
            "RECLENS_S3__BUCKET": s3.bucket,
            "RECLENS_CACHE_DIR": str(self.disk.folder / name / "cache"),
            "RECLENS_DATA__ROOTS": str(self.folder / "data"),
            "RECLENS_DEVICE": "cpu",
            "RECLENS_LEASE_SECONDS": str(LEASE_SECONDS),
            "RECLENS_CHECKPOINT_SECONDS": "0.5",
            "RECLENS_PROGRESS_SECONDS": "40",
            "RECLENS_HEARTBEAT__STALL_SECONDS": "10",
            "RECLENS_HEARTBEAT__GRACE_SECONDS": "10",
            "RECLENS_HEARTBEAT__LOST_SECONDS": "15",
            "RECLENS_PATIENCE_SECONDS": "60",
        }

    # --- data and what is there before the rounds ------------------------------------------------

    def _prepare(self) -> None:
        """Run everything once undisturbed: what is served, then what the rounds make again."""
        data = self.folder / "data"
        write_table(data)
        for seed in (1, 2):
            job = self._run("reclens.pipeline.run.v1", pipeline(data, SERVED, seed).canonical())
            assert job.state is JobState.SUCCEEDED, job.error
            self.releases = (*self.releases, self.store.releases.head(SERVED))
        self.served = snapshot(self.objects)
        whole = pipeline(data, RELEASE, 0)
        stages = {stage.name: stage for stage in whole.plan()}
        refs = {name: stage.artifact for name, stage in stages.items()}
        correction = ConceptCorrection(
            operation="rename",
            concept_id="any",
            was="any",
            latents=(0, 1),
            name="Renamed",
            author="chaos",
            at="2024-01-01T00:00:00+00:00",
        )
        evaluation = EvaluationSpec(autoencoder=refs["autoencoder"], concepts=refs["concepts"])
        edited = ConceptCorrectionsSpec.of(refs["concepts"], [correction])
        self.jobs = {
            "pipeline": ("reclens.pipeline.run.v1", whole.canonical()),
            "import": (stages["dataset"].task, stages["dataset"].spec),
            "recommender": (stages["recommender"].task, stages["recommender"].spec),
            "capture": (stages["activations"].task, stages["activations"].spec),
            "autoencoder": (stages["autoencoder"].task, stages["autoencoder"].spec),
            "labelling": (stages["concepts"].task, stages["concepts"].spec),
            "release": (stages["release"].task, stages["release"].spec),
            "evaluation": (AUTOENCODER_EVALUATE.task, evaluation.canonical()),
            "correction": (CONCEPTS_EDIT.task, edited.canonical()),
        }
        for kind in ("pipeline", "evaluation", "correction"):
            if kind == "correction":
                CorrectionLog(self.store, refs["autoencoder"]).append(correction, seen=0)
            job = self._run(*self.jobs[kind])
            assert job.state is JobState.SUCCEEDED, f"{kind}: {job.error}"
        self._published = self.store.releases.head(RELEASE)
        everything = snapshot(self.objects)
        self.reference = {k: v for k, v in everything.items() if k not in self.served}
        self._order = [*(refs[name] for name in list(stages)[:5])]
        self._made = {
            "import": [refs["dataset"]],
            "recommender": [refs["recommender"]],
            "capture": [refs["activations"]],
            "autoencoder": [refs["autoencoder"]],
            "labelling": [refs["concepts"], *self._shards()],
            "evaluation": [evaluation.artifact_ref()],
            "correction": [edited.artifact_ref()],
            "release": [f"releases/{RELEASE}"],
        }
        stagewise = ("import", "recommender", "capture", "autoencoder", "labelling", "release")
        self._made["pipeline"] = [ref for one in stagewise for ref in self._made[one]]

    def _shards(self) -> list[str]:
        keys = (key for key in self.reference if key.startswith("concept-shards/"))
        return sorted(key.removesuffix("/manifest.json") for key in keys if key.endswith(".json"))

    def expected(self, kind: str) -> Artifacts:
        """What a job of this kind makes, and what must be there as it was before."""
        made = self._made[kind]
        makes = {
            ref: {
                entry.name: entry.sha256
                for entry in Manifest.parse(self.reference[f"{ref}/manifest.json"]).objects
            }
            for ref in made
            if ref != f"releases/{RELEASE}"
        }
        release = None
        if f"releases/{RELEASE}" in made:
            release = self._published
        return Artifacts(makes, self._kept, release, (SERVED, RELEASE))

    def _before(self, kind: str) -> dict[str, bytes]:
        made = self._made[kind]
        stage = next((n for n, ref in enumerate(self._order) if ref in made), len(self._order))
        upstream = [] if kind in ("import", "pipeline") else self._order[:stage]
        if kind in ("evaluation", "correction", "release"):
            upstream = self._order
        folders = tuple(f"{ref}/" for ref in upstream)
        if kind == "correction":
            folders = (*folders, "edits/")
        return self.served | {k: v for k, v in self.reference.items() if k.startswith(folders)}

    def clean(self, kind: str) -> None:
        """Leave in the store what a job of this kind needs, and nothing in the workers' caches."""
        wanted, there = self._before(kind), snapshot(self.objects)
        # Versions of a release never change: those that were added since stay.
        versions = {k: v for k, v in there.items() if k.startswith(f"releases/{SERVED}/")}
        wanted = wanted | versions
        self._kept = {key: digest(data) for key, data in wanted.items()}
        for key in there:
            if key not in wanted:
                self.objects.delete(key)
        for key, data in wanted.items():
            if there.get(key) != data:
                self.objects.put(key, data)
        for name in self.redis_wires:
            if name not in ("inference", "gateway"):
                shutil.rmtree(self.disk.folder / name / "cache", ignore_errors=True)

    # --- jobs ------------------------------------------------------------------------------------

    def submit(self, kind: str) -> str:
        """Send a job of a kind; its id."""
        return self.joblog.submit(*self.jobs[kind])

    def show(self, job_id: str) -> JobView | None:
        """The job, or None while Redis cannot tell."""
        try:
            return self.joblog.show(job_id)
        except (RecLensError, redis_py.RedisError, OSError):
            return None

    def _run(self, task: str, spec: dict[str, Any]) -> JobView:
        job_id = self.joblog.submit(task, spec)
        until(lambda: (v := self.show(job_id)) is not None and v.state.final, _BASE_SECONDS)
        return self.joblog.show(job_id)

    def left_in_redis(self) -> list[str]:
        """Messages and leases that nobody should hold any more."""
        client, found = self.redis.client, []
        for queue in _QUEUES:
            if waiting := client.llen(queue):
                found.append(f"{waiting} messages in {queue}")
        for pattern in ("reclens:unacked:*", "reclens:lease:*"):
            found += [key.decode() for key in client.scan_iter(pattern)]
        return found

    def collect(self) -> int:
        """Remove what nothing needs, however young; how much that was."""
        jobs = LiveJobs(self.redis.settings)
        settings = RetentionSettings(grace_days=0, dead_letters_days=0)
        # A store of its own, as the command has: `clean` takes back what a release log had before.
        store = ArtifactStore(self.objects, self.folder / "own-cache")
        collector = Collector(store, jobs, settings)
        return sum(1 for _ in collector.remove(collector.find()))

    def mend(self) -> None:
        """Whatever was broken: everything runs, listens, and may write."""
        self.traffic.reset()
        self.disk.free(self.workers())
        for wire in (*self.redis_wires.values(), *self.store_wires.values()):
            wire.mend()
        for name in ("redis", "s3", *WORKERS, "inference", "gateway"):
            self.programs[name].send(signal.SIGCONT)
            self.programs[name].extra = {}
            self.programs[name].start()
        for name in WORKERS:
            self.programs[f"{name}-2"].kill()
        for name in ("redis", "s3", *WORKERS):
            self.programs[name].wait()
        for setting, value in (("maxmemory", 0), ("min-replicas-to-write", 0)):
            self.redis.client.config_set(setting, value)
        self.redis.client.replicaof("NO", "ONE")

    def begin_anew(self) -> None:
        """After a round that went wrong: fresh processes, and a Redis that knows nothing."""
        self.mend()
        for name in WORKERS:
            self.programs[name].kill()
        self.redis.client.flushall()
        self.mend()


def pipeline(data: Path, release: str, seed: int) -> PipelineSpec:
    """Raw data to a release within seconds; releases of other seeds share no autoencoder, and those
    of other names nothing."""
    return PipelineSpec.parse(
        {
            "release": release,
            "dataset": {"name": release, "source": {"format": "table", "path": str(data)}},
            "recommender": {"model": {"kind": "sasrec", "d_model": 16, "max_epochs": 4}},
            "activations": {"shard_rows": 300},
            "autoencoder": {"config": {"n_latents": 32, "k": 4, "n_epochs": 12, "seed": seed}},
            "concepts": {"shard_latents": 8},
        }
    )


def write_table(folder: Path, n_users: int = 60, n_items: int = 80) -> None:
    """Users who each like one genre, as tables with the default names of columns."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    genre_of = np.arange(n_items) % len(_GENRES)
    items: list[Sequence[object]] = [
        (f"i{item}", f"Film {item}", _GENRES[genre_of[item]]) for item in range(n_items)
    ]
    rows: list[Sequence[object]] = []
    for user in range(n_users):
        weights = np.where(genre_of == user % len(_GENRES), 0.7, 0.1)
        seen = rng.choice(n_items, size=30, replace=False, p=weights / weights.sum())
        rows += [(f"u{user}", f"i{item}", 1000 * n + user) for n, item in enumerate(seen.tolist())]
    for name, header, table in (
        ("items", ("item_id", "title", "tags"), items),
        ("interactions", ("user_id", "item_id", "timestamp"), rows),
    ):
        with (folder / f"{name}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([header, *table])
