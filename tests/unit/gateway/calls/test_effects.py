"""What edits did, in numbers worked by hand."""

from __future__ import annotations

import pytest
from served_by_hand import SERVED

from reclens.api.inference.v1 import inference_pb2 as inference
from reclens.api.steering.v1 import steering_pb2 as pb
from reclens_gateway.calls.effects import add_effect, named_concepts
from reclens_gateway.resolving.requests import Asked

NOIR = pb.Edit(concept_id="noir", add=0.4)


def effect(
    answer: inference.RankResponse, *edits: pb.Edit, top_k: int = 4, unknown: int = 0
) -> pb.Effect:
    out = pb.Effect()
    asked = Asked(inference.RankRequest(top_k=top_k), edits, unknown)
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
