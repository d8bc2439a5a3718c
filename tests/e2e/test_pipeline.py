"""From raw data to a release, through every real part."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import duckdb
import pytest
from running_stack import PIPELINE, Stack

from reclens.contracts import AutoencoderSpec, PipelineSpec
from reclens.errors import MissingData, RecLensError
from reclens.platform.jobs.view import JobState

STAGES = ["dataset", "recommender", "activations", "autoencoder", "concepts", "release"]


def artifacts() -> dict[str, str]:
    return {stage.name: stage.artifact for stage in PipelineSpec.parse(PIPELINE).plan()}


def test_one_job_makes_every_artifact_that_its_plan_names(stack: Stack, pipeline_job: str):
    view = stack.joblog.show(pipeline_job)
    assert view.state is JobState.SUCCEEDED
    assert [stage.name for stage in view.stages] == STAGES
    assert all(stage.state is JobState.SUCCEEDED for stage in view.stages)
    made = artifacts()
    assert all(stack.store.exists(ref) for name, ref in made.items() if name != "release")
    release = stack.store.releases.head("default")
    assert (release.recommender, release.autoencoder, release.concepts) == (
        made["recommender"],
        made["autoencoder"],
        made["concepts"],
    )


def test_the_data_set_has_the_counts_that_its_publisher_states(stack: Stack, pipeline_job: str):
    metrics = stack.store.manifest(artifacts()["dataset"]).metrics
    assert (metrics["users"], metrics["items"], metrics["interactions"]) == (943, 1682, 100_000)
    assert (metrics["valid"], metrics["test"]) == (943, 943)


def test_running_it_again_computes_nothing(stack: Stack, pipeline_job: str):
    sent = stack.send("reclens.pipeline.run.v1", PIPELINE)
    sent.get(timeout=60)
    stages = stack.joblog.show(sent.id).stages[:-1]
    assert [stage.result.reused for stage in stages if stage.result] == [True] * 5


def test_duckdb_reads_the_activations_as_they_are(stack: Stack, pipeline_job: str):
    folder = stack.store.fetch_all(artifacts()["activations"])
    shards = f"read_parquet('{folder}/shard-*.parquet')"
    counts = duckdb.sql(
        f"select count(*), count(distinct user_id), min(len(representation)) from {shards}"
    ).fetchall()
    assert counts == [(100_000, 943, 32)]
    in_several_splits = duckdb.sql(
        f"select user_id from {shards} group by user_id having count(distinct split) > 1"
    ).fetchall()
    assert in_several_splits == []
    recommended_again = duckdb.sql(
        f"select count(*) from {shards} where list_has_any(context, top_items)"
    ).fetchall()
    assert recommended_again == [(0,)]


def test_the_autoencoder_beats_its_random_control(stack: Stack, pipeline_job: str):
    metrics = stack.store.manifest(artifacts()["autoencoder"]).metrics
    assert metrics["fvu"] < 0.5 < metrics["random_fvu"]
    assert metrics["l0"] == pytest.approx(8, abs=0.1)


def failed(stack: Stack, task: str, spec: dict[str, Any]) -> Any:
    sent = stack.send(task, spec)
    with pytest.raises(RecLensError):
        sent.get(timeout=60)
    shown = stack.cli_json("jobs", "show", sent.id)
    assert shown["state"] == "FAILED"
    return shown["error"]


def test_a_flipped_byte_in_a_shard_fails_the_job_and_leaves_nothing(
    stack: Stack, pipeline_job: str
):
    shard = stack.store.manifest(artifacts()["activations"]).key("shard-00001.parquet")
    sound = stack.store.objects.get(shard)
    spec = AutoencoderSpec.parse(
        {"activations": artifacts()["activations"], "config": {"n_latents": 64, "k": 4}}
    )
    shutil.rmtree(stack.state.root / "cache")  # verified copies would hide it
    stack.store.objects.put(shard, sound[:1000] + bytes([sound[1000] ^ 1]) + sound[1001:])
    try:
        error = failed(stack, "reclens.autoencoder.train.v1", spec.canonical())
    finally:
        stack.store.objects.put(shard, sound)
    assert error["type"] == "CorruptArtifact"
    assert "shard-00001.parquet" in error["message"]
    assert "Remedy" in error["message"]
    assert stack.store.objects.list(f"{spec.artifact_ref()}/") == []


def test_a_specification_with_an_unknown_field_names_it(stack: Stack):
    error = failed(stack, "reclens.pipeline.run.v1", {"relaese": "x"})
    assert error["type"] == "InvalidSpec"
    assert error["message"].startswith("relaese:")


def test_a_missing_file_is_named_with_what_to_do(stack: Stack, tmp_path: Path):
    source = {"format": "table", "path": str(tmp_path / "nowhere.csv")}
    error = failed(stack, "reclens.dataset.import.v1", {"name": "mine", "source": source})
    assert error["type"] == "MissingData"
    assert "nowhere.csv" in error["message"]


def test_a_malformed_row_is_named_by_file_line_column_and_value(stack: Stack, tmp_path: Path):
    table = tmp_path / "clicks.csv"
    table.write_text("user_id,item_id,timestamp\nann,tea,10\nbob,tea,yesterday\n")
    source = {"format": "table", "path": str(table)}
    error = failed(stack, "reclens.dataset.import.v1", {"name": "mine", "source": source})
    assert error["type"] == "MalformedData"
    for part in ("clicks.csv", "line 3", "timestamp", "yesterday"):
        assert part in error["message"]


def test_the_failure_of_a_stage_is_the_pipelines(stack: Stack, tmp_path: Path):
    source = {"format": "table", "path": str(tmp_path / "nowhere.csv")}
    sent = stack.send("reclens.pipeline.run.v1", {"dataset": {"name": "mine", "source": source}})
    with pytest.raises(MissingData):
        sent.get(timeout=60)
    view = stack.joblog.show(sent.id)
    assert view.error is not None
    assert view.error.type == "MissingData"
    assert [stage.state for stage in view.stages] == [JobState.FAILED] + [JobState.SKIPPED] * 5
