"""People's edits over the machine's labels, worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from reclens.concepts.judging.confidence import JudgedCases, judgement_of
from reclens.concepts.labels.concepts import group_concepts
from reclens.concepts.people.corrections import apply_corrections, corrected_metrics
from reclens.contracts import ConceptCorrection
from reclens.contracts.tables.concepts import Judgement, LatentLabel
from reclens.errors import InvalidInput


def row(latent: int, label: str | None, confidence: float | None = 0.8) -> LatentLabel:
    """A row as the machine makes it; its concept's confidence is 0.9."""
    if label is None:
        return LatentLabel(latent, description="No term stands out in what it fires for.")
    return LatentLabel(
        latent,
        concept_id=label.lower(),
        label=label,
        description=f"Fires when {label} is recommended.",
        keywords=(label,),
        confidence=confidence,
        trusted=confidence is not None and confidence >= 0.7,
        concept_confidence=0.9,
        concept_n_positive=50,
        concept_trusted=True,
        evidence_items=("i1", "i2"),
        source="llm",
        model="m",
        prompt_version="label-1",
    )


MACHINE = [row(0, "Horror", 0.6), row(1, "Drama"), row(2, "Horror"), row(3, None), row(4, "War")]


def edit(operation: str, *latents: int, **fields) -> ConceptCorrection:
    values = {"concept_id": "c", "was": "C", "author": "ann", "at": "2026-01-01T00:00:00+00:00"}
    return ConceptCorrection.parse({"operation": operation, "latents": latents, **values, **fields})


def judgement(right: tuple[int, int], of: tuple[int, int], auroc: float) -> Judgement:
    """What is right of so many firing and so many silent cases."""
    fires = np.repeat([True, False], of)
    correct = np.concatenate([np.arange(n) < k for k, n in zip(right, of, strict=True)])
    judged = JudgedCases(np.arange(sum(of)), fires)
    return judgement_of("keywords", fires == correct, judged, auroc, None)


class Measured:
    """Notes what it is asked, and answers with 3 of 4 firing and 4 of 4 silent cases."""

    def __init__(self) -> None:
        self.asked: list[tuple[list[int], list[str]]] = []

    def __call__(self, rows):
        words = [word for one in rows for word in one.keywords]
        self.asked.append(([one.latent for one in rows], words))
        return judgement((3, 4), of=(4, 4), auroc=0.75)


def applied(*edits: ConceptCorrection, rows=MACHINE):
    measure = Measured()
    return apply_corrections(rows, edits, measure), measure.asked


def test_no_edit_changes_nothing():
    assert applied() == (MACHINE, [])


def test_a_renamed_concept_keeps_keywords_and_figures_and_says_whose_they_are():
    rows, asked = applied(edit("rename", 0, 2, name="Slashers"))
    assert asked == []
    assert [rows[latent] for latent in (1, 3, 4)] == [MACHINE[latent] for latent in (1, 3, 4)]
    for latent in (0, 2):
        assert rows[latent] == replace(
            MACHINE[latent],
            concept_id="slashers",
            label="Slashers",
            source="human",
            model=None,
            prompt_version=None,
            trusted=False,
            concept_trusted=False,
            description="Named by ann; figures are those of the machine's label 'Horror'.",
        )


def test_a_description_that_people_give_stands_first():
    rows, _ = applied(edit("rename", 1, name="Sad", description="It ends badly."))
    assert rows[1].description.startswith("It ends badly. Named by ann; ")


def test_merged_concepts_are_one_and_are_measured_on_all_their_latents():
    rows, asked = applied(edit("merge", 0, 1, 2, name="Dark"))
    assert asked == [([0, 1, 2], ["Horror", "Drama", "Horror"])]
    (dark,) = (one for one in group_concepts(rows) if one.concept_id == "dark")
    assert set(dark.latents) == {0, 1, 2}
    assert dark.label == "Dark"
    assert dark.keywords == ("Drama", "Horror")
    assert (dark.confidence, dark.recall, dark.auroc) == (0.875, 0.75, 0.75)
    assert (dark.n_positive, dark.n_negative) == (4, 4)
    # 3 of 4 and 4 of 4: the lower Wilson bounds .301 and .510 do not sum to more than 1.
    assert not dark.trusted
    assert "machine's labels 'Drama' and 'Horror'" in dark.description
    assert [rows[latent].confidence for latent in (0, 1, 2)] == [0.6, 0.8, 0.8]


def test_a_name_that_nobody_measured_is_not_trusted_until_it_is_restored():
    assert [one.trusted for one in MACHINE] == [False, True, True, False, True]
    named = edit("rename", 1, name="Sad")
    rows, _ = applied(named, edit("merge", 2, 4, name="Dark"))
    for latent in (1, 2, 4):
        assert not rows[latent].trusted
        assert not rows[latent].concept_trusted
    assert rows[1].confidence == 0.8, "the figures stay the machine's"
    assert rows[1].concept_confidence == 0.9
    rows, _ = applied(named, edit("restore", 1))
    assert rows[1].trusted
    assert rows[1].concept_trusted


def test_a_concept_that_is_clearly_told_by_its_keywords_is_not_trusted_for_a_name():
    clear = judgement((90, 90), of=(100, 100), auroc=0.9)
    rows = apply_corrections(MACHINE, [edit("merge", 1, 4, name="Dark")], lambda _: clear)
    assert rows[1].concept_confidence == 0.9
    assert [rows[latent].concept_trusted for latent in (1, 4)] == [False, False]
    # The machine's own concept, less one of its latents, keeps its name.
    rows = apply_corrections(MACHINE, [edit("rename", 0, name="Dark")], lambda _: clear)
    assert (rows[2].label, rows[2].concept_trusted) == ("Horror", True)


def test_a_description_of_the_machines_own_name_takes_no_trust_away():
    rows, _ = applied(edit("rename", 1, name="Drama", description="It ends badly."))
    assert rows[1].source == "human"
    assert rows[1].trusted
    assert rows[1].concept_trusted
    # Joined to others under its name it is another statement.
    rows, _ = applied(edit("merge", 1, 4, name="Drama"))
    assert not rows[1].trusted


def test_a_rejected_concept_has_no_label_and_says_who_and_why():
    rows, asked = applied(edit("reject", 0, 2, reason="It is any popular film"))
    assert asked == []
    for latent in (0, 2):
        assert rows[latent] == LatentLabel(
            latent,
            description="Rejected by ann: It is any popular film",
            evidence_items=("i1", "i2"),
            source="human",
        )
    assert {one.concept_id for one in group_concepts(rows)} == {"drama", "war"}


def test_of_several_edits_the_last_one_stands_and_a_restored_one_is_the_machines():
    rows, _ = applied(
        edit("rename", 1, name="Sad"), edit("reject", 1), edit("rename", 1, name="Sadder")
    )
    assert rows[1].label == "Sadder"
    rows, asked = applied(
        edit("merge", 0, 1, 2, name="Dark"), edit("rename", 4, name="X"), edit("restore", 0, 1, 2)
    )
    assert rows[:4] == MACHINE[:4]
    assert rows[4].label == "X"
    assert asked == []


def test_a_name_outlives_labels_that_come_after_it():
    log = edit("rename", 0, 2, name="Slashers")
    again = [row(0, "Scary"), row(1, "Scary"), row(2, None), row(3, "War"), row(4, "War")]
    rows, asked = applied(log, rows=again)
    assert [one.label for one in rows] == ["Slashers", "Scary", "Slashers", "War", "War"]
    # Neither is what the machine measured: 0 lost its neighbour 1 and got 2, which is unlabelled.
    assert asked == [([0, 2], ["Scary"]), ([1], ["Scary"])]
    slashers = next(one for one in group_concepts(rows) if one.concept_id == "slashers")
    assert set(slashers.latents) == {0, 2}
    assert slashers.confidence == 0.875
    assert rows[2].confidence is None
    assert rows[1].concept_confidence == 0.875


def test_where_the_machine_has_no_label_nothing_is_measured():
    again = [row(0, None), row(1, "Drama"), row(2, None)]
    rows, asked = applied(edit("rename", 0, 2, name="Slashers"), rows=again)
    assert asked == []
    assert rows[0].label == "Slashers"
    assert rows[0].concept_confidence is None
    assert rows[0].description == (
        "Named by ann; the machine has no label for it, so nothing was measured."
    )


def test_peoples_names_have_their_id_and_machines_concepts_give_way():
    rows = [row(0, "Horror"), row(1, "Drama"), replace(row(2, "Drama"), concept_id="drama-2")]
    edited, _ = applied(edit("rename", 0, name="DRAMA"), rows=rows)
    assert [one.concept_id for one in edited] == ["drama", "drama-3", "drama-2"]
    edited, _ = applied(edit("rename", 1, name="Noir!"), edit("rename", 0, name="noir"), rows=rows)
    assert [one.concept_id for one in edited] == ["noir-2", "noir", "drama-2"]


def test_a_log_of_a_larger_dictionary_is_refused():
    with pytest.raises(InvalidInput, match="latent 5 of 5"):
        applied(edit("reject", 5))


def test_the_metrics_count_what_the_edits_left():
    edits = [edit("reject", 1), edit("merge", 0, 2, 4, name="Dark")]
    rows, _ = applied(*edits)
    base = {"alive": 5, "labelled": 4, "construct_cases": 10, "shuffled_auroc_median": 0.5}
    assert corrected_metrics(base, rows, edits) == {
        "construct_cases": 10,
        "shuffled_auroc_median": 0.5,
        "alive": 5,
        "labelled": 3,
        "judged": 3,
        "distinct": 1,
        "trusted": 0,
        "balanced_accuracy_median": 0.8,
        "auroc_median": None,
        "edits": 2,
        "human": 1,
        "rejected_latents": 1,
    }
