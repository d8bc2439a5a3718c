"""`reclens reproduce` on the whole stack: every part of a report, made once and then found."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from running_stack import Stack
from small_movielens import N_ITEMS, N_USERS

from reclens.platform.jobs.view import JobState
from reclens.studies.reproduce.experiment.plan import StudyPlan, make_plan

# With all grids it is minutes even on a small data set; docs/how-to/reproduce.md has the option.
OPTIONS = ("--dataset", "ml-1m", "--main-only")
SECONDS = 400
FIGURES = ("F2_confidence", "F4_concepts_and_quality", "F5_hit_ratio_by_level", "F7_fvu_against_l0")


@dataclass(frozen=True)
class Run:
    """One call of the command and what the system held after it."""

    folder: Path
    said: str
    jobs: set[str]
    manifests: dict[str, dict[str, Any]]

    @property
    def report(self) -> dict[str, Any]:
        return json.loads((self.folder / "report.json").read_text())


@pytest.fixture(scope="module")
def plan() -> StudyPlan:
    return make_plan("ml-1m", "sasrec", main_only=True)


@pytest.fixture(scope="module")
def call(stack: Stack, plan: StudyPlan) -> Callable[[Path], Run]:
    def run(output: Path) -> Run:
        done = stack.cli("reproduce", *OPTIONS, "--output", str(output), seconds=SECONDS)
        assert done.returncode == 0, done.stderr
        folder = output / "ml-1m" / "sasrec"
        assert done.stdout.strip() == str(folder / "report.md")
        planned = {job.ref for job in plan.jobs()}
        return Run(
            folder,
            done.stderr,
            {job.id for job in stack.joblog.list(limit=1000)},
            {
                one.artifact: one.model_dump()
                for one in stack.store.list()
                if one.artifact in planned
            },
        )

    return run


@pytest.fixture(scope="module")
def first(call: Callable[[Path], Run], tmp_path_factory: pytest.TempPathFactory) -> Run:
    return call(tmp_path_factory.mktemp("first"))


@pytest.fixture(scope="module")
def second(
    first: Run, call: Callable[[Path], Run], tmp_path_factory: pytest.TempPathFactory
) -> Run:
    return call(tmp_path_factory.mktemp("second"))


def test_every_planned_artifact_is_made_by_a_job_of_its_own(
    stack: Stack, plan: StudyPlan, first: Run
) -> None:
    assert set(first.manifests) == {job.ref for job in plan.jobs()}
    views = [stack.joblog.show(job_id) for job_id in first.jobs]
    made = {
        view.result.artifact: view.result.reused
        for view in views
        if view.state is JobState.SUCCEEDED and view.result
    }
    assert {ref: made[ref] for ref in first.manifests} == dict.fromkeys(first.manifests, False)


def test_the_report_is_whole(plan: StudyPlan, first: Run) -> None:
    report = first.report
    assert report["missing"] == {}
    assert report["dataset"]["users"] == N_USERS
    assert report["dataset"]["items"] <= N_ITEMS
    assert plan.main.evaluation is not None
    assert report["artifacts"]["evaluation"] == plan.main.evaluation.artifact_ref()
    # Three genres and a recommender that has learned them: there is something to label.
    assert report["concepts"]["labelled"] > 0
    assert report["autoencoder"]["fvu"] < report["autoencoder"]["random_fvu"]
    assert report["claims"]
    assert all(claim["verdict"] and claim["measured"] for claim in report["claims"])
    tables = json.loads((first.folder / "tables.json").read_text())
    assert {"T1", "T2", "T3", "T3b", "T4", "T4b", "T5", "T8"} <= set(tables)
    rows = [row[0] for row in tables["T3b"][0]["rows"]]
    assert rows == [
        "topk 1,024/16 (main)",
        "control: untrained",
        "control: raw dimensions",
        "control: PCA",
    ]


def test_figures_stand_in_both_forms_of_the_report(first: Run) -> None:
    markdown = (first.folder / "report.md").read_text()
    page = (first.folder / "report.html").read_text()
    for name in FIGURES:
        assert (first.folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert (first.folder / f"{name}.svg").read_text().count("</svg>") == 1
        assert f"({name}.png)" in markdown
        assert f'id="{name.split("_")[0]}"' in page
    pictures = re.findall(r"\((F\w+\.png)\)", markdown)
    assert all((first.folder / picture).is_file() for picture in pictures)
    assert "F8_prediction_aware.png" not in pictures, "the plan has no such dictionary"


def test_raw_numbers_are_beside_the_report(first: Run) -> None:
    fidelity = pq.read_table(first.folder / "data" / "fidelity.parquet")
    assert set(fidelity["variant"].to_pylist()) == {"base", "reconstruction", "random_sae", "mean"}


def test_a_second_run_computes_nothing(plan: StudyPlan, first: Run, second: Run) -> None:
    assert second.jobs == first.jobs, "no job was submitted"
    assert second.manifests == first.manifests
    found = [line.removesuffix(": found") for line in second.said.splitlines() if "✓" in line]
    assert found == [f"✓ {job.name}" for job in plan.jobs()]


def test_both_runs_report_the_same(first: Run, second: Run) -> None:
    reports = [run.report for run in (first, second)]
    for report in reports:
        del report["seconds"]["this_run"]
    assert reports[0] == reports[1]
    for name in ("tables.json", "report.md", *(f"{figure}.svg" for figure in FIGURES)):
        assert (first.folder / name).read_bytes() == (second.folder / name).read_bytes(), name
