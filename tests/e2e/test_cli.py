"""The command line against the whole stack, as a person or a script uses it."""

from __future__ import annotations

import hashlib
import json
import os
import signal
from pathlib import Path

import pytest
from running_stack import Stack, wait_for

from reclens.sae import load_autoencoder


@pytest.fixture(scope="module", autouse=True)
def served(stack: Stack, pipeline_job: str) -> None:
    def answers() -> bool:
        return stack.cli("recommend", "--user", "7").returncode == 0

    wait_for(answers, "the release to be served")


def test_status_tells_every_part(stack: Stack):
    done = stack.cli("status", "--json")
    assert done.returncode == 0, done.stderr
    for part in ("redis", "s3", "capture", "train", "label", "inference", "gateway"):
        assert part in done.stdout


def test_the_doctor_finds_all_well_and_a_worker_that_stands_still(stack: Stack):
    done = stack.cli("doctor", "--json")
    found = {(one["part"], one["level"]) for one in json.loads(done.stdout)}
    parts = {part for part, _ in found}
    assert parts >= {"redis", "store", "workers", "jobs", "releases", "logs", "gateway"}
    # How much room this machine has is none of the stack's.
    assert {level for part, level in found if part != "disk"} == {"ok"}, done.stdout
    trainer = int((stack.state.pids / "train.pid").read_text())
    os.kill(trainer, signal.SIGSTOP)
    try:
        done = stack.cli("doctor")
    finally:
        os.kill(trainer, signal.SIGCONT)
    assert done.returncode == 1
    assert "start reclens-trainer worker" in done.stdout
    assert "error: 1" in done.stderr


def test_more_of_a_concept_and_less_of_another(stack: Stack):
    concepts = stack.cli_json("concepts", "list")
    found = concepts["concepts"] if isinstance(concepts, dict) else concepts
    first, second = (one.get("concept_id") or one["conceptId"] for one in found[:2])
    done = stack.cli(
        "recommend", "--user", "7", "--more", f"{first}:0.6", "--less", second, "--json"
    )
    assert done.returncode == 0, done.stderr
    assert "effect" in done.stdout


def test_artifacts_and_jobs_are_listed(stack: Stack, pipeline_job: str):
    listed = stack.cli("artifacts", "list")
    assert listed.returncode == 0
    for kind in ("datasets/", "recommenders/", "activations/", "autoencoders/", "concepts/"):
        assert kind in listed.stdout
    assert pipeline_job in stack.cli("jobs", "list").stdout


def test_an_artifact_is_shown_on_short_lines(stack: Stack, pipeline_job: str):
    listed = json.loads(stack.cli("artifacts", "list", "--kind", "autoencoders", "--json").stdout)
    manifest = listed[0]
    shown = stack.cli("artifacts", "show", manifest["artifact"])
    assert shown.returncode == 0, shown.stderr
    assert manifest["peak_memory_bytes"] > 50e6
    assert f"{manifest['peak_memory_bytes'] / 1e6:,.0f} MB at most" in shown.stdout
    points = len(manifest["metrics"]["curve"])
    assert f" ..., {points} entries (whole with --json)" in shown.stdout
    assert f"spec     config.k: {manifest['spec']['config']['k']}\n" in shown.stdout
    assert max(map(len, shown.stdout.splitlines())) < 180


def test_an_artifact_is_copied_to_a_folder(stack: Stack, pipeline_job: str, tmp_path: Path):
    listed = json.loads(stack.cli("artifacts", "list", "--kind", "autoencoders", "--json").stdout)
    reference = listed[0]["artifact"]
    done = stack.cli("artifacts", "get", reference, "--to", str(tmp_path))
    assert done.returncode == 0, done.stderr
    folder = tmp_path / reference
    assert json.loads((folder / "manifest.json").read_text())["artifact"] == reference
    for entry in listed[0]["objects"]:
        assert hashlib.sha256((folder / entry["name"]).read_bytes()).hexdigest() == entry["sha256"]
    assert load_autoencoder(folder).n_latents > 0


@pytest.mark.parametrize(
    ("arguments", "code", "named"),
    [
        (["recommend", "--user", "nobody"], 3, "nobody"),
        (["recommend", "--user", "7", "--more", "no-such-concept"], 3, "no-such-concept"),
        (["recommend", "--user", "7", "--more", "drama:loud"], 2, "loud"),
        (["jobs", "show", "no-such-job"], 3, "no-such-job"),
        (["artifacts", "show", "not-a-reference"], 2, "not-a-reference"),
        (["submit", "nowhere.yaml"], 3, "nowhere.yaml"),
        (["explain", "--user", "nobody"], 3, "nobody"),
    ],
)
def test_an_expected_error_is_one_readable_line(
    stack: Stack, arguments: list[str], code: int, named: str
):
    done = stack.cli(*arguments)
    assert done.returncode == code, done.stderr
    assert named in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_job_file_with_an_unknown_field_is_refused_before_it_is_sent(
    stack: Stack, tmp_path: Path
):
    jobs_before = stack.cli("jobs", "list", "--json").stdout
    path = tmp_path / "job.yaml"
    path.write_text("task: reclens.pipeline.run.v1\nspec: {relaese: x}\n")
    done = stack.cli("submit", str(path))
    assert done.returncode == 2
    assert "relaese" in done.stderr
    assert stack.cli("jobs", "list", "--json").stdout == jobs_before
