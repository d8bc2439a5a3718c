"""What edits did to an answer, and concepts as messages, worked out by hand."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
from served_by_hand import SERVED

from reclens.api.inference.v1 import inference_pb2 as inference
from reclens.api.steering.v1 import steering_pb2 as pb
from reclens.concepts.labels.concepts import group_concepts
from reclens.contracts.tables.concepts import Judgement, LatentLabel
from reclens.steering.wire import named_concepts
from reclens_gateway.calls.answers import add_effect, concept_message
from reclens_gateway.resolving import ResolvedRequest

NOIR = pb.Edit(concept_id="noir", add=0.4)


def effect(
    answer: inference.RankResponse, *edits: pb.Edit, top_k: int = 4, unknown: int = 0
) -> pb.Effect:
    out = pb.Effect()
    asked = ResolvedRequest(inference.RankRequest(top_k=top_k), edits, unknown)
    add_effect(SERVED, asked, answer, out)
    return out


def ranked(items, scores, ranks, before) -> inference.RankedItems:
    return inference.RankedItems(
        items=items, scores=scores, baseline_ranks=ranks, baseline_scores=before
    )


def test_effect_of_a_push() -> None:
    answer = inference.RankResponse(
        # Untouched: 1, 3, 2, 9. Of the answer, 2 was third, and 8 and 4 come from far below.
        ranked=ranked([8, 2, 1, 4], [4, 3, 2, 1], [7, 3, 1, 11], [0.5, 2, 2.5, -1]),
        baseline_items=[1, 3, 2, 9],
        relative_shift=0.4,
        edited_latents=2,
        idle_edits=[inference.IdleEdit(index=1, reason="silent")],
    )
    told = effect(answer, NOIR, pb.Edit(concept_id="comedy", add=0), unknown=3)
    assert told.overlap == 0.5
    assert told.entered_items == 2
    assert told.score_shift == pytest.approx((10 - 4) / 4)
    # 7 - 1, 3 - 2, 1 - 3 and 11 - 4.
    assert told.mean_rank_gain == pytest.approx((6 + 1 - 2 + 7) / 4)
    assert told.largest_rank_gain == 7
    assert told.relative_shift == pytest.approx(0.4)
    assert (told.edited_latents, told.unknown_excluded_items, told.missing_items) == (2, 3, 0)
    assert list(told.idle_edits) == [pb.IdleEdit(index=1, reason="silent")]
    assert list(told.concept_hits) == [
        pb.ConceptHits(concept_id="noir", label="Noir", before=1, after=3),
        pb.ConceptHits(concept_id="comedy", label="Comedy", before=2, after=0),
    ]


def test_largest_gain_may_be_a_loss() -> None:
    answer = inference.RankResponse(
        ranked=ranked([1, 2, 3], [3, 2, 1], [4, 3, 1], [0, 0, 0]), baseline_items=[3, 5, 2]
    )
    answer.ranked.baseline_ranks[2] = 1
    assert effect(answer, NOIR, top_k=3).largest_rank_gain == 3
    answer.ranked.baseline_ranks[:] = [2, 1, 1]
    assert effect(answer, NOIR, top_k=3).largest_rank_gain == -2


def test_places_that_are_not_known_are_no_gain() -> None:
    answer = inference.RankResponse(
        ranked=ranked([8, 2, 1], [4, 3, 2], [0, 5, 2], [0, 0, 0]), baseline_items=[1, 3, 4]
    )
    told = effect(answer, NOIR, top_k=3)
    # 5 - 2 and 2 - 3.
    assert (told.mean_rank_gain, told.largest_rank_gain) == (1, 3)
    answer.ranked.baseline_ranks[:] = [0, 0, 0]
    told = effect(answer, NOIR, top_k=3)
    assert (told.mean_rank_gain, told.largest_rank_gain) == (0, 0)


def test_untouched_answer_has_no_effect() -> None:
    answer = inference.RankResponse(ranked=ranked([5, 7], [2, 1], [1, 2], [2, 1]))
    assert effect(answer, top_k=2) == pb.Effect(overlap=1)


def test_short_and_empty_answers() -> None:
    short = inference.RankResponse(ranked=ranked([5], [2], [1], [2]), baseline_items=[5, 7])
    told = effect(short, NOIR)
    assert (told.overlap, told.missing_items) == (0.5, 3)
    told = effect(inference.RankResponse(), top_k=4)
    assert (told.overlap, told.missing_items, told.entered_items) == (1, 4, 0)


def test_concepts_are_named_once_by_targets_and_parts_of_blends() -> None:
    parts = [pb.BlendPart(concept_id="b", weight=1), pb.BlendPart(latent=3, weight=1)]
    edits = [
        pb.Edit(concept_id="a", scale=2),
        pb.Edit(latent=9, add=1),
        pb.Edit(blend=pb.Blend(parts=[*parts, pb.BlendPart(concept_id="a", weight=-1)]), add=1),
    ]
    assert list(named_concepts(edits)) == ["a", "b"]


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
