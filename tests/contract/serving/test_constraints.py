"""Constraints hold whatever the scores say, and the answer tells what they cost."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from reclens.client import SteeringClient, above, add_latent, below, more, when


@pytest.fixture
def client(sasrec):
    with SteeringClient(sasrec.gateway.address) as client:
        yield client


def untouched(sasrec) -> list[int]:
    """Unseen items of user 0, best first, by the model itself."""
    world = sasrec.world
    with torch.inference_mode():
        scores = world.model(world.batch(0))[0].numpy()
    seen = set(world.dataset.history(0).tolist())
    return [i for i in np.argsort(-scores, kind="stable").tolist() if i not in seen]


def rows(items) -> list[int]:
    return [int(item.item_id[5:]) for item in items]


def test_excluded_items_make_way_for_the_next(client, sasrec) -> None:
    order = untouched(sasrec)
    banned = [order[0], order[3]]
    answer = client.recommend(
        user_id="user-0", top_k=5, exclude=[f"item-{i}" for i in banned] + ["gone", "gone"]
    )
    assert rows(answer.items) == [i for i in order if i not in banned][:5]
    # Of the candidates that are left, so no place is lost to an excluded item.
    assert [item.baseline_rank for item in answer.items] == [1, 2, 3, 4, 5]
    assert answer.effect.unknown_excluded_items == 1
    assert (answer.effect.overlap, answer.effect.missing_items) == (1, 0)


def test_limit_of_a_tag_is_kept_by_both_answers(client, sasrec) -> None:
    order = untouched(sasrec)
    # Odd items of the planted data are dramas.
    expected, dramas = [], 0
    for item in order:
        dramas += item % 2
        if item % 2 == 0 or dramas <= 2:
            expected.append(item)
    answer = client.recommend(
        user_id="user-0",
        top_k=8,
        limits={"Drama": 2},
        edits=[more("comedy", 1.0)],
        include_baseline=True,
    )
    assert rows(answer.baseline) == expected[:8]
    assert sum(item % 2 for item in rows(answer.items)) <= 2
    kept = set(rows(answer.items)) & set(expected[:8])
    assert answer.effect.overlap == pytest.approx(len(kept) / 8)
    assert answer.effect.entered_items == 8 - len(kept)
    # Places are those of the whole ranking: a limit moves none.
    assert [item.baseline_rank for item in answer.baseline] == [
        order.index(item) + 1 for item in expected[:8]
    ]


def test_answer_says_how_many_items_it_is_short_of(client, sasrec) -> None:
    evens = [item for item in untouched(sasrec) if item % 2 == 0]
    answer = client.recommend(user_id="user-0", top_k=40, limits={"Drama": 0})
    assert rows(answer.items) == evens
    assert answer.effect.missing_items == 40 - len(evens)


def test_concept_hits_count_items_with_the_tag(client) -> None:
    answer = client.recommend(
        user_id="user-0", top_k=10, edits=[more("comedy", 1.0)], include_baseline=True
    )
    (hits,) = answer.effect.concept_hits
    # The label's keyword is no tag as items have it, so its evidence carries it.
    concept = client.concept("comedy")
    evidence = {item.item_id for item in concept.evidence}
    assert hits.before == sum(item.item_id in evidence for item in answer.baseline)
    assert hits.after == sum(item.item_id in evidence for item in answer.items)


def test_edit_applies_only_where_its_conditions_hold(client, sasrec) -> None:
    fires, silent = sasrec.world.firing[0], sasrec.world.silent[0]
    push = add_latent(fires, 1.0)
    held = client.recommend(user_id="user-0", edits=[when(push, above(fires), below(silent, 0.1))])
    assert held.effect.edited_latents == 1
    assert list(held.items) == list(client.recommend(user_id="user-0", edits=[push]).items)
    kept = client.recommend(user_id="user-0", edits=[when(push, above(fires), above(silent))])
    assert [idle.index for idle in kept.effect.idle_edits] == [0]
    assert list(kept.items) == list(client.recommend(user_id="user-0").items)
