"""Concepts as messages."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from reclens.api.steering.v1 import steering_pb2 as pb
from reclens.concepts.labels.concepts import group_concepts
from reclens.contracts.tables.concepts import Judgement, LatentLabel
from reclens_gateway.calls.concept_answers import concept_message

SERVED: Any = None  # only the titles of evidence are read from it, and there is no evidence
LABEL = LatentLabel(3, concept_id="noir", label="Film-Noir")
JUDGEMENT = Judgement(
    judge="embedding",
    confidence=0.75,
    precision=0.7,
    recall=0.6,
    recall_low=0.5,
    recall_high=0.7,
    specificity=0.9,
    specificity_low=0.8,
    specificity_high=0.95,
    auroc=0.85,
    paper_p=0.8,
    n_positive=40,
    n_negative=41,
    trusted=True,
)


def message(*rows: LatentLabel) -> pb.Concept:
    (concept,) = group_concepts(rows)
    return concept_message(SERVED, concept)


def test_unknown_is_no_figure_of_nought() -> None:
    unknown = message(LABEL)
    assert (unknown.measured, unknown.trusted, unknown.confidence) == (False, False, 0.0)
    nought = message(replace(LABEL, confidence=0.0, concept_confidence=0.0, concept_auroc=0.0))
    assert (nought.measured, nought.trusted, nought.confidence) == (True, False, 0.0)


def test_trust_and_area_are_those_of_the_concept_as_a_whole() -> None:
    row = replace(LABEL, confidence=0.6, trusted=False, auroc=0.5)
    whole = message(replace(row, concept_confidence=0.8, concept_auroc=0.875, concept_trusted=True))
    assert (whole.measured, whole.trusted, whole.auroc) == (True, True, 0.875)


def test_judgements_are_those_of_the_most_confident_latent() -> None:
    weak = replace(LABEL, confidence=0.6, judgements=(replace(JUDGEMENT, confidence=0.6),))
    strong = replace(LABEL, latent=9, confidence=0.75, judgements=(JUDGEMENT,))
    concept = message(weak, strong)
    assert list(concept.latents) == [9, 3]
    (judgement,) = concept.judgements
    assert judgement.confidence == 0.75
    assert (judgement.recall_high, judgement.specificity_high) == (0.7, 0.95)


def test_every_figure_of_a_judgement_but_the_published_one_has_a_field() -> None:
    said = {field.name for field in pb.Judgement.DESCRIPTOR.fields}
    known = {field.name for field in fields(Judgement)}
    assert known - said == {"paper_p", "shuffled_paper_p"}
    assert said <= known


def test_a_control_of_nought_is_told_from_no_control() -> None:
    judged = replace(JUDGEMENT, shuffled_confidence=0.0)
    (judgement,) = message(replace(LABEL, confidence=0.75, judgements=(judged,))).judgements
    assert judgement.HasField("shuffled_confidence")
    assert not judgement.HasField("shuffled_auroc")
