"""What the first start of a deployment submits, and what a later one leaves alone."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from deployed_servers import Deployed, release_of_nothing
from planted_artifacts import pipeline

from reclens.cli.main import run
from reclens.contracts import PipelineSpec
from reclens.errors import Unavailable
from reclens.ops.deployment.access import Account
from reclens.ops.deployment.initialise import Existing, await_bucket, submit_once
from reclens.platform.jobs.log import JobLog
from reclens.platform.settings.models import ClientSettings
from reclens.platform.store.objects import S3Store


def _init_settings(deployed: Deployed) -> ClientSettings:
    return ClientSettings(
        redis=deployed.redis_settings(Account.INIT), s3=deployed.s3_settings(Account.INIT)
    )


def test_a_pipeline_is_submitted_once(deployed: Deployed):
    settings = _init_settings(deployed)
    spec = PipelineSpec.parse({**pipeline().canonical(), "release": "once"})
    first = submit_once(settings, spec)
    assert first.found is Existing.NOTHING
    again = submit_once(settings, spec)
    assert again == (Existing.JOB, first.job_id, None)
    other = submit_once(settings, spec.model_copy(update={"release": "another"}))
    assert other.found is Existing.NOTHING
    forced = submit_once(settings, spec, again=True)
    assert forced.found is Existing.NOTHING
    assert forced.job_id != first.job_id


@pytest.mark.parametrize(
    ("state", "found"), [("FAILURE", Existing.NOTHING), ("REVOKED", Existing.CANCELLED)]
)
def test_what_failed_is_submitted_again_and_what_was_cancelled_is_not(
    deployed: Deployed, state: str, found: Existing
):
    settings = _init_settings(deployed)
    spec = PipelineSpec.parse({**pipeline().canonical(), "release": f"ended-{state.lower()}"})
    first = submit_once(settings, spec)
    ended = {"exc_type": "Poisoned", "exc_message": ["killed"], "exc_module": "reclens.errors"}
    meta = {"status": state, "result": ended, "traceback": None, "children": []}
    deployed.redis(Account.LABELER).set(f"celery-task-meta-{first.job_id}", json.dumps(meta))
    second = submit_once(settings, spec)
    assert second.found is found
    if found is Existing.NOTHING:
        assert second.job_id != first.job_id
        assert second.before is not None
        assert second.before.id == first.job_id
    else:
        assert second.job_id == first.job_id


def test_a_release_that_exists_is_left_alone(deployed: Deployed, tmp_path: Path):
    deployed.store(Account.LABELER, tmp_path).releases.publish(release_of_nothing("served"))
    spec = PipelineSpec.parse({**pipeline().canonical(), "release": "served"})
    assert submit_once(_init_settings(deployed), spec) == (Existing.RELEASE, None, None)


def test_a_store_that_cannot_read_what_it_holds_yet_is_waited_for(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch
):
    deployed.objects(Account.LABELER).put("releases/held.txt", b"of no release")
    failing, told, get = iter(["once", "twice"]), list[str](), S3Store.get

    def starting(store: S3Store, key: str) -> bytes:
        if next(failing, None):
            raise Unavailable("the object store answered InternalError.")
        return get(store, key)

    monkeypatch.setattr(S3Store, "get", starting)
    await_bucket(deployed.s3_settings(Account.INIT), 30, told.append)
    assert next(failing, None) is None
    assert told == ["waiting for the object store: the object store answered InternalError."]


@pytest.fixture
def init(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Runs `reclens deploy init` as its container does: exit code, output, errors."""
    for name in [name for name in os.environ if name.startswith("RECLENS_")]:
        monkeypatch.delenv(name)
    for name, value in deployed.environment(Account.INIT).items():
        monkeypatch.setenv(name, value)

    def call(*options: str, **changed: str) -> tuple[int, str, str]:
        with monkeypatch.context() as context:
            for name, value in changed.items():
                context.setenv(name, value)
            code = run(["deploy", "init", *options])
        return code, *capsys.readouterr()

    return call


def test_the_command_submits_movielens_and_says_how_to_follow_it(
    deployed: Deployed, init: Callable[..., tuple[int, str, str]]
):
    code, out, _ = init("--release", "by-command", "--json")
    assert code == 0
    told = json.loads(out)
    assert (told["bucket"], told["release"]) == ("reclens", "by-command")
    view = JobLog(deployed.redis_settings(Account.OPERATOR)).show(told["job_id"])
    assert view.spec["dataset"]["name"] == "ml-100k"
    code, _, said = init("--release", "by-command")
    assert code == 0
    assert f"reclens jobs watch {told['job_id']}" in said
    code, out, _ = init("--no-pipeline", "--json")
    assert json.loads(out) == {"bucket": "reclens", "release": None}


def test_the_command_says_what_it_waited_for_in_vain(
    deployed: Deployed, init: Callable[..., tuple[int, str, str]]
):
    away = "redis://init:x@127.0.0.1:1/0"
    code, _, said = init("--timeout", "0", RECLENS_REDIS__URL=away)
    assert code == 4
    assert "error: RECLENS_REDIS__URL: Redis does not answer" in said
    stranger = f"redis://init:wrong@{deployed.redis_address}/0"
    code, _, said = init(RECLENS_REDIS__URL=stranger)
    assert code == 2
    assert "Redis refuses this user" in said
    assert "wrong@" not in said
    code, _, said = init("--timeout", "0", RECLENS_S3__SECRET_KEY="wrong")
    assert code == 1
    assert "error: s3: the object store refused" in said
