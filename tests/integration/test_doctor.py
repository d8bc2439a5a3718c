"""The doctor finds what is wrong with a deployment, each fault with its remedy."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from deployed_servers import AUTOENCODER, Deployed, release_of_nothing
from redis import Redis
from servers import redis_server

from reclens.api.steering.v1 import steering_pb2 as pb
from reclens.cli.main import run
from reclens.client import SteeringClient
from reclens.contracts import ConceptCorrection, DatasetSpec, RecommenderSpec
from reclens.contracts.specs.pipeline import PIPELINE_RUN
from reclens.errors import NotFound, NotReady, Unauthenticated, Unavailable
from reclens.ops.deployment.access import Account
from reclens.ops.doctor.findings import Finding, Level, examine
from reclens.ops.doctor.servers import (
    check_conditional_put,
    check_dead_letters,
    check_disk,
    check_redis,
    check_store,
)
from reclens.ops.doctor.work import check_gateway, check_logs, check_releases, check_workers
from reclens.platform.jobs.app import connect
from reclens.platform.jobs.log import JobLog
from reclens.platform.settings.models import RedisSettings, S3Settings
from reclens.platform.store.artifacts import ArtifactStore, ArtifactWriter
from reclens.platform.store.label_corrections import CorrectionLog
from reclens.platform.store.objects import S3Store

WORKERS = ("recommender", "trainer", "labeler")


@pytest.fixture
def redis_settings(tmp_path: Path) -> Iterator[RedisSettings]:
    with redis_server(tmp_path / "redis") as settings:
        yield settings


@pytest.fixture
def redis(redis_settings: RedisSettings) -> Redis:
    return connect(redis_settings)


@pytest.fixture
def store(own_bucket: S3Settings, tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(S3Store(own_bucket), tmp_path / "cache")


def faults(findings: Iterator[Finding]) -> list[Finding]:
    found = [one for one in findings if one.level is not Level.OK]
    # Whatever is wrong comes with what to do.
    assert all(one.remedy for one in found)
    return found


@pytest.fixture
def beats(redis: Redis) -> Iterator[Callable[..., None]]:
    """Lets workers of these kinds send heartbeats."""
    over, threads = threading.Event(), []

    def start(*kinds: str) -> None:
        def beat() -> None:
            while not over.wait(0.05):
                for kind in kinds:
                    redis.hincrby("reclens:workers", f"{kind}-0123456789ab", 1)

        threads.append(threading.Thread(target=beat))
        threads[-1].start()

    yield start
    over.set()
    for thread in threads:
        thread.join()


def test_a_redis_that_loses_jobs_is_told(redis: Redis):
    assert faults(check_redis(redis)) == []
    redis.config_set("maxmemory-policy", "allkeys-lru")
    redis.config_set("appendonly", "no")
    found = faults(check_redis(redis))
    assert [one.level for one in found] == [Level.ERROR, Level.ERROR]
    assert "append-only" in found[0].message
    assert "appendonly yes" in found[0].remedy
    assert "noeviction" in found[1].remedy


def test_a_full_redis_is_told(redis: Redis):
    redis.config_set("maxmemory", int(redis.info()["used_memory"] * 1.05))
    [full] = faults(check_redis(redis))
    assert "no job can be submitted" in full.message


def test_a_redis_that_does_not_answer_is_a_finding():
    dead = Redis.from_url("redis://127.0.0.1:1/0")
    [found] = list(examine("redis", lambda: check_redis(dead)))
    assert found.level is Level.ERROR
    assert "RECLENS_REDIS__URL" in found.remedy


def test_a_store_of_another_time_and_one_without_conditions_are_told(store: ArtifactStore):
    assert faults(check_store(store.objects)) == []
    assert faults(check_conditional_put(store.objects)) == []
    assert faults(check_conditional_put(store.objects)) == []

    class Behind(S3Store):
        def now(self) -> datetime:
            return super().now() - timedelta(minutes=2)

        def put_if_absent(self, key: str, data: bytes) -> bool:
            self.put(key, data)
            return True

    store.objects.__class__ = Behind
    [skewed] = faults(check_store(store.objects))
    assert "behind" in skewed.message
    [unsafe] = faults(check_conditional_put(store.objects))
    assert unsafe.level is Level.ERROR


def test_dead_letters_and_a_full_disk_are_told(
    store: ArtifactStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    assert faults(check_dead_letters(store.objects)) == []
    store.objects.put("dead-letters/1.json", b"{}")
    [letter] = faults(check_dead_letters(store.objects))
    assert "dead-letters/1.json" in letter.message
    free = {"bytes": 10 << 30}
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=free["bytes"]))
    assert faults(check_disk(tmp_path / "not" / "made")) == []
    for free["bytes"], level in ((2 << 30, Level.WARNING), (1 << 20, Level.ERROR)):
        assert [one.level for one in faults(check_disk(tmp_path))] == [level]


def test_queues_without_a_worker_are_told(
    redis: Redis, redis_settings: RedisSettings, beats: Callable[..., None]
):
    redis.hset("reclens:workers", "labeler-000000000000", 7)  # it died
    beats("recommender", "trainer")
    [alone] = faults(check_workers(redis, JobLog(redis_settings), 0.5))
    assert alone.level is Level.ERROR
    assert "0 of kind labeler for label and pipeline" in alone.message


def test_where_redis_is_full_workers_are_not_taken_for_dead(
    redis: Redis, redis_settings: RedisSettings
):
    redis.config_set("maxmemory", int(redis.info()["used_memory"]) - 1)
    [full] = faults(check_workers(redis, JobLog(redis_settings), 0.1))
    assert full.level is Level.UNKNOWN


def test_a_job_that_nothing_carries_is_told(
    redis: Redis, redis_settings: RedisSettings, beats: Callable[..., None]
):
    beats(*WORKERS)
    log = JobLog(redis_settings)
    job_id = log.submit(PIPELINE_RUN.task, {})
    assert faults(check_workers(redis, log, 0.5)) == []
    message = redis.rpop("pipeline")
    redis.hset("reclens:workers", "labeler-1", 1)
    redis.hset("reclens:unacked:labeler-1", "tag", json.dumps([json.loads(str(message)), "", ""]))
    assert faults(check_workers(redis, log, 0.5)) == []
    redis.delete("reclens:unacked:labeler-1")
    [lost] = faults(check_workers(redis, log, 0.5))
    assert job_id in lost.message
    assert f"reclens jobs cancel {job_id}" in lost.remedy


def test_releases_that_cannot_be_served_are_told(store: ArtifactStore, tmp_path: Path):
    [none] = faults(check_releases(store))
    assert none.level is Level.WARNING
    dataset = DatasetSpec(k_core=3)
    recommender = RecommenderSpec(dataset=dataset.artifact_ref())
    for spec in (dataset, recommender):
        writer = ArtifactWriter(store, spec)
        (tmp_path / "rows").write_bytes(b"rows")
        writer.add(tmp_path / "rows")
        writer.commit({}, 0.0)
    ref = recommender.artifact_ref()
    parts = dict.fromkeys(("recommender", "autoencoder", "concepts"), ref)
    store.releases.publish(release_of_nothing("default").model_copy(update=parts))
    assert faults(check_releases(store)) == []
    store.objects.delete(store.manifest(ref).key("rows"))
    [lacking] = faults(check_releases(store))
    assert "lacks rows" in lacking.message
    store.objects.delete(f"{dataset.artifact_ref()}/manifest.json")
    [upstream] = faults(check_releases(store))
    assert dataset.artifact_ref() in upstream.message
    store.objects.put("releases/default/000002.json", b"no release")
    [unread] = faults(check_releases(store))
    assert "rollback default" in unread.remedy


def test_entries_that_were_changed_are_found(store: ArtifactStore):
    log = CorrectionLog(store, AUTOENCODER)
    for latent in (1, 2):
        of_one = {"latents": [latent], "concept_id": "drama", "was": "Drama", "name": "Slow drama"}
        log.append(
            ConceptCorrection.parse(
                {
                    **of_one,
                    "operation": "rename",
                    "author": "ann",
                    "at": "2026-01-01T00:00:00+00:00",
                }
            ),
            seen=latent - 1,
        )
    for version in ("1", "2"):
        release = release_of_nothing("default").model_copy(update={"version": version})
        store.releases.publish(release)
    store.objects.put("edits/doctor/conditional-put", b"{}")
    assert faults(check_logs(store)) == []
    for key in ("releases/default/000001.json", log.key(1)):
        store.objects.put(key, store.objects.get(key).replace(b"2026", b"2025"))
    fresh = ArtifactStore(store.objects, store._cache)
    told = {one.message for one in faults(check_logs(fresh))}
    assert told == {
        "releases/default/000001.json was changed after it was written.",
        f"{log.key(1)} was changed after it was written.",
    }


class Gateway(SteeringClient):
    """A client of a gateway that has these releases, and answers what is asked with this."""

    def __init__(self, answer: Exception | None, *releases: pb.Release) -> None:
        self._answer, self._releases = answer, releases

    def releases(self, **_options: object) -> list[pb.Release]:
        return list(self._releases)

    def recommend(self, **_asked: object) -> pb.RecommendResponse:
        if self._answer is not None:
            raise self._answer
        return pb.RecommendResponse()


def test_what_the_gateway_answers_is_told_apart(store: ArtifactStore):
    assert faults(check_gateway(Gateway(None), store)) == []
    store.releases.publish(release_of_nothing("default"))
    versions = pb.Versions(release_version="1")
    served = pb.Release(name="default", versions=versions, serving=True)
    refused = pb.Release(name="default", versions=versions, refusal="its weights are gone.")
    unknown = NotFound("nobody is called so.")
    assert faults(check_gateway(Gateway(unknown, served), store)) == []
    for gateway, part, level, said in (
        (Gateway(unknown, refused), "gateway", Level.WARNING, "its weights are gone."),
        (Gateway(unknown), "gateway", Level.WARNING, "version 1 of default"),
        (
            Gateway(NotReady("it loads.", remedy="wait."), served),
            "inference",
            Level.ERROR,
            "default: it loads.",
        ),
        (
            Gateway(Unavailable("no answer.", remedy="see why."), served),
            "inference",
            Level.ERROR,
            "no answer.",
        ),
        (Gateway(Unauthenticated("who?"), served), "gateway", Level.UNKNOWN, "who?"),
    ):
        [found] = faults(check_gateway(gateway, store))
        assert (found.part, found.level) == (part, level)
        assert said in found.message


def test_a_check_that_fails_by_itself_does_not_hide_the_others():
    def check() -> Iterator[Finding]:
        yield Finding("any", Level.OK, "is there.")
        raise AttributeError("version")

    seen, failed = examine("any", check)
    assert seen.level is Level.OK
    assert failed.level is Level.ERROR
    assert "AttributeError('version')" in failed.message


def test_the_operator_may_look_at_all_of_it(deployed: Deployed):
    redis = deployed.redis(Account.OPERATOR)
    objects = deployed.objects(Account.OPERATOR)
    for check in (
        lambda: check_redis(redis),
        lambda: check_store(objects),
        lambda: check_conditional_put(objects),
        lambda: check_dead_letters(objects),
        lambda: check_workers(redis, JobLog(deployed.redis_settings(Account.OPERATOR)), 0.1),
    ):
        assert Level.UNKNOWN not in {one.level for one in examine("any", check)}
    [found] = list(
        examine("store", lambda: check_conditional_put(deployed.objects(Account.INFERENCE)))
    )
    assert found.level is Level.UNKNOWN


def test_nothing_that_answers_is_1_and_a_list_of_what_to_mend(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    monkeypatch.chdir(tmp_path)
    for name in ("S3__ENDPOINT", "CLIENT__TARGET"):
        monkeypatch.setenv(f"RECLENS_{name}", "127.0.0.1:1")
    monkeypatch.setenv("RECLENS_REDIS__URL", "redis://127.0.0.1:1/0")
    assert run(["doctor", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    # Each fault once, and what could not be looked at for it.
    broken = [one["part"] for one in told if one["level"] == "error"]
    assert broken == ["redis", "store", "gateway"]
    unknown = {one["part"]: one["message"] for one in told if one["level"] == "unknown"}
    assert unknown.keys() == {"workers", "dead letters", "releases", "logs"}
    assert "the fault of redis" in unknown["workers"]
    assert run(["doctor"]) == 1
    assert "error: 3, unknown: 4" in capsys.readouterr().err
    monkeypatch.setenv("RECLENS_REDIS__RESULT_EXPIRES_SECONDS", "never")
    assert run(["doctor"]) == 1
    assert "RECLENS_REDIS__RESULT_EXPIRES_SECONDS" in capsys.readouterr().out
