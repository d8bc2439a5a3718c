"""People rename, merge and reject concepts, and are asked about them, through every real part."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from running_stack import PIPELINE, Stack, wait_for

from reclens.concepts.labels.concepts import Concept, group_concepts
from reclens.concepts.labels.table import read_concepts
from reclens.contracts import ConceptCorrection
from reclens.contracts.specs.corrections import CONCEPTS_EDIT
from reclens.contracts.specs.evaluation import AUTOENCODER_EVALUATE
from reclens.contracts.tables import CONCEPTS
from reclens.platform.store.label_corrections import CorrectionLog

RELEASE = "people"
# An autoencoder of its own, so that its log of edits concerns no other test.
SPEC = {
    **PIPELINE,
    "release": RELEASE,
    "autoencoder": {"config": {"n_latents": 128, "k": 8, "n_epochs": 2, "seed": 11}},
}


@pytest.fixture(scope="module", autouse=True)
def released(stack: Stack, pipeline_job: str) -> None:
    stack.send("reclens.pipeline.run.v1", SPEC).get(timeout=200)


def concepts(stack: Stack) -> list[Concept]:
    artifact = stack.store.releases.head(RELEASE).concepts
    return group_concepts(read_concepts(stack.store.fetch(artifact, CONCEPTS.file)))


def of_latents(stack: Stack, latents: list[int]) -> list[Concept]:
    return [one for one in concepts(stack) if set(one.latents) & set(latents)]


def edit(stack: Stack, *arguments: str) -> dict[str, Any]:
    return stack.cli_json("concepts", "edit", *arguments, "--author", "ann", "--release", RELEASE)


def test_a_name_that_a_person_gave_outlives_labelling_with_other_options(stack: Stack):
    machine = concepts(stack)[0]
    base = stack.store.releases.head(RELEASE).concepts
    told = edit(stack, machine.concept_id, "--rename", "Ann's own", "--reason", "it is better")
    assert [one["label"] for one in told["before"]] == [machine.label]
    (after,) = told["after"]
    assert (after["concept_id"], after["source"]) == ("ann-s-own", "human")
    assert after["confidence"] == machine.confidence
    assert sorted(after["latents"]) == sorted(machine.latents)
    first = stack.store.releases.head(RELEASE).concepts
    assert stack.store.manifest(first).task == CONCEPTS_EDIT.task
    assert stack.store.manifest(first).inputs["concepts"].artifact == base

    def served() -> bool:
        shown = stack.cli("concepts", "show", "ann-s-own", "--release", RELEASE)
        return "labelled by human from" in shown.stdout

    wait_for(served, "the edited concept to be served")

    again = {**SPEC, "concepts": {"max_terms": 3, "n_evidence": 20, "min_support": 0.3}}
    stack.send("reclens.pipeline.run.v1", again).get(timeout=200)
    second = stack.store.releases.head(RELEASE).concepts
    assert second != first
    assert stack.store.lineage(second)["concepts"] != base
    named = [one for one in concepts(stack) if one.label == "Ann's own"]
    assert [sorted(one.latents) for one in named] == [sorted(machine.latents)]
    assert named[0].concept_id == "ann-s-own"

    (entry,) = stack.cli_json("concepts", "edits", "--release", RELEASE)
    assert (entry["number"], entry["applied"], entry["author"]) == (1, True, "ann")
    assert entry["reason"] == "it is better"


def test_concepts_that_people_named_are_evaluated(stack: Stack):
    release = stack.store.releases.head(RELEASE)
    assert stack.store.manifest(release.concepts).task == CONCEPTS_EDIT.task
    spec = {
        "autoencoder": release.autoencoder,
        "concepts": release.concepts,
        "max_users": 20,
        "max_cases": 2000,
    }
    kind = AUTOENCODER_EVALUATE
    sent = stack.celery.send_task(kind.task, kwargs={"spec": spec}, queue=kind.queue.value)
    found = stack.store.manifest(sent.get(timeout=200)["artifact"]).metrics
    assert found["levels"]["labelled"]["latents"] > 0
    assert found["label_truth"]["labelled"]["latents"] > 0


def test_two_concepts_are_merged_measured_anew_rejected_and_restored(stack: Stack):
    first, second = [one for one in concepts(stack) if one.source == "keywords"][:2]
    latents = sorted({*first.latents, *second.latents})
    told = edit(stack, first.concept_id, "--merge", second.concept_id, "--rename", "Both")
    assert len(told["before"]) == 2
    (both,) = told["after"]
    assert (both["concept_id"], sorted(both["latents"])) == ("both", latents)
    merged = of_latents(stack, latents)[0]
    # The most telling latent's first.
    assert sorted(merged.keywords) == sorted({*first.keywords, *second.keywords})
    assert merged.n_positive >= max(first.n_positive, second.n_positive)
    assert merged.confidence not in {None, first.confidence, second.confidence}
    assert not merged.trusted  # nobody has measured the new name

    assert edit(stack, "both", "--reject", "--reason", "too wide")["after"] == []
    artifact = stack.store.releases.head(RELEASE).concepts
    rows = read_concepts(stack.store.fetch(artifact, CONCEPTS.file))
    assert {rows[one].description for one in latents} == {"Rejected by ann: too wide"}

    edit(stack, "both", "--restore")
    assert [one.concept_id for one in of_latents(stack, latents)] == [
        one.concept_id for one in (first, second)
    ]
    assert of_latents(stack, latents)[0] == first


def test_an_edit_of_what_somebody_else_has_changed_is_refused(stack: Stack):
    target = next(one for one in concepts(stack) if one.source == "keywords")
    release = stack.store.releases.head(RELEASE)
    log = CorrectionLog(stack.store, release.autoencoder)
    log.append(
        ConceptCorrection(
            operation="rename",
            concept_id=target.concept_id,
            was=target.label,
            latents=tuple(sorted(target.latents)),
            name="Bob's",
            author="bob",
            at="2026-01-01T00:00:00+00:00",
        ),
        seen=len(log.read()),
    )
    refused = stack.cli("concepts", "edit", target.concept_id, "--reject", "--release", RELEASE)
    assert refused.returncode == 1
    assert f"bob has changed {target.label!r} meanwhile" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert "not yet" in stack.cli("concepts", "edits", "--release", RELEASE).stdout
    listed = stack.cli_json("concepts", "edits", "--apply", "--release", RELEASE)
    assert all(one["applied"] for one in listed)
    assert edit(stack, "bob-s", "--rename", "Ours")["after"][0]["label"] == "Ours"


def test_two_people_who_edit_different_concepts_at_once_are_both_heard(stack: Stack):
    first, second = [one for one in concepts(stack) if one.source == "keywords"][:2]
    with ThreadPoolExecutor(2) as pool:
        both = [
            pool.submit(edit, stack, one.concept_id, "--rename", name)
            for one, name in ((first, "Hers"), (second, "His"))
        ]
        for one in both:
            one.result()
    labels = {one.label: sorted(one.latents) for one in concepts(stack)}
    assert labels["Hers"] == sorted(first.latents)
    assert labels["His"] == sorted(second.latents)


@pytest.mark.parametrize(
    ("arguments", "code", "named"),
    [
        (["no-such-concept", "--reject"], 3, "no-such-concept"),
        (["no-such-concept"], 2, "exactly one"),
    ],
)
def test_a_wrong_edit_is_one_readable_line_and_is_not_logged(
    stack: Stack, arguments: list[str], code: int, named: str
):
    before = stack.cli_json("concepts", "edits", "--release", RELEASE)
    done = stack.cli("concepts", "edit", *arguments, "--release", RELEASE)
    assert done.returncode == code
    assert named in done.stderr
    assert done.stderr.count("\n") == 1
    assert stack.cli_json("concepts", "edits", "--release", RELEASE) == before


def test_people_are_asked_about_a_release_and_their_answers_are_read(stack: Stack, tmp_path: Path):
    out = tmp_path / "survey"
    done = stack.cli_json("survey", "export", "--release", RELEASE, "--n", "4", "--out", str(out))
    key = json.loads((out / "key.json").read_text())
    assert done["survey"] == key["survey_id"]
    assert len(key["questions"]) == done["questions"] == 4
    assert key["survey_id"] in (out / "survey.html").read_text()
    lines = ["survey,rater,question,case,answer"]
    for question in key["questions"]:
        # Who knows the truth answers it, but for the last question.
        right = question["question"] != 4
        lines += [
            f"{key['survey_id']},ann,{question['question']},{case['case']},"
            + ("yes" if case["fires"] == right else "no")
            for case in question["cases"]
        ]
    path = tmp_path / "answers-ann.csv"
    path.write_text("\n".join(lines) + "\n")
    result = stack.cli_json("survey", "import", str(out / "key.json"), str(path))
    assert [one["balanced_accuracy"] for one in result["concepts"]] == [1, 1, 1, 0]
    assert result["krippendorff_alpha"] is None
    assert json.loads((out / "survey-result.json").read_text()) == result
