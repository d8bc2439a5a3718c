"""Parts of the release before and of this one beside each other, as while one upgrades and goes
back: jobs, what they make, and what is served of it.

Workers change twice: new ones, old ones, new ones again. What is under way then goes on.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from buckets import bucket_of_ones_own
from release_before import Code, code_of_today, unpack_release_before
from servers import redis_server
from small_movielens import N_USERS, write_small_movielens
from two_releases import WORKERS, TwoReleases

from reclens.client import SteeringClient, more
from reclens.contracts import PipelineSpec, Release, ReleaseAction, ReleaseChangeSpec
from reclens.contracts.specs.release import RELEASE_CHANGE
from reclens.errors import RecLensError
from reclens.platform.jobs.view import JobState, JobView
from reclens.platform.settings.models import S3Settings
from reclens.steering.limits import DEFAULT_TOP_K

STAGES = ("dataset", "recommender", "activations", "autoencoder", "concepts")


@pytest.fixture(scope="module")
def releases(s3: S3Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoReleases]:
    folder = tmp_path_factory.mktemp("releases")
    old = unpack_release_before(folder / "before")
    with redis_server(folder / "redis") as redis, bucket_of_ones_own(s3) as bucket:
        yield TwoReleases(old, code_of_today(), redis, bucket, folder)


@dataclass
class History:
    """Jobs that have been run, by name, and what was seen meanwhile."""

    ids: dict[str, str] = field(default_factory=dict)
    views: dict[str, JobView] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)
    """All keys of the bucket, after a stage was refused."""

    def artifacts(self, name: str) -> dict[str, str]:
        """What the pipeline makes, by stage, as this release plans it."""
        plan = PipelineSpec.parse(self.views[name].spec).plan()
        return {stage.name: stage.artifact for stage in plan if stage.name in STAGES}


@pytest.fixture(scope="module")
def history(releases: TwoReleases) -> History:
    """The whole of it, in order; the tests look at what came of it."""
    old, new, told = releases.old, releases.new, History()
    films = write_small_movielens(_made(releases.folder / "films"))

    def submit(client: Code, name: str, release: str, seed: int, sae_seed: int = 0) -> None:
        spec = {
            "release": release,
            "dataset": {"name": "films", "source": {"format": "movielens", "path": str(films)}},
            "recommender": {
                "model": {"kind": "sasrec", "d_model": 16, "max_epochs": 6},
                "seed": seed,
            },
            "autoencoder": {"config": {"n_latents": 48, "k": 4, "n_epochs": 6, "seed": sae_seed}},
        }
        told.ids[name] = releases.submit(client, spec)

    def finish(name: str) -> None:
        told.views[name] = releases.finish(told.ids[name])

    with releases.workers(new, "recommender", "labeler"):
        with releases.workers(new, "trainer"):
            submit(old, "by new workers", "one", seed=1)
            finish("by new workers")
            _correct(releases, old, "one", "From old")
        with releases.workers(new, "trainer", RELEASES_RAISED="1"):
            submit(new, "refused", "three", seed=1, sae_seed=1)
            finish("refused")
            told.left = releases.store.objects.list("")
        held = releases.hold("recommender")
        submit(new, "from new to old", "two", seed=2)
        releases.wait_for(held.exists, "the new recommender to be at a step")
    with releases.workers(old):
        finish("from new to old")
        submit(new, "submitted again", "three", seed=1, sae_seed=1)
        finish("submitted again")
        submit(new, "by old workers", "four", seed=3)
        finish("by old workers")
        for action in (ReleaseAction.PIN, ReleaseAction.UNPIN):
            change = ReleaseChangeSpec(name="one", action=action, author="ann")
            releases.finish(releases.joblog.submit(RELEASE_CHANGE.task, change.canonical()))
        held = releases.hold("trainer")
        submit(old, "from old to new", "two", seed=4)
        releases.wait_for(held.exists, "the old trainer to be at a step")
    with releases.workers(new, "trainer", "labeler"):
        finish("from old to new")
        _correct(releases, new, "one", "From new")
    return told


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _correct(releases: TwoReleases, client: Code, release: str, name: str) -> None:
    """Give a concept of the release another name, with that client."""
    concepts = releases.concepts(release)
    machine = next(one for one in concepts if one.source == "keywords")
    releases.cli(
        client, "concepts", "edit", machine.concept_id, "--rename", name, "--release", release
    )


def test_workers_of_both_ran(releases: TwoReleases, history: History):
    for code in (releases.old, releases.new):
        source = code.root / "shared/src/reclens/__init__.py"
        for worker in WORKERS:
            assert f"runs {source}\n" in releases.log(code, worker).read_text()


@pytest.mark.parametrize(
    ("name", "by_old"),
    [
        ("by new workers", ()),
        ("by old workers", STAGES[1:]),
        ("from new to old", STAGES[1:]),
        ("from old to new", ("recommender", "activations")),
    ],
)
def test_a_pipeline_ends_whichever_release_submits_plans_and_makes_its_stages(
    releases: TwoReleases, history: History, name: str, by_old: tuple[str, ...]
):
    view = history.views[name]
    assert view.state is JobState.SUCCEEDED, view.error
    for stage, ref in history.artifacts(name).items():
        # The worker that ended a stage writes its manifest.
        code = releases.old if stage in by_old else releases.new
        assert releases.store.manifest(ref).versions["reclens"] == code.version


@pytest.mark.parametrize(
    ("name", "stage"), [("from old to new", "autoencoder"), ("from new to old", "recommender")]
)
def test_a_training_goes_on_at_the_checkpoint_of_the_other_release(
    releases: TwoReleases, history: History, name: str, stage: str
):
    worker, code = {
        "autoencoder": ("trainer", releases.new),
        "recommender": ("recommender", releases.old),
    }[stage]
    ref = history.artifacts(name)[stage]
    said = releases.log(code, worker).read_text().splitlines()
    assert [ref in line for line in said if "job.resumed" in line] == [True]
    assert releases.store.objects.list(f"checkpoints/{ref}/") == []


def test_what_would_be_another_artifact_is_refused_and_nothing_is_left_of_it(
    releases: TwoReleases, history: History
):
    view = history.views["refused"]
    assert view.state is JobState.FAILED
    assert view.error is not None
    assert view.error.type == "VersionMismatch"
    assert "upgrade all workers, see docs/how-to/upgrading.md" in view.error.message
    states = {stage.name: stage.state for stage in view.stages}
    assert states["autoencoder"] is JobState.FAILED
    assert states["concepts"] is states["release"] is JobState.SKIPPED
    planned = history.artifacts("refused")
    made = history.artifacts("by new workers")["autoencoder"]
    assert planned["autoencoder"] != made
    # Neither what was planned nor what the raised one would make has an object.
    begun = {"/".join(one.split("/")[:2]) for one in history.left if one.startswith("autoenc")}
    assert begun == {made}
    assert not [one for one in history.left if one.startswith(("checkpoints/", "releases/three/"))]


def test_the_remedy_of_a_refusal_helps_and_finds_what_was_made(history: History):
    view = history.views["submitted again"]
    assert view.state is JobState.SUCCEEDED
    reused = {stage.name: stage.result.reused for stage in view.stages if stage.result}
    assert not reused.pop("autoencoder")
    assert {reused[one] for one in ("dataset", "recommender", "activations")} == {True}


def test_what_either_has_written_is_read_by_both(releases: TwoReleases, history: History):
    assert {one.label for one in releases.concepts("one")} >= {"From old", "From new"}
    written = {"one": [5, 4, 3, 2, 1], "two": [2, 1]}
    for name, numbers in written.items():
        told = releases.cli(releases.old, "releases", "history", name)
        assert [one["number"] for one in told] == numbers
        versions = releases.store.releases.history(name)
        assert [one.number for one in versions if isinstance(one, Release)] == numbers
    listed = {one["artifact"] for one in releases.cli(releases.old, "artifacts", "list")}
    assert listed >= {ref for name in history.views for ref in history.artifacts(name).values()}
    assert {manifest.artifact for manifest in releases.store.list()} == listed


def test_servers_of_either_serve_the_releases_of_both(releases: TwoReleases, history: History):
    old, new = releases.old, releases.new
    with ExitStack() as stack:
        addresses = {
            code.version: stack.enter_context(releases.serving(code, other))
            for code, other in ((old, new), (new, old))
        }
        clients = {
            version: stack.enter_context(SteeringClient(address))
            for version, address in addresses.items()
        }
        for client in clients.values():
            assert {one.name for one in client.releases()} == {"one", "two", "three", "four"}
        before, after = clients[old.version], clients[new.version]
        before.create_policy("more", release="one", edits=[more("from-new", 0.5)])
        for release, policy in {"one": "more@1", "two": "", "three": "", "four": ""}.items():
            answers = [
                client.recommend(user_id=str(N_USERS), release=release, policy=policy)
                for client in (before, after)
            ]
            assert len(answers[0].items) == DEFAULT_TOP_K
            assert answers[0].items == answers[1].items
            assert answers[0].versions == answers[1].versions
            assert answers[0].policy == answers[1].policy
        # A field that the release before does not know: it applies no half of what was asked for.
        policy = after.policy("more")
        policy.description = "changed"
        assert after.update_policy(policy).version == 2
        with pytest.raises(RecLensError, match="previous"):
            before.recommend(user_id="1", release="one", policy="more@2")
        assert before.recommend(user_id="1", release="one", policy="more@1").policy.version == 1
