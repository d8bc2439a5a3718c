"""A pipeline through three workers, each with the rights of its part and no others."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from deployed_servers import Deployed
from planted_artifacts import pipeline
from running_stack import wait_for

from reclens.contracts import QueueName
from reclens.contracts.specs.pipeline import PIPELINE_RUN
from reclens.ops.deployment.access import Account
from reclens.platform.jobs.app import make_app
from reclens.platform.jobs.log import JobLog
from reclens.platform.jobs.view import JobState

WORKER = Path(__file__).parent / "planted_worker.py"


@pytest.fixture(scope="module")
def logs(deployed: Deployed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder with the logs of running workers."""
    folder = tmp_path_factory.mktemp("workers")
    workers: list[subprocess.Popen[bytes]] = []
    plain = {name: value for name, value in os.environ.items() if not name.startswith("RECLENS_")}
    for part in (Account.RECOMMENDER, Account.TRAINER, Account.LABELER):
        with (folder / f"{part}.log").open("ab") as log:
            workers.append(
                subprocess.Popen(
                    [sys.executable, str(WORKER), part.value],
                    env={
                        **plain,
                        **deployed.environment(part),
                        "PYTHONPATH": os.pathsep.join([str(WORKER.parent), *sys.path]),
                        "RECLENS_CACHE_DIR": str(folder / part),
                        "RECLENS_DATA__ROOTS": str(Path.cwd()),
                        "RECLENS_CHECKPOINT_SECONDS": "1e-9",
                        # Looks for messages of dead workers every second.
                        "RECLENS_REDIS__VISIBILITY_TIMEOUT_SECONDS": "10",
                    },
                    stdout=log,
                    stderr=log,
                )
            )
    yield folder
    for worker in workers:
        worker.send_signal(signal.SIGQUIT)
    for worker in workers:
        worker.wait(30)


def test_a_pipeline_runs_from_end_to_end(deployed: Deployed, logs: Path):
    submitted = JobLog(deployed.redis_settings(Account.INIT)).submit(
        PIPELINE_RUN.task, pipeline(shard_latents=4).canonical()
    )
    watching = JobLog(deployed.redis_settings(Account.OPERATOR))
    wait_for(lambda: watching.show(submitted).state.final, "the pipeline", 90)
    view = watching.show(submitted)
    told = "\n".join(path.read_text()[-4000:] for path in sorted(logs.glob("*.log")))
    assert view.state is JobState.SUCCEEDED, told
    assert "NoPermission" not in told
    assert "NOPERM" not in told
    assert "Access Denied" not in told
    assert "access denied" not in told

    store = deployed.store(Account.INFERENCE, logs / "cache")
    assert store.releases.head("planted").concepts == view.stages[-2].artifact
    # Checkpoints are forgotten once the artifact is there.
    for stage in view.stages:
        assert store.objects.list(f"checkpoints/{stage.artifact}/") == []


def test_an_operator_asks_the_workers(deployed: Deployed, logs: Path):
    del logs
    app = make_app(deployed.redis_settings(Account.OPERATOR))
    answers: dict[str, list[dict[str, str]]] = {}

    def all_answer() -> bool:
        answers.update(app.control.inspect(timeout=1.0, limit=3).active_queues() or {})
        return len(answers) == 3

    wait_for(all_answer, "the workers' answers")
    queues = {queue["name"] for found in answers.values() for queue in found}
    assert queues == {queue.value for queue in QueueName}


def test_a_watcher_sees_what_happens(deployed: Deployed, logs: Path):
    del logs
    app = make_app(deployed.redis_settings(Account.MONITORING))
    seen: set[str] = set()

    def note(event: dict[str, str]) -> None:
        seen.add(event["hostname"].partition("-")[0])

    with app.connection_for_read() as connection:
        receiver = app.events.Receiver(connection, handlers={"worker-heartbeat": note})
        for _ in receiver.itercapture(limit=None, timeout=30, wakeup=False):
            if len(seen) == 3:
                break
    assert seen == {"recommender", "trainer", "labeler"}
