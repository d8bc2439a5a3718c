"""Several groups of latents as one direction, worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hand_dictionary import P99, SAE
from steered_batch import SteeredBatch, steer

from reclens.steering import LatentEdit, LatentGroup, Operation, Unit

X = torch.tensor([[3.0, 4.0]])  # |x| = 5


def blend(
    *groups: LatentGroup, strength: float = 1.0, unit: Unit = Unit.INPUT_NORM
) -> SteeredBatch:
    return steer(X, SAE, P99, [LatentEdit(groups, Operation.ADD, strength, unit)])


def test_each_group_counts_with_length_one_times_its_share() -> None:
    # Latents 0 and 1 have p99 2 and 4, weights 9 and 0.1: as groups they are (1, 0) and (0, 1),
    # shares 3 and 4 make (3, 4), normalised (0.6, 0.8), and |x| = 5 of it is moved.
    groups = LatentGroup((0,), (9.0,), 3.0), LatentGroup((1,), (0.1,), 4.0)
    torch.testing.assert_close(blend(*groups).x, torch.tensor([[6.0, 8.0]]))


def test_activations_move_by_what_the_direction_needs() -> None:
    groups = LatentGroup((0,), (9.0,), 3.0), LatentGroup((1,), (0.1,), 4.0)
    steered = blend(*groups)
    moves = dict(zip(steered.latents.tolist(), (steered.after - steered.before)[0], strict=True))
    # The scale is 2: x moves by (3, 4) where the activations move by half of it.
    assert float(moves[0]) == pytest.approx(1.5)
    assert float(moves[1]) == pytest.approx(2.0)


def test_latents_within_a_group_keep_the_proportions_of_weight_times_p99() -> None:
    # Within the first group weight x p99 = (3, 4), so its direction is (0.6, 0.8); the second
    # takes latent 2, which points to (-1, 0): with share 0.6 it leaves (0, 0.8), that is (0, 1).
    groups = LatentGroup((0, 1), (1.5, 1.0)), LatentGroup((2,), (7.0,), 0.6)
    torch.testing.assert_close(blend(*groups).x, torch.tensor([[3.0, 9.0]]))


def test_negative_share_moves_away() -> None:
    moved = blend(LatentGroup((3,), (1.0,), -2.0)).x
    torch.testing.assert_close(moved, torch.tensor([[0.0, 0.0]]), atol=1e-6, rtol=0)


def test_latent_of_two_groups_is_pushed_by_both() -> None:
    # (1, 0) twice is 2, (0, 1) once: (2, 1) / sqrt 5.
    groups = LatentGroup((0,)), LatentGroup((0,)), LatentGroup((1,))
    expected = torch.tensor([[3 + 10 / math.sqrt(5), 4 + 5 / math.sqrt(5)]])
    torch.testing.assert_close(blend(*groups).x, expected)


def test_shares_say_nothing_in_units_of_p99() -> None:
    # Latent 0 by 0.5 * 3 * 2 = 3, latent 1 by 0.5 * 1 * 4 = 2, times the scale 2.
    groups = LatentGroup((0,), (3.0,), 50.0), LatentGroup((1,), (1.0,), -3.0)
    moved = blend(*groups, strength=0.5, unit=Unit.P99).x
    torch.testing.assert_close(moved, torch.tensor([[9.0, 8.0]]))


@pytest.mark.parametrize(
    "groups",
    [
        (LatentGroup((0,)), LatentGroup((2,))),  # (1, 0) and (-1, 0)
        (LatentGroup((0,), share=0.0), LatentGroup((1,), share=0.0)),
        (LatentGroup((0, 2), (0.5, 1.0)),),
    ],
    ids=["groups", "no-shares", "latents"],
)
def test_directions_that_cancel_leave_the_edit_idle(groups: tuple[LatentGroup, ...]) -> None:
    steered = blend(*groups)
    assert steered.x is X
    assert "cancel" in steered.idle[0].reason


def test_group_that_cancels_by_itself_leaves_the_others() -> None:
    groups = LatentGroup((0, 2), (0.5, 1.0), 5.0), LatentGroup((1,))
    torch.testing.assert_close(blend(*groups).x, torch.tensor([[3.0, 9.0]]))


def test_replacing_edits_take_the_latents_of_all_groups() -> None:
    edit = LatentEdit((LatentGroup((0,)), LatentGroup((1, 0))), Operation.ABLATE)
    steered = steer(X, SAE, P99, [edit])
    # (x - mean) / scale = (1, 2): both fire and both are silenced; nothing is left but the mean.
    np.testing.assert_allclose(steered.x.numpy(), [[1.0, 0.0]])
    assert edit.latents == (0, 1)
