"""Every part can do its work in a real store and a real Redis, and nothing else."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import minio
import pytest
import redis
from deployed_servers import Deployed
from planted_artifacts import pipeline
from pydantic import SecretStr

from reclens.adapters.answer_cache import AnswerStore
from reclens.adapters.artifacts import ArtifactWriter
from reclens.adapters.checkpoints import CheckpointStore
from reclens.adapters.editlog import EditLog
from reclens.adapters.joblog import JobLog
from reclens.adapters.lease import Lease
from reclens.adapters.policy_log import PolicyLog
from reclens.adapters.rate_limits import RateLimits
from reclens.adapters.settings import ClientSettings
from reclens.cli.main import run
from reclens.concepts.llm import ChatAnswer
from reclens.contracts import (
    AutoencoderSpec,
    CaptureSpec,
    ConceptEdit,
    ConceptShardSpec,
    ConceptsSpec,
    DatasetSpec,
    EvaluationSpec,
    JobSpec,
    PipelineSpec,
    QueueName,
    RecommenderSpec,
    Release,
    StoredPolicy,
)
from reclens.deployment.access import Part
from reclens.deployment.initialise import Found, submit_once
from reclens.errors import RateLimited, StoreRefused

AUTOENCODER = f"autoencoders/{'a' * 16}"
MAKES: dict[type[JobSpec], Part] = {
    DatasetSpec: Part.RECOMMENDER,
    RecommenderSpec: Part.RECOMMENDER,
    CaptureSpec: Part.RECOMMENDER,
    EvaluationSpec: Part.RECOMMENDER,
    AutoencoderSpec: Part.TRAINER,
    ConceptsSpec: Part.LABELER,
    ConceptShardSpec: Part.LABELER,
}
STORED = [part for part in Part if part is not Part.MONITORING]
WORKERS = (Part.RECOMMENDER, Part.TRAINER, Part.LABELER)
# Where each may put objects, and where it may remove them too.
REPLACES = {
    Part.RECOMMENDER: {"datasets", "recommenders", "activations", "evaluations"},
    Part.TRAINER: {"autoencoders"},
    Part.LABELER: {"concepts", "concept-shards"},
}
ADDS = {
    Part.RECOMMENDER: {"dead-letters"},
    Part.TRAINER: {"dead-letters"},
    Part.LABELER: {"dead-letters", "releases", "llm-cache"},
    Part.GATEWAY: {"policies"},
    Part.OPERATOR: {"edits"},
}
FOLDERS = {
    *(folder for folders in REPLACES.values() for folder in folders),
    *(f"checkpoints/{folder}" for folders in REPLACES.values() for folder in folders),
    *(folder for folders in ADDS.values() for folder in folders),
    "autoencoders-of-mine", "elsewhere", "checkpoints/elsewhere",
}  # fmt: skip


def refused(action: Callable[[], Any]) -> bool:
    try:
        action()
    except (StoreRefused, redis.exceptions.NoPermissionError):
        return True
    except minio.error.S3Error as error:
        return error.code == "AccessDenied"
    return False


# --- the store -----------------------------------------------------------------------------------


@pytest.mark.parametrize("part", STORED)
def test_objects_may_be_put_and_removed_where_the_part_works_alone(deployed: Deployed, part: Part):
    objects, owner = deployed.objects(part), part.value
    own = REPLACES.get(part, set())
    replaces = own | {f"checkpoints/{folder}" for folder in own}
    may_put, may_put_new, may_remove = set(), set(), set()
    for folder in FOLDERS:
        for may, action in (
            (may_put, lambda key: objects.put(key, b"1")),
            (may_put_new, lambda key: objects.put_if_absent(f"{key}.new", b"1")),
            (may_remove, objects.delete),
        ):
            if not refused(lambda action=action, folder=folder: action(f"{folder}/{owner}/one")):
                may.add(folder)
    assert may_put == may_put_new == replaces | ADDS.get(part, set())
    assert may_remove == replaces


@pytest.mark.parametrize("part", STORED)
def test_everybody_reads_everything(deployed: Deployed, part: Part):
    deployed.objects(Part.TRAINER).put("autoencoders/read/by-all", b"bytes")
    objects = deployed.objects(part)
    assert objects.get("autoencoders/read/by-all") == b"bytes"
    assert objects.exists("autoencoders/read/by-all")
    assert not objects.exists("autoencoders/read/not-there")
    assert objects.list("autoencoders/read/") == ["autoencoders/read/by-all"]


@pytest.mark.parametrize("part", STORED)
def test_nobody_makes_other_buckets_or_removes_this_one(deployed: Deployed, part: Part):
    objects = deployed.objects(part)
    objects.ensure_bucket()  # it is there
    assert refused(lambda: objects._client.make_bucket(bucket_name="another"))
    assert refused(lambda: objects._client.remove_bucket(bucket_name=objects.bucket))
    public = {"Version": "2012-10-17", "Statement": []}
    assert refused(
        lambda: objects._client.set_bucket_policy(
            bucket_name=objects.bucket, policy=json.dumps(public)
        )
    )


def test_wrong_and_missing_keys_get_nothing(deployed: Deployed):
    settings = deployed.s3_settings(Part.TRAINER)
    other, nobody = deployed.s3_settings(Part.LABELER).secret_key, SecretStr("reclens-nobody")
    for changed in ({"secret_key": other}, {"access_key": nobody}):
        objects = type(deployed.objects(Part.TRAINER))(settings.model_copy(update=changed))
        assert refused(lambda objects=objects: objects.list(""))


def _spec(kind: type[JobSpec]) -> JobSpec:
    stages = {stage.task: stage.spec for stage in pipeline(shard_latents=4).plan()}
    if kind is ConceptShardSpec:
        return ConceptShardSpec.of(ConceptsSpec.parse(stages[ConceptsSpec.TASK]), 16)[0]
    if kind is EvaluationSpec:
        concepts = f"concepts/{'a' * 16}"
        return EvaluationSpec.parse({"autoencoder": AUTOENCODER, "concepts": concepts})
    return kind.parse(stages[kind.TASK])


@pytest.mark.parametrize("kind", list(MAKES))
def test_artifacts_are_made_by_their_makers_alone(
    deployed: Deployed, kind: type[JobSpec], tmp_path: Path
):
    spec, large = _spec(kind), tmp_path / "large"
    large.write_bytes(b"0" * (6 << 20))  # above what is sent in one part
    for part in STORED:
        store = deployed.store(part, tmp_path / part)
        writer, checkpoints = (
            ArtifactWriter(store, spec),
            CheckpointStore(store.objects, spec.artifact_ref()),
        )
        if MAKES[kind] is part:
            writer.add(large)
            checkpoints.save({}, {"step": 1})
            checkpoints.save({}, {"step": 2})
            checkpoints.clear()
            writer.discard()
            assert store.objects.list(f"{spec.artifact_ref()}/") == []
            writer.add(large)
        else:
            assert refused(lambda writer=writer: writer.add(large))
            assert refused(lambda checkpoints=checkpoints: checkpoints.save({}, {"step": 1}))


def test_releases_policies_edits_and_answers_have_one_writer_each(
    deployed: Deployed, tmp_path: Path
):
    release = Release(
        name="tried",
        version="1",
        recommender=f"recommenders/{'a' * 16}",
        autoencoder=AUTOENCODER,
        concepts=f"concepts/{'a' * 16}",
        published_at="2026-01-01T00:00:00+00:00",
    )
    edit = ConceptEdit.parse(
        {
            "operation": "rename",
            "latents": [1],
            "was": "Drama",
            "name": "Slow drama",
            "author": "somebody",
            "concept_id": "drama",
            "at": "2026-01-01T00:00:00+00:00",
        }
    )
    policy = StoredPolicy.parse(
        {
            "policy_id": "calm",
            "version": 1,
            "release": "tried",
            "autoencoder": AUTOENCODER,
            "author": "somebody",
            "changed_at": "2026-01-01T00:00:00+00:00",
        }
    )
    answer = ChatAnswer(
        text="yes",
        prompt_tokens=1,
        completion_tokens=1,
        model="m",
        seconds=0.1,
        finish_reason="stop",
    )
    for number, part in enumerate(STORED):
        store = deployed.store(part, tmp_path / part)
        # Each its own, as reading comes before writing.
        edited, own = f"autoencoders/{number:016x}", policy.model_copy(update={"policy_id": part})
        writes: dict[Part, Callable[[], Any]] = {
            Part.OPERATOR: lambda store=store, edited=edited: EditLog(store, edited).append(
                edit, seen=0
            ),
            Part.GATEWAY: lambda store=store, own=own: PolicyLog(store.objects).create(own),
        }
        for owner, write in writes.items():
            assert refused(write) is (owner is not part)
        assert refused(lambda store=store: store.publish(release)) is (part is not Part.LABELER)
        answers = AnswerStore(store.objects, "tgi")
        assert refused(lambda answers=answers: answers.put("v1", "ab" * 8, answer)) is (
            part is not Part.LABELER
        )


# --- Redis ---------------------------------------------------------------------------------------

DANGEROUS = [
    ["flushall"], ["flushdb"], ["config", "get", "*"], ["keys", "*"], ["scan", "0"],
    ["shutdown", "nosave"], ["acl", "list"], ["debug", "sleep", "0"], ["client", "kill", "1"],
    ["replicaof", "no", "one"], ["save"], ["monitor"], ["swapdb", "0", "1"],
    ["eval", "return 1", "0"],
    ["set", "of-nobody", "1"], ["get", "of-nobody"], ["script", "flush"], ["module", "list"],
]  # fmt: skip


@pytest.mark.parametrize("part", [part for part in Part if part is not Part.INFERENCE])
def test_nobody_commands_the_server(deployed: Deployed, part: Part):
    client = deployed.redis(part)
    assert client.ping()
    allowed = [
        command
        for command in DANGEROUS
        if not refused(lambda c=command: client.execute_command(*c))
    ]
    assert allowed == []


def test_a_health_check_may_ask_whether_it_answers(deployed: Deployed):
    client = redis.Redis.from_url(f"redis://health:any@{deployed.redis_address}/0")
    assert client.ping()
    for command in (["get", "reclens:jobs"], ["llen", "capture"], ["info"], *DANGEROUS):
        assert refused(lambda command=command: client.execute_command(*command))
    assert refused(lambda: client.publish("/0.celery.pidbox", "stop"))


def test_nothing_is_done_without_a_login(deployed: Deployed):
    client = redis.Redis.from_url(f"redis://{deployed.redis_address}/0")
    with pytest.raises(redis.exceptions.AuthenticationError):
        client.ping()
    for password in ("", "any"):
        with pytest.raises(redis.exceptions.AuthenticationError):
            redis.Redis.from_url(f"redis://default:{password}@{deployed.redis_address}/0").ping()


def test_inference_has_no_login(deployed: Deployed):
    assert not (deployed.credentials / "inference" / "RECLENS_REDIS__URL").exists()
    assert "user inference" not in (deployed.credentials / "redis" / "users.acl").read_text()


@pytest.mark.parametrize("part", WORKERS)
def test_a_worker_holds_a_lease(deployed: Deployed, part: Part):
    with Lease(deployed.redis(part), f"autoencoders/{part}", 0.3) as lease:
        assert lease.acquire()
        lease.check()
        other = Lease(deployed.redis(Part.TRAINER), f"autoencoders/{part}", 0.3)
        assert not other.acquire()


@pytest.mark.parametrize("part", [Part.GATEWAY, Part.MONITORING])
def test_who_works_on_no_jobs_cannot_touch_queues(deployed: Deployed, part: Part):
    client = deployed.redis(part)
    for queue in QueueName:
        for name in (queue.value, f"{queue.value}\x06\x163"):
            for command in (
                ["lpush", name, "{}"], ["rpush", name, "{}"], ["rpop", name], ["brpop", name, "1"],
                ["lrange", name, "0", "-1"], ["del", name], ["unlink", name], ["expire", name, "1"],
                ["pexpire", name, "1"], ["rename", name, "reclens:rate:x"], ["set", name, "1"],
            ):  # fmt: skip
                assert refused(lambda command=command: client.execute_command(*command)), command
    assert refused(lambda: client.get("reclens:job:x"))
    assert refused(lambda: client.hgetall("reclens:job:x"))
    if part is Part.GATEWAY:
        assert refused(lambda: client.llen("capture"))
        assert refused(lambda: client.publish("/0.celery.pidbox", "stop"))
    else:
        assert client.llen("capture") == 0
        assert client.info()["redis_version"]


async def test_the_gateway_counts_rates(deployed: Deployed):
    url = deployed.redis_settings(Part.GATEWAY).url.get_secret_value()
    limits = RateLimits(url, fail_open=False)
    await limits.take("shop", (2, 3600))
    await limits.take("shop", (2, 3600))
    with pytest.raises(RateLimited):
        await limits.take("shop", (2, 3600))
    await limits.close()


def test_workers_and_people_cannot_reset_rates(deployed: Deployed):
    for part in (*WORKERS, Part.OPERATOR, Part.INIT, Part.MONITORING):
        client = deployed.redis(part)
        assert refused(lambda client=client: client.get("reclens:rate:x"))


def test_an_operator_submits_lists_and_cancels(deployed: Deployed):
    log = JobLog(deployed.redis_settings(Part.OPERATOR))
    spec = DatasetSpec.parse({"name": "cancelled", "source": {"format": "table", "path": "x"}})
    job_id = log.submit(DatasetSpec.TASK, spec.canonical())
    assert job_id in [view.id for view in log.list()]
    log.cancel(job_id)
    assert log.cancelled(job_id)


# --- the first start -----------------------------------------------------------------------------


def _init_settings(deployed: Deployed) -> ClientSettings:
    return ClientSettings(
        redis=deployed.redis_settings(Part.INIT), s3=deployed.s3_settings(Part.INIT)
    )


def test_a_pipeline_is_submitted_once(deployed: Deployed):
    settings = _init_settings(deployed)
    spec = PipelineSpec.parse({**pipeline().canonical(), "release": "once"})
    first = submit_once(settings, spec)
    assert first.found is Found.NOTHING
    again = submit_once(settings, spec)
    assert again == (Found.JOB, first.job_id, None)
    other = submit_once(settings, spec.model_copy(update={"release": "another"}))
    assert other.found is Found.NOTHING
    forced = submit_once(settings, spec, again=True)
    assert forced.found is Found.NOTHING
    assert forced.job_id != first.job_id


@pytest.mark.parametrize(
    ("state", "found"), [("FAILURE", Found.NOTHING), ("REVOKED", Found.CANCELLED)]
)
def test_what_failed_is_submitted_again_and_what_was_cancelled_is_not(
    deployed: Deployed, state: str, found: Found
):
    settings = _init_settings(deployed)
    spec = PipelineSpec.parse({**pipeline().canonical(), "release": f"ended-{state.lower()}"})
    first = submit_once(settings, spec)
    ended = {"exc_type": "Poisoned", "exc_message": ["killed"], "exc_module": "reclens.errors"}
    meta = {"status": state, "result": ended, "traceback": None, "children": []}
    deployed.redis(Part.LABELER).set(f"celery-task-meta-{first.job_id}", json.dumps(meta))
    second = submit_once(settings, spec)
    assert second.found is found
    if found is Found.NOTHING:
        assert second.job_id != first.job_id
        assert second.before is not None
        assert second.before.id == first.job_id
    else:
        assert second.job_id == first.job_id


def test_a_release_that_exists_is_left_alone(deployed: Deployed, tmp_path: Path):
    release = Release(
        name="served",
        version="1",
        recommender=f"recommenders/{'a' * 16}",
        autoencoder=AUTOENCODER,
        concepts=f"concepts/{'a' * 16}",
        published_at="2026-01-01T00:00:00+00:00",
    )
    deployed.store(Part.LABELER, tmp_path).publish(release)
    spec = PipelineSpec.parse({**pipeline().canonical(), "release": "served"})
    assert submit_once(_init_settings(deployed), spec) == (Found.RELEASE, None, None)


@pytest.fixture
def init(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Runs `reclens deploy init` as its container does: exit code, output, errors."""
    for name in [name for name in os.environ if name.startswith("RECLENS_")]:
        monkeypatch.delenv(name)
    for name, value in deployed.environment(Part.INIT).items():
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
    view = JobLog(deployed.redis_settings(Part.OPERATOR)).show(told["job_id"])
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
