"""Containers that are killed, restarted and stopped in the middle of a training."""

from __future__ import annotations

import time

from composed_system import Clients, System, run, until

from reclens.contracts import AutoencoderSpec
from reclens.contracts.specs.autoencoder import AUTOENCODER_TRAIN
from reclens.contracts.specs.pipeline import PIPELINE_RUN
from reclens.platform.jobs.view import JobState, JobView

RUNNING_SECONDS = 120
# Far below the visibility timeout of ten minutes: what brings a job back is not that.
FINISHED_SECONDS = 300


def train(clients: Clients, seed: int) -> tuple[str, str]:
    """Submit a training of about a minute; its job id, and what its artifact will be called."""
    release = clients.store.releases.head("default")
    spec = {
        "activations": clients.store.lineage(release.autoencoder)["activations"],
        "config": {"n_latents": 2048, "k": 16, "n_epochs": 40, "seed": seed},
    }
    job_id = clients.joblog.submit(AUTOENCODER_TRAIN.task, spec)
    return job_id, AutoencoderSpec.parse(spec).artifact_ref()


def until_checkpointed(clients: Clients, artifact: str) -> None:
    """Wait for the training to save its first checkpoint."""
    for _ in until(RUNNING_SECONDS, "the first checkpoint"):
        if clients.store.objects.exists(f"checkpoints/{artifact}/latest.json"):
            return


def finished(clients: Clients, job_id: str, artifact: str) -> None:
    """Wait for the training's end: the artifact is what it was to be."""
    assert not clients.store.exists(artifact), "the training was over before it was disturbed"
    view = succeeded(clients, job_id)
    assert view.result is not None
    assert view.result.artifact == artifact
    assert not view.result.reused
    assert clients.store.fetch_all(artifact)


def succeeded(clients: Clients, job_id: str) -> JobView:
    """Wait for a job's end."""
    for _ in until(FINISHED_SECONDS, f"job {job_id}"):
        view = clients.joblog.show(job_id)
        if view.state.final:
            assert view.state is JobState.SUCCEEDED, view.error
            return view
    raise AssertionError("unreachable: waiting ends with an error")


def test_a_trainer_killed_in_mid_training_goes_on_to_the_same_artifact(
    system: System, clients: Clients
):
    job_id, artifact = train(clients, seed=1)
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
    finished(clients, job_id, artifact)
    after = system.inspect("trainer")
    assert after["Id"] == before["Id"]
    assert after["RestartCount"] == before["RestartCount"] + 1
    assert system.health("trainer") == "healthy"


def test_work_goes_on_after_redis_is_restarted(system: System, clients: Clients):
    job_id, artifact = train(clients, seed=2)
    until_checkpointed(clients, artifact)
    before = {job.id: job for job in clients.joblog.list() if job.state.final}
    system.compose("restart", "redis")
    for _ in until(60, "Redis to answer again"):
        if system.health("redis") == "healthy":
            break
    # All of it is there, what was written in transactions too.
    assert before
    assert {job.id: job for job in clients.joblog.list() if job.id in before} == before
    finished(clients, job_id, artifact)
    # And those that had nothing to do take what comes next.
    spec = {"release": "default", "dataset": {"name": "ml-100k"}}
    succeeded(clients, clients.joblog.submit(PIPELINE_RUN.task, spec))
    for service in ("trainer", "labeler", "recommender-worker"):
        for _ in until(60, f"{service} to be healthy"):
            if system.health(service) == "healthy":
                break


def test_a_trainer_that_is_stopped_checkpoints_first_and_goes_on_when_started(
    system: System, clients: Clients
):
    job_id, artifact = train(clients, seed=3)
    for _ in until(RUNNING_SECONDS, "the training to run"):
        if clients.joblog.show(job_id).progress is not None:
            break
    began = time.monotonic()
    system.compose("stop", "trainer")
    assert time.monotonic() - began < 60, "it was killed when its grace was over"
    assert system.inspect("trainer")["State"]["ExitCode"] == 0
    assert clients.store.objects.exists(f"checkpoints/{artifact}/latest.json")
    assert clients.joblog.show(job_id).state is not JobState.SUCCEEDED
    system.compose("start", "trainer")
    finished(clients, job_id, artifact)
