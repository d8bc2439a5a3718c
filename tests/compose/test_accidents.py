"""Containers that are killed, restarted and stopped in the middle of a training."""

from __future__ import annotations

import time
from typing import Any

from celery.result import AsyncResult
from composed_system import Clients, System, run, until

from reclens.adapters.joblog import JobState
from reclens.contracts import AutoencoderSpec

RUNNING_SECONDS = 120
# Far below the visibility timeout of ten minutes: what brings a job back is not that.
FINISHED_SECONDS = 300


def train(clients: Clients, seed: int) -> tuple[AsyncResult[Any], str]:
    """Submit a training of about a minute, by Celery alone, and say what it will be called."""
    release = clients.store.release("default")
    spec = {
        "activations": clients.store.lineage(release.autoencoder)["activations"],
        "config": {"n_latents": 2048, "k": 16, "n_epochs": 40, "seed": seed},
    }
    sent = clients.celery.send_task(
        "reclens.autoencoder.train.v1", kwargs={"spec": spec}, queue="train"
    )
    return sent, AutoencoderSpec.parse(spec).artifact_ref()


def until_checkpointed(clients: Clients, artifact: str) -> None:
    """Wait for the training to save its first checkpoint."""
    for _ in until(RUNNING_SECONDS, "the first checkpoint"):
        if clients.store.objects.exists(f"checkpoints/{artifact}/latest.json"):
            return


def finished(clients: Clients, sent: AsyncResult[Any], artifact: str) -> None:
    """Wait for the training's end: the artifact is what it was to be."""
    assert not clients.store.exists(artifact), "the training was over before it was disturbed"
    result = sent.get(timeout=FINISHED_SECONDS)
    assert result["artifact"] == artifact
    assert not result["reused"]
    assert clients.store.fetch_all(artifact)


def test_a_trainer_killed_in_mid_training_goes_on_to_the_same_artifact(
    system: System, clients: Clients
):
    sent, artifact = train(clients, seed=1)
    until_checkpointed(clients, artifact)
    before = system.inspect("trainer")
    # From the outside, as the system kills for memory; its restart is the daemon's.
    run(
        "docker",
        "run",
        "--rm",
        "--pid",
        "host",
        "--user",
        "0:0",
        "--entrypoint",
        "sh",
        before["Config"]["Image"],
        "-c",
        f"kill -9 {before['State']['Pid']}",
    )
    finished(clients, sent, artifact)
    after = system.inspect("trainer")
    assert after["Id"] == before["Id"]
    assert after["RestartCount"] == before["RestartCount"] + 1
    assert system.health("trainer") == "healthy"


def test_work_goes_on_after_redis_is_restarted(system: System, clients: Clients):
    sent, artifact = train(clients, seed=2)
    until_checkpointed(clients, artifact)
    before = {job.id: job for job in clients.joblog.list() if job.state.final}
    system.compose("restart", "redis")
    for _ in until(60, "Redis to answer again"):
        if system.health("redis") == "healthy":
            break
    # All of it is there, what was written in transactions too.
    assert before
    assert {job.id: job for job in clients.joblog.list() if job.id in before} == before
    finished(clients, sent, artifact)
    # And those that had nothing to do take what comes next.
    found = clients.celery.send_task(
        "reclens.pipeline.run.v1",
        kwargs={"spec": {"release": "default", "dataset": {"name": "ml-100k"}}},
        queue="pipeline",
    )
    found.get(timeout=120)
    for service in ("trainer", "labeler", "recommender-worker"):
        for _ in until(60, f"{service} to be healthy"):
            if system.health(service) == "healthy":
                break


def test_a_trainer_that_is_stopped_checkpoints_first_and_goes_on_when_started(
    system: System, clients: Clients
):
    sent, artifact = train(clients, seed=3)
    for _ in until(RUNNING_SECONDS, "the training to run"):
        # Celery's own record: RecLens' begins when a worker takes the job.
        if sent.state == "PROGRESS":
            break
    began = time.monotonic()
    system.compose("stop", "trainer")
    assert time.monotonic() - began < 60, "it was killed when its grace was over"
    assert system.inspect("trainer")["State"]["ExitCode"] == 0
    assert clients.store.objects.exists(f"checkpoints/{artifact}/latest.json")
    assert clients.joblog.show(sent.id).state is not JobState.SUCCEEDED
    system.compose("start", "trainer")
    finished(clients, sent, artifact)
