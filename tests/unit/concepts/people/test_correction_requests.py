"""What people may ask for, and what becomes of it."""

from __future__ import annotations

import pytest

from reclens.concepts.labels.concepts import group_concepts
from reclens.concepts.people.corrections import make_correction
from reclens.contracts import ConceptCorrection
from reclens.contracts.tables.concepts import LatentLabel
from reclens.errors import InvalidInput, InvalidSpec, NotFound

CONCEPTS = group_concepts(
    LatentLabel(latent, concept_id=label.lower(), label=label, confidence=0.5 + latent / 10)
    for latent, label in enumerate(["Horror", "Drama", "Horror", "War"])
)
AT = "2026-01-01T00:00:00+00:00"


def made(log=(), **fields) -> ConceptCorrection:
    asked = {"concept_id": "horror", "author": "ann", "at": AT, **fields}
    return make_correction(concepts=CONCEPTS, log=log, **asked)


def test_a_rename_is_about_the_latents_of_the_concept():
    assert made(rename="Slashers", reason="they are") == ConceptCorrection(
        operation="rename",
        concept_id="horror",
        was="Horror",
        latents=(0, 2),
        name="Slashers",
        author="ann",
        reason="they are",
        at=AT,
    )


def test_a_merge_is_about_all_latents_and_keeps_the_name_unless_one_is_given():
    edit = made(merge=("drama", "war"))
    assert (edit.operation, edit.latents, edit.name) == ("merge", (0, 1, 2, 3), "Horror")
    assert made(merge=("war",), rename="Dark").name == "Dark"
    assert made(merge=("war",), rename="War").name == "War"


def test_a_description_alone_keeps_the_name():
    edit = made(description="Blood.")
    assert (edit.operation, edit.name, edit.description) == ("rename", "Horror", "Blood.")


def test_what_people_type_is_cleaned():
    edit = made(rename="  Slash\x1b[31m\ners\u202e ", reason="a\nb")
    assert edit.name == "Slash[31m ers"
    assert edit.reason == "a b"


def test_what_is_gone_is_restored_by_the_id_that_it_had():
    rejected = made(reject=True).model_copy(update={"concept_id": "noir", "latents": (5, 6)})
    edit = made(log=(rejected,), concept_id="noir", restore=True)
    assert (edit.operation, edit.was, edit.latents) == ("restore", "Horror", (5, 6))
    with pytest.raises(NotFound, match="'noire'"):
        made(log=(rejected,), concept_id="noire", restore=True)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"rename": "X", "reject": True},
        {"reject": True, "restore": True},
        {"merge": ("war",), "restore": True},
        {"description": "X", "reject": True},
    ],
)
def test_exactly_one_thing_is_done(fields):
    with pytest.raises(InvalidInput, match="exactly one"):
        made(**fields)


@pytest.mark.parametrize("name", ["War", "war", "WAR!", "dráma"])
def test_a_name_that_another_concept_has_is_refused(name):
    with pytest.raises(InvalidInput, match=r"(?s)already.*--merge"):
        made(rename=name)


def test_a_name_needs_letters_and_a_concept_is_not_merged_with_itself():
    with pytest.raises(InvalidInput, match="can be read"):
        made(rename="\u200b ")
    with pytest.raises(InvalidInput, match="with itself"):
        made(merge=("horror",))


def test_an_unknown_concept_is_refused_with_one_that_is_near():
    with pytest.raises(NotFound, match=r"(?s)concept_id: .*did you mean horror"):
        made(concept_id="horor", reject=True)
    with pytest.raises(NotFound, match="merge: "):
        made(merge=("wars",))


@pytest.mark.parametrize(
    "fields",
    [
        {"operation": "rename"},
        {"operation": "reject", "name": "X"},
        {"operation": "reject", "latents": []},
        {"operation": "reject", "latents": [2, 1]},
        {"operation": "reject", "latents": [1, 1]},
        {"operation": "reject", "latents": [-1]},
        {"operation": "rename", "name": ""},
        {"operation": "rename", "name": "x" * 121},
        {"operation": "delete"},
    ],
)
def test_an_edit_that_makes_no_sense_is_no_edit(fields):
    base = {"concept_id": "c", "was": "C", "latents": [1], "author": "ann", "at": AT}
    with pytest.raises(InvalidSpec):
        ConceptCorrection.parse({**base, **fields})
