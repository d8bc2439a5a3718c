"""Workers, servers and the command line of two releases of RecLens, over one Redis and store."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import yaml
from release_before import Code
from running_stack import wait_for
from serving_processes import service

from reclens.concepts.labels.concepts import Concept, group_concepts
from reclens.concepts.labels.table import read_concepts
from reclens.contracts.specs.pipeline import PIPELINE_RUN
from reclens.contracts.tables import CONCEPTS
from reclens.platform.grpc.health_probe import is_serving
from reclens.platform.jobs.log import JobLog
from reclens.platform.jobs.spec_file import read_spec_file
from reclens.platform.jobs.view import JobView
from reclens.platform.settings.models import (
    ClientSettings,
    RedisSettings,
    S3Settings,
    StoreSettings,
)
from reclens.platform.store.artifacts import ArtifactStore

_PIPELINE_SECONDS = 240
WORKERS = ("recommender", "trainer", "labeler")


class TwoReleases:
    """One Redis and one bucket, and whatever of either release runs on them.

    Attributes:
        old, new: the code of each.
    """

    def __init__(
        self, old: Code, new: Code, redis: RedisSettings, s3: S3Settings, folder: Path
    ) -> None:
        self.old, self.new = old, new
        self.folder = folder
        self.joblog = JobLog(redis)
        self.store = ArtifactStore.from_settings(StoreSettings(s3=s3, cache_dir=folder / "tests"))
        self._settings = {
            "OMP_NUM_THREADS": "1",
            "RECLENS_REDIS__URL": redis.url.get_secret_value(),
            "RECLENS_S3__ENDPOINT": s3.endpoint,
            "RECLENS_S3__ACCESS_KEY": s3.access_key.get_secret_value(),
            "RECLENS_S3__SECRET_KEY": s3.secret_key.get_secret_value(),
            "RECLENS_S3__BUCKET": s3.bucket,
            "RECLENS_CHECKPOINT_SECONDS": "0.001",
            "RELEASES_FOLDER": str(folder),
        }

    def environment(self, code: Code) -> dict[str, str]:
        """Where everything is, for a process of that release; caches are not shared."""
        return {
            **code.environment,
            **self._settings,
            "RECLENS_CACHE_DIR": str(self.folder / f"cache-{code.version}"),
        }

    @contextmanager
    def workers(self, code: Code, *names: str, **settings: str) -> Iterator[None]:
        """Workers of that release, told to stop in the end: all give back what they have in hand.

        Args:
            code: the release.
            names: of ``WORKERS``; all, where none is named.
            settings: environment variables.
        """
        with ExitStack() as stack:
            started = [
                stack.enter_context(self._worker(code, name, settings)) for name in names or WORKERS
            ]
            try:
                yield
            finally:
                for worker in started:
                    worker.send_signal(signal.SIGTERM)
                ended = [worker.wait(60) for worker in started]
            assert not any(ended)

    @contextmanager
    def _worker(
        self, code: Code, name: str, settings: dict[str, str]
    ) -> Iterator[subprocess.Popen[bytes]]:
        heartbeat = {"RECLENS_HEARTBEAT__FILE": str(self.folder / f"heartbeat-{name}")}
        with self.log(code, name).open("ab") as log:
            worker = subprocess.Popen(
                code.command("-m", "release_process", name, "worker"),
                env={**self.environment(code), **heartbeat, **settings},
                stdout=log,
                stderr=log,
            )
        try:
            yield worker
        finally:
            worker.kill()
            worker.wait()

    def log(self, code: Code, name: str) -> Path:
        """What the workers of that name and release have said."""
        return self.folder / f"{name}-{code.version}.log"

    def cli(self, code: Code, *arguments: str) -> Any:
        """What a command of that release's command line prints with ``--json``."""
        done = subprocess.run(
            code.command("-m", "reclens.cli", *arguments, "--json"),
            env=self.environment(code),
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=_PIPELINE_SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def submit(self, code: Code, spec: dict[str, Any]) -> str:
        """Submit a pipeline as a user of that release does; its id."""
        file = self.folder / "pipeline.yaml"
        file.write_text(yaml.safe_dump({"task": PIPELINE_RUN.task, "spec": spec}))
        if code is self.old:
            return self.cli(code, "submit", str(file))["job_id"]
        request = read_spec_file(file, ClientSettings().data)
        return self.joblog.submit(request.task, request.spec)

    def finish(self, job_id: str) -> JobView:
        """The job's view, once it has ended."""
        self.wait_for(lambda: self.joblog.show(job_id).state.final, f"job {job_id}")
        return self.joblog.show(job_id)

    def wait_for(self, condition: Callable[[], bool], what: str) -> None:
        """As `running_stack.wait_for`, for as long as a busy machine may take for a pipeline."""
        wait_for(condition, what, _PIPELINE_SECONDS)

    def concepts(self, release: str) -> list[Concept]:
        """Concepts of the release's newest version."""
        artifact = self.store.releases.head(release).concepts
        return group_concepts(read_concepts(self.store.fetch(artifact, CONCEPTS.file)))

    def hold(self, worker: str) -> Path:
        """Have the next training of that worker stay where it is; the file that says it does."""
        (self.folder / f"{worker}.hold").touch()
        return self.folder / f"{worker}.held"

    @contextmanager
    def serving(self, gateway: Code, inference: Code) -> Iterator[str]:
        """Address of a gateway of one release before the inference of another."""
        name = f"{gateway.version}-{inference.version}"
        env = {**self.environment(inference), "RECLENS_INFERENCE__LISTEN": "127.0.0.1:0"}
        log = self.folder / f"inference-{name}.log"
        with service("release_process", log, env, "recommender", "serve") as ranks:
            env = self.environment(gateway) | {
                "RECLENS_GATEWAY__LISTEN": "127.0.0.1:0",
                "RECLENS_GATEWAY__INFERENCE": ranks.address,
            }
            log = self.folder / f"gateway-{name}.log"
            with service("release_process", log, env, "gateway") as answers:
                self.wait_for(lambda: is_serving(answers.address), "the gateway to serve")
                yield answers.address
