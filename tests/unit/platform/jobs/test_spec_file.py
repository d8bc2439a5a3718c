"""The YAML files that are submitted."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from reclens.contracts import PipelineSpec, job_kinds
from reclens.errors import InvalidInput, InvalidSpec, MissingData, NotFound
from reclens.platform.jobs.spec_file import anew, complete, read_spec_file
from reclens.platform.settings.models import DataSettings
from reclens.studies.demo.run import PIPELINE

_ROWS = "user_id,item_id,timestamp\na,x,1\na,y,2\n"


def test_every_job_can_be_submitted_but_those_that_other_tasks_send():
    with pytest.raises(InvalidSpec) as caught:
        complete({"task": "reclens.concepts.shard.v1"})
    listed = caught.value.remedy.removeprefix("choose one of ").removesuffix(".").split(", ")
    assert listed == [task for task, kind in job_kinds().items() if not kind.internal]


def test_the_demo_s_own_file_is_a_pipeline_of_the_release_demo():
    request = read_spec_file(PIPELINE)
    spec = PipelineSpec.parse(request.spec)
    assert (spec.release, spec.autoencoder.config.n_latents, spec.autoencoder.config.k) == (
        "demo",
        1024,
        16,
    )


def test_a_specification_is_sent_whole_with_its_defaults():
    request = complete({"task": "reclens.pipeline.run.v1", "spec": {"release": "mine"}})
    assert request.spec == PipelineSpec(release="mine").canonical()


def test_local_sources_get_absolute_paths_and_checksums(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "rows.csv").write_text(_ROWS)
    monkeypatch.chdir(tmp_path)
    source = {"format": "table", "path": "rows.csv"}
    dataset = {"name": "mine", "source": source}
    digest = hashlib.sha256(_ROWS.encode()).hexdigest()
    alone = complete({"task": "reclens.dataset.import.v1", "spec": dataset}).spec["source"]
    within = complete({"task": "reclens.pipeline.run.v1", "spec": {"dataset": dataset}}).spec
    for found in (alone, within["dataset"]["source"]):
        assert found["path"] == str(tmp_path / "rows.csv")
        assert found["sha256"] == {"rows.csv": digest}


def test_checksums_that_are_given_are_kept(tmp_path: Path):
    (tmp_path / "rows.csv").write_text(_ROWS)
    source = {
        "format": "table",
        "path": str(tmp_path / "rows.csv"),
        "sha256": {"rows.csv": "0" * 64},
    }
    request = complete(
        {"task": "reclens.dataset.import.v1", "spec": {"name": "mine", "source": source}}
    )
    assert request.spec["source"]["sha256"] == {"rows.csv": "0" * 64}


def test_a_path_of_the_worker_s_machine_is_left_alone():
    source = {"format": "table", "path": "/only/on/the/worker.csv"}
    request = complete(
        {"task": "reclens.dataset.import.v1", "spec": {"name": "mine", "source": source}}
    )
    assert request.spec["source"]["path"] == "/only/on/the/worker.csv"
    assert request.spec["source"]["sha256"] == {}


@pytest.mark.parametrize(
    ("document", "named"),
    [
        ({"task": "reclens.nothing.v1"}, "task"),
        ({"task": "reclens.pipeline.run.v1", "specs": {}}, "task and spec"),
        (["not", "a", "mapping"], "task and spec"),
        ({"task": "reclens.pipeline.run.v1", "spec": {"relaese": "x"}}, "relaese"),
        (
            {
                "task": "reclens.pipeline.run.v1",
                "spec": {"autoencoder": {"config": {"k": 9, "n_latents": 4}}},
            },
            "k = 9 exceeds n_latents = 4",
        ),
        ({"task": "reclens.pipeline.run.v1", "spec": {"dataset": {"name": "mine"}}}, "source"),
    ],
)
def test_what_is_wrong_is_named(document: object, named: str):
    with pytest.raises(InvalidSpec, match=named):
        complete(document)


def test_files_that_are_not_there_or_not_yaml_are_refused(tmp_path: Path):
    with pytest.raises(MissingData, match="nowhere"):
        read_spec_file(tmp_path / "nowhere.yaml")
    (tmp_path / "bad.yaml").write_text("task: [")
    with pytest.raises(InvalidSpec, match="is not YAML"):
        read_spec_file(tmp_path / "bad.yaml")


@pytest.mark.parametrize(
    "document",
    [
        {"task": "reclens.pipeline.run.v1", "spec": {"autoencoder": {"config": {"kind": "topq"}}}},
        {
            "task": "reclens.autoencoder.train.v1",
            "spec": {"activations": f"activations/{1:016x}", "config": {"kind": "topq"}},
        },
    ],
)
def test_a_kind_of_autoencoder_that_nobody_offers_is_told_before_it_is_sent(document):
    with pytest.raises(NotFound, match="autoencoder 'topq'") as caught:
        complete(document)
    assert "matryoshka" in caught.value.remedy


@pytest.mark.parametrize(
    ("task", "spec", "field"),
    [
        (
            "reclens.pipeline.run.v1",
            {"dataset": {"name": "mine", "source": {"format": "table", "path": "PATH"}}},
            "dataset.source.path",
        ),
        (
            "reclens.recommender.train.v1",
            {
                "dataset": f"datasets/{1:016x}",
                "model": {
                    "kind": "module",
                    "name": "any",
                    "weights": {"path": "PATH", "sha256": "0" * 64},
                },
            },
            "model.weights.path",
        ),
    ],
)
def test_files_that_the_worker_would_not_take_are_refused_before_they_are_read(
    tmp_path: Path, task: str, spec: dict[str, Any], field: str
):
    def named(path: str) -> dict[str, Any]:
        return {"task": task, "spec": json.loads(json.dumps(spec).replace("PATH", path))}

    data = DataSettings.model_validate({"roots": str(tmp_path)})
    complete(named(f"{tmp_path}/rows.csv"), data)
    with pytest.raises(InvalidInput, match=f"^{field}: /etc/passwd is not taken"):
        complete(named("/etc/passwd"), data)
    # Nothing is known of the worker where nothing is set here.
    complete(named("/only/there"), DataSettings.model_validate({}))


@pytest.mark.parametrize("path", ["", "rows\n.csv", "rows\0.csv", "\x1b[2Jrows.csv", "x" * 5000])
def test_what_cannot_be_a_path_is_refused(path: str):
    source = {"format": "table", "path": path}
    with pytest.raises(InvalidSpec, match=r"source\.path"):
        complete({"task": "reclens.dataset.import.v1", "spec": {"name": "mine", "source": source}})


class TestAnew:
    """`reclens submit --force`: the artifacts that exist get another number, and so another id."""

    def test_a_job_gets_the_first_number_that_is_free(self):
        request = complete({"task": "reclens.dataset.import.v1", "spec": {"name": "ml-100k"}})
        parse = job_kinds()[request.task].spec.parse
        refs = [parse({**request.spec, "remake": number}).artifact_ref() for number in range(4)]
        assert len(set(refs)) == 4
        assert refs[0] == "datasets/0b8ad46a3801595c"  # as without the field
        forced, counted = anew(request, (), refs[:2].__contains__)
        assert counted == {"spec.remake": 2}
        assert parse(forced.spec).artifact_ref() == refs[2]
        assert anew(forced, (), refs[:2].__contains__) == (forced, {})

    def test_a_stage_of_a_pipeline_takes_what_is_made_from_it_along(self):
        request = complete({"task": "reclens.pipeline.run.v1", "spec": {}})
        before = [stage.artifact for stage in PipelineSpec.parse(request.spec).plan()]
        forced, counted = anew(request, ["autoencoder", "recommender"], before.__contains__)
        after = [stage.artifact for stage in PipelineSpec.parse(forced.spec).plan()]
        assert counted == {"spec.recommender.remake": 1}  # with it, the autoencoder is another
        same = [one == other for one, other in zip(before, after, strict=True)]
        assert same == [True, False, False, False, False, True]

    @pytest.mark.parametrize(
        ("task", "spec", "stages"),
        [
            ("reclens.pipeline.run.v1", {}, []),
            ("reclens.pipeline.run.v1", {}, ["release"]),
            ("reclens.dataset.import.v1", {"name": "ml-100k"}, ["dataset"]),
            (
                "reclens.release.change.v1",
                {"action": "pin", "name": "demo", "author": "a", "reason": "b"},
                [],
            ),
        ],
    )
    def test_what_cannot_be_made_anew_is_refused(self, task: str, spec: Any, stages: list[str]):
        with pytest.raises(InvalidInput) as caught:
            anew(complete({"task": task, "spec": spec}), stages, lambda _ref: True)
        assert caught.value.field == "stage"
