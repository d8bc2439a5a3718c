"""What nothing needs is found and removed, and nothing else, while jobs run."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from deployed_servers import Deployed, refused
from redis import Redis
from servers import redis_server

from reclens.cli.main import run
from reclens.contracts import (
    AutoencoderSpec,
    CaptureSpec,
    ConceptsSpec,
    DatasetSpec,
    EvaluationSpec,
    JobSpec,
    PipelineSpec,
    RecommenderSpec,
    Release,
)
from reclens.contracts.specs.pipeline import PIPELINE_RUN
from reclens.errors import CorruptArtifact
from reclens.ops.deployment.access import Account
from reclens.ops.retention.garbage_collection import Collector, Garbage, Kind
from reclens.ops.retention.live_jobs import LiveJobs
from reclens.platform.jobs.app import connect
from reclens.platform.jobs.checkpoints import CheckpointStore
from reclens.platform.jobs.lease import Lease
from reclens.platform.jobs.log import JobLog
from reclens.platform.settings.models import RedisSettings, RetentionSettings, S3Settings
from reclens.platform.store.artifacts import ArtifactStore, ArtifactWriter
from reclens.platform.store.objects import S3Store

SPECS: dict[str, type[JobSpec]] = {
    "dataset": DatasetSpec,
    "recommender": RecommenderSpec,
    "activations": CaptureSpec,
    "autoencoder": AutoencoderSpec,
    "concepts": ConceptsSpec,
}


class AWeekLater(S3Store):
    """A store in which all was put eight days ago."""

    def now(self) -> datetime:
        return super().now() + timedelta(days=8)


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisSettings]:
    with redis_server(tmp_path_factory.mktemp("gc-redis")) as settings:
        yield settings


@pytest.fixture(autouse=True)
def _no_jobs(redis: RedisSettings) -> None:
    connect(redis).flushdb()


@pytest.fixture
def store(own_bucket: S3Settings, tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(AWeekLater(own_bucket), tmp_path / "cache")


def collector(store: ArtifactStore, redis: RedisSettings, **kept: object) -> Collector:
    return Collector(store, LiveJobs(redis), RetentionSettings.model_validate(kept))


def pipeline(k_core: int, release: str = "default") -> PipelineSpec:
    return PipelineSpec.parse({"release": release, "dataset": {"k_core": k_core}})


def commit(store: ArtifactStore, spec: JobSpec) -> str:
    writer = ArtifactWriter(store, spec)
    store.objects.put(f"{writer.ref}/{writer._attempt}/rows", b"left by nobody")
    path = Path(store._cache.parent / "rows")
    path.write_bytes(b"rows")
    writer.add(path)
    writer.commit({}, 0.0)
    return writer.ref


def make(store: ArtifactStore, spec: PipelineSpec) -> dict[str, str]:
    """Commit all artifacts of a pipeline; their references by stage."""
    return {
        stage.name: commit(store, SPECS[stage.name].parse(stage.spec))
        for stage in spec.plan()
        if stage.name in SPECS
    }


def release_of(refs: dict[str, str], name: str = "default") -> Release:
    parts = {part: refs[part] for part in ("recommender", "autoencoder", "concepts")}
    version = refs["concepts"][-16:]
    return Release.parse({"name": name, "version": version, "published_at": "", **parts})


def names(found: list[Garbage], kind: Kind) -> set[str]:
    return {one.name for one in found if one.kind is kind}


def test_what_a_release_or_a_pin_names_stays_with_all_it_was_made_from(
    store: ArtifactStore, redis: RedisSettings
):
    served, pinned, dropped = (make(store, pipeline(k)) for k in (31, 32, 33))
    store.releases.publish(release_of(served))
    evaluated = [
        commit(store, EvaluationSpec(autoencoder=refs["autoencoder"], concepts=refs["concepts"]))
        for refs in (served, dropped)
    ]
    gc = collector(store, redis, pins=pinned["autoencoder"])
    found = gc.find()
    gone = {*dropped.values(), evaluated[1], pinned["concepts"]}
    assert names(found, Kind.ARTIFACT) == gone
    before = set(store.objects.list(""))
    assert {one.name for one in gc.remove(found)} == gone
    removed = before - set(store.objects.list(""))
    assert removed == {entry.key for one in found for entry in one.objects}
    assert not any(store.exists(ref) for ref in gone)
    assert set(store.lineage(served["concepts"]).values()) < set(served.values())
    assert collector(store, redis, pins=pinned["autoencoder"]).find() == []


def test_what_is_young_stays_with_all_it_was_made_from(store: ArtifactStore, redis: RedisSettings):
    make(store, pipeline(31))
    assert collector(store, redis, grace_days=9).find() == []
    assert len(collector(store, redis, grace_days=7).find()) == 5


def test_an_earlier_version_of_a_release_counts_until_it_is_no_longer_kept(
    store: ArtifactStore, redis: RedisSettings
):
    first, second = make(store, pipeline(31)), make(store, pipeline(32))
    for refs in (first, second):
        store.releases.publish(release_of(refs))
    assert collector(store, redis).find() == []
    gc = collector(store, redis, release_versions=1)
    found = gc.find()
    assert names(found, Kind.ARTIFACT) == set(first.values()) - set(second.values())
    assert names(found, Kind.RELEASE_VERSION) == {"releases/default/000001.json"}
    list(gc.remove(found))
    [left] = store.releases.history("default")
    assert (left.number, left.concepts) == (2, second["concepts"])


def test_a_version_that_cannot_be_read_stops_it(store: ArtifactStore, redis: RedisSettings):
    make(store, pipeline(31))
    store.objects.put("releases/default/000001.json", b"no release")
    with pytest.raises(CorruptArtifact, match="000001"):
        collector(store, redis).find()


def test_what_a_waiting_job_reads_and_is_to_make_stays(store: ArtifactStore, redis: RedisSettings):
    wanted, dropped = make(store, pipeline(31)), make(store, pipeline(32))
    log = JobLog(redis)
    job_id = log.submit(PIPELINE_RUN.task, pipeline(31).canonical())
    kept = set(wanted.values())
    assert names(collector(store, redis).find(), Kind.ARTIFACT) == set(dropped.values()) - kept
    # Its message is there longer than what the log keeps of it.
    connect(redis).delete("reclens:jobs", f"reclens:job:{job_id}")
    assert names(collector(store, redis).find(), Kind.ARTIFACT) == set(dropped.values()) - kept
    # So it is in the hands of a worker.
    client = connect(redis)
    message = client.rpop("pipeline")
    client.hset("reclens:workers", "labeler@1", 1)
    client.hset("reclens:unacked:labeler@1", "tag", json.dumps([json.loads(str(message)), "", ""]))
    assert names(collector(store, redis).find(), Kind.ARTIFACT) == set(dropped.values()) - kept
    client.delete("reclens:unacked:labeler@1")
    assert names(collector(store, redis).find(), Kind.ARTIFACT) == {*kept, *dropped.values()}


def test_what_attempts_and_jobs_that_are_over_have_left_is_removed(
    store: ArtifactStore, redis: RedisSettings
):
    refs = make(store, pipeline(31))
    store.releases.publish(release_of(refs))
    ref, other = refs["dataset"], f"activations/{'a' * 16}"
    for key in (f"{ref}/{'b' * 16}/rows", f"{other}/{'c' * 16}/rows", "elsewhere/rows"):
        store.objects.put(key, b"1234")
    CheckpointStore(store.objects, other).save({}, {"step": 1})
    for key in ("dead-letters/1.json", "llm-cache/1-tgi/ab/abc.json"):
        store.objects.put(key, b"{}")
    upload = store.objects._client._create_multipart_upload(
        store.objects.bucket, f"{other}/{'c' * 16}/large", {}
    )
    gc = collector(store, redis, dead_letters_days=7, llm_answers_days=7)
    found = gc.find()
    assert names(found, Kind.ATTEMPT) == {ref, other}
    assert names(found, Kind.CHECKPOINT) == {other}
    assert names(found, Kind.DEAD_LETTER) == {"dead-letters/1.json"}
    assert names(found, Kind.LLM_ANSWER) == {"llm-cache/1-tgi/ab/abc.json"}
    assert [one.upload.upload_id for one in found if one.upload] == [upload]
    assert len(list(gc.remove(found))) == len(found) == 6
    assert store.objects.list("elsewhere/") == ["elsewhere/rows"]
    assert store.objects.unfinished_uploads() == []
    assert store.fetch(ref, "rows").read_bytes() == b"rows"
    assert collector(store, redis, dead_letters_days=7, llm_answers_days=7).find() == []


def test_dead_letters_and_answers_stay_by_default(store: ArtifactStore, redis: RedisSettings):
    for key in ("dead-letters/1.json", "llm-cache/1-tgi/ab/abc.json"):
        store.objects.put(key, b"{}")
    assert collector(store, redis).find() == []


@pytest.mark.parametrize("then", ["release", "job", "lease", "committed"])
def test_what_is_needed_since_it_was_found_is_left(
    store: ArtifactStore, redis: RedisSettings, tmp_path: Path, then: str
):
    spec = DatasetSpec(k_core=77)
    writer = ArtifactWriter(store, spec)
    (tmp_path / "rows").write_bytes(b"rows")
    writer.add(tmp_path / "rows")
    refs = make(store, pipeline(31))
    gc = collector(store, redis)
    found = gc.find()
    kept = {*refs.values()}
    lease = Lease(connect(redis), writer.ref, 60)
    if then == "release":
        store.releases.publish(release_of(refs))
    elif then == "job":
        JobLog(redis).submit(PIPELINE_RUN.task, pipeline(31).canonical())
    elif then == "lease":
        assert lease.acquire()
        kept = {writer.ref}
    else:
        writer.commit({}, 0.0)
        kept = {writer.ref}
    gone = {one.name for one in gc.remove(found)}
    assert gone == {*refs.values(), writer.ref} - kept
    if then == "lease":
        writer.commit({}, 0.0)
    for ref in kept:
        assert store.fetch(ref, "rows").read_bytes() == b"rows"


def test_jobs_that_commit_while_it_runs_lose_nothing(
    own_bucket: S3Settings, redis: RedisSettings, tmp_path: Path
):
    """Without any grace, jobs commit chains of artifacts while gc runs without a pause: all that
    they committed is whole, and what was garbage is gone."""
    store = ArtifactStore(S3Store(own_bucket), tmp_path / "cache")
    old = make(store, pipeline(500))
    log, over, faults, rounds = JobLog(redis), threading.Event(), [], []

    def collect() -> None:
        try:
            while not over.is_set():
                gc = collector(store, redis, grace_days=0)
                rounds.append(len(list(gc.remove(gc.find()))))
        except Exception as error:  # noqa: BLE001 - shown by the test
            faults.append(error)

    thread = threading.Thread(target=collect)
    thread.start()
    made: list[dict[str, str]] = []
    client: Redis = connect(redis)
    for number in range(8):
        spec = pipeline(600 + number)
        job_id = log.submit(PIPELINE_RUN.task, spec.canonical())
        refs = {}
        for stage in spec.plan():
            if stage.name in SPECS:
                with Lease(client, stage.artifact, 60) as lease:
                    assert lease.acquire()
                    refs[stage.name] = commit(store, SPECS[stage.name].parse(stage.spec))
        store.releases.publish(release_of(refs))
        made.append(refs)
        # It is over: nothing is left of it but the release.
        client.delete(f"reclens:job:{job_id}", "pipeline")
        client.zrem("reclens:jobs", job_id)
    over.set()
    thread.join()
    assert faults == []
    assert sum(rounds) >= 5
    assert len(rounds) > 1
    for ref in {ref for refs in made for ref in refs.values()}:
        assert store.fetch(ref, "rows").read_bytes() == b"rows"
        store.lineage(ref)
    assert not any(store.exists(ref) for ref in old.values())


def test_its_account_suffices_and_puts_nothing(deployed: Deployed, tmp_path: Path):
    ref = commit(deployed.store(Account.RECOMMENDER, tmp_path / "cache"), DatasetSpec(k_core=91))
    JobLog(deployed.redis_settings(Account.OPERATOR)).submit(
        PIPELINE_RUN.task, pipeline(92).canonical()
    )
    store = ArtifactStore(AWeekLater(deployed.s3_settings(Account.GC)), tmp_path / "gc")
    gc = Collector(store, LiveJobs(deployed.redis_settings(Account.GC)), RetentionSettings())
    found = [one for one in gc.find() if one.name == ref]
    assert [one.name for one in gc.remove(found)] == [ref]
    assert not store.exists(ref)
    assert refused(lambda: store.objects.put(f"{ref}/manifest.json", b"forged"))
    assert refused(lambda: store.objects.delete("edits/one"))
    # Who looks without that account sees the same, and removes nothing.
    operator = ArtifactStore(AWeekLater(deployed.s3_settings(Account.OPERATOR)), tmp_path / "op")
    ref = commit(deployed.store(Account.RECOMMENDER, tmp_path / "cache"), DatasetSpec(k_core=91))
    gc = Collector(
        operator, LiveJobs(deployed.redis_settings(Account.OPERATOR)), RetentionSettings()
    )
    found = [one for one in gc.find() if one.name == ref]
    assert refused(lambda: list(gc.remove(found)))
    assert operator.exists(ref)


def test_the_command_shows_first_and_removes_on_request(
    own_bucket: S3Settings,
    redis: RedisSettings,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
):
    store = ArtifactStore(S3Store(own_bucket), tmp_path / "cache")
    refs = make(store, pipeline(31))
    monkeypatch.chdir(tmp_path)
    secrets = {"S3__ACCESS_KEY": own_bucket.access_key, "S3__SECRET_KEY": own_bucket.secret_key}
    for name, value in (
        ("REDIS__URL", redis.url.get_secret_value()),
        ("S3__ENDPOINT", own_bucket.endpoint),
        ("S3__BUCKET", own_bucket.bucket),
        *((name, secret.get_secret_value()) for name, secret in secrets.items()),
    ):
        monkeypatch.setenv(f"RECLENS_{name}", value)
    assert run(["gc", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"deleted": False, "garbage": [], "bytes": 0}
    monkeypatch.setenv("RECLENS_RETENTION__GRACE_DAYS", "0")
    assert run(["gc"]) == 0
    shown = capsys.readouterr()
    assert "reclens gc --delete" in shown.err
    assert all(store.exists(ref) for ref in refs.values())
    assert run(["gc", "--delete", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {one["name"] for one in told["garbage"]} == set(refs.values())
    assert told["deleted"]
    assert told["bytes"] > 0
    assert store.objects.list("") == []
