"""Proposals move answers towards what they were asked for, and can be sent as they are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from reclens.api.steering.v1 import steering_pb2 as pb
from reclens.client import SteeringClient
from reclens.errors import InvalidInput, NotFound


@pytest.fixture
def client(sasrec):
    with SteeringClient(sasrec.gateway.address) as client:
        yield client


def own_scores(sasrec, moved: np.ndarray) -> np.ndarray:
    """What a move of the representation adds to the score of each item."""
    return sasrec.world.model.item_weights().detach().numpy() @ moved


def direction(sasrec, edit: pb.Edit) -> np.ndarray:
    """Where the parts of a blend of latents push, each of length 1 times its weight."""
    rows = sasrec.world.sae.W_dec.detach().numpy()
    pushes = [
        part.weight * rows[part.latent] / np.linalg.norm(rows[part.latent])
        for part in edit.blend.parts
    ]
    return np.sum(pushes, axis=0)


def test_examples_gain_more_than_others_and_disliked_ones_less(client, sasrec) -> None:
    liked, disliked = ["item-4", "item-8", "item-12"], ["item-5", "item-9"]
    proposed = client.propose_edit(liked=liked, disliked=disliked)
    gains = own_scores(sasrec, direction(sasrec, proposed.edit))
    of = [gains[[int(name[5:]) for name in names]].mean() for names in (liked, disliked)]
    assert of[0] > gains.mean() > of[1]
    assert proposed.edit.add == pytest.approx(0.2)
    assert 0 < proposed.alignment <= 1 + 1e-6
    assert [(part.latent, part.weight) for part in proposed.parts] == [
        (part.latent, part.weight) for part in proposed.edit.blend.parts
    ]
    weights = [abs(part.weight) for part in proposed.parts]
    assert weights == sorted(weights, reverse=True)
    assert weights[0] == 1
    assert {entry.item.item_id: entry.weight for entry in proposed.items} == {
        **dict.fromkeys(liked, 1),
        **dict.fromkeys(disliked, -1),
    }


def test_more_latents_come_closer(client) -> None:
    few, many = (
        client.propose_edit(liked=["item-4", "item-8"], max_latents=n).alignment for n in (1, 16)
    )
    assert few < many


def test_proposal_can_be_sent_and_does_what_it_says(client) -> None:
    proposed = client.propose_edit("comedies")
    # Even items of the planted data are comedies.
    assert {int(entry.item.item_id[5:]) % 2 for entry in proposed.items} == {0}
    before = client.recommend(user_id="user-0", top_k=40, include_seen=True)
    after = client.recommend(user_id="user-0", top_k=40, include_seen=True, edits=[proposed.edit])
    own, steered = ({item.item_id: item.score for item in one.items} for one in (before, after))
    assert own.keys() == steered.keys()
    moves = np.array([steered[name] - own[name] for name in own])
    assert moves.std() == pytest.approx(0.2 * np.std(list(own.values())), rel=1e-3)
    few = client.recommend(user_id="user-0", top_k=10, include_seen=True, edits=[proposed.edit])
    assert comedies(few.items) >= comedies(before.items[:10])
    assert few.effect.mean_rank_gain > 0


def comedies(items: Sequence[pb.Recommendation]) -> int:
    return sum("Comedy" in item.tags for item in items)


def test_trusted_only_uses_trusted_latents(client, sasrec) -> None:
    proposed = client.propose_edit(liked=["item-4"], trusted_only=True)
    assert [(part.latent, part.concept_id, part.trusted) for part in proposed.parts] == [
        (sasrec.world.firing[0], "film-noir", True)
    ]
    assert proposed.parts[0].confidence == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("options", "kind", "field"),
    [
        ({"text": "xylophones"}, NotFound, "text"),
        ({"text": "..."}, InvalidInput, "text"),
        ({"text": "x" * 1001}, InvalidInput, "text"),
        ({"liked": ["item-1", "gone"]}, NotFound, "examples.liked_item_ids[1]"),
        ({"liked": ["item-1"] * 1001}, InvalidInput, "examples.liked_item_ids"),
        (
            {"liked": ["item-1"], "disliked": ["item-2", "item-1"]},
            InvalidInput,
            "examples.disliked_item_ids[1]",
        ),
        # All items of the planted data are the one or the other.
        ({"text": "comedies or dramas"}, InvalidInput, "text"),
        ({"text": "comedy", "max_latents": 65}, InvalidInput, "max_latents"),
        ({"text": "comedy", "release": "nope"}, NotFound, "release"),
    ],
)
def test_what_cannot_be_proposed_names_its_field(client, options, kind, field) -> None:
    with pytest.raises(kind) as caught:
        client.propose_edit(options.pop("text", None), **options)
    assert caught.value.field == field


def test_nothing_to_move_towards_is_refused(sasrec, client) -> None:
    with pytest.raises(InvalidInput):
        client.propose_edit()
    for request in (pb.ProposeEditRequest(), pb.ProposeEditRequest(examples=pb.Examples())):
        call = sasrec.steering.ProposeEdit.future(request, timeout=10)
        assert call.code().name == "INVALID_ARGUMENT"
