"""Pushes measured by what they do to scores, worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from hand_dictionary import P99, SAE
from steered_batch import SteeredBatch, steer

from reclens.steering import LatentEdit, LatentGroup, Operation, Unit
from reclens.steering.engine import Steering
from reclens.steering.scores import ScoreSpread

# Mean 0, covariance diag(2, 1/2).
ITEMS = torch.tensor([[2.0, 0.0], [-2.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
# Scores 6, -6, 4 and -4: their standard deviation is sqrt 26.
X = torch.tensor([[3.0, 4.0]])


def push(*groups: LatentGroup, strength: float = 1.0, unit: Unit = Unit.SCORE_SPREAD) -> LatentEdit:
    return LatentEdit(groups, Operation.ADD, strength, unit)


def run(*edits: LatentEdit, x: torch.Tensor = X, items: torch.Tensor = ITEMS) -> SteeredBatch:
    return steer(x, SAE, P99, edits, spread=ScoreSpread(items))


@pytest.mark.parametrize("strength", [1.0, -0.5])
def test_one_direction_is_as_long_as_the_users_own_spread_asks_for(strength: float) -> None:
    # Along (0.6, 0.8) scores spread by sqrt(0.36 * 2 + 0.64 / 2) = sqrt 1.04: 5 of it are sqrt 26.
    moved = run(push(LatentGroup((3,)), strength=strength)).x - X
    torch.testing.assert_close(moved, strength * torch.tensor([[3.0, 4.0]]))
    # Along (1, 0) by sqrt 2 each.
    moved = run(push(LatentGroup((0,), share=7.0), strength=strength)).x - X
    torch.testing.assert_close(moved, strength * torch.tensor([[math.sqrt(13), 0.0]]))


def test_scores_change_by_so_many_of_their_own_standard_deviations() -> None:
    own = (X @ ITEMS.T).std(correction=0)
    for latent in range(4):
        added = (run(push(LatentGroup((latent,)), strength=0.3)).x - X) @ ITEMS.T
        assert float(added.std(correction=0)) == pytest.approx(0.3 * float(own))


def test_several_groups_are_blended_by_length_and_measured_together() -> None:
    # (1, 0) and (0, 1) with shares 3 and 4 are (0.6, 0.8), as above.
    blended = push(LatentGroup((0,), (9.0,), 3.0), LatentGroup((1,), (0.1,), 4.0))
    torch.testing.assert_close(run(blended).x, torch.tensor([[6.0, 8.0]]))


def test_edits_in_different_units_add_up() -> None:
    steered = run(
        LatentEdit.of((1,), Operation.ADD, 0.25),  # 0.25 * 4, times the scale 2, along (0, 1)
        push(LatentGroup((0,)), strength=0.4, unit=Unit.INPUT_NORM),  # 0.4 * 5 along (1, 0)
        push(LatentGroup((3,))),  # (3, 4)
    )
    torch.testing.assert_close(steered.x, torch.tensor([[8.0, 10.0]]))
    assert not steered.idle


def test_direction_that_changes_no_order_is_idle() -> None:
    flat = ITEMS[:2]
    steered = run(push(LatentGroup((1,))), push(LatentGroup((0,))), x=X, items=flat)
    # Scores 6 and -6 spread by 6, (1, 0) by 2.
    torch.testing.assert_close(steered.x, torch.tensor([[6.0, 4.0]]))
    assert [idle.index for idle in steered.idle] == [0]
    assert "change no order" in steered.idle[0].reason


def test_user_whose_scores_are_all_alike_is_not_moved() -> None:
    x = torch.tensor([[0.0, 4.0]])
    steered = run(push(LatentGroup((0,))), x=x, items=ITEMS[:2])
    assert steered.x is x
    assert "all alike" in steered.idle[0].reason


def test_directions_that_cancel_are_idle() -> None:
    steered = run(push(LatentGroup((0,)), LatentGroup((2,))))
    assert steered.x is X
    assert "cancel" in steered.idle[0].reason


def test_where_scores_are_not_known_the_norm_stands_for_their_spread() -> None:
    edit = push(LatentGroup((3,)), strength=0.4)
    # 0.4 * 5 along (0.6, 0.8).
    torch.testing.assert_close(steer(X, SAE, P99, [edit]).x, torch.tensor([[4.2, 5.6]]))


def test_bits_of_a_case_do_not_depend_on_the_others() -> None:
    torch.manual_seed(0)
    steering = Steering(SAE, P99, ScoreSpread(torch.randn(50, 2)))
    x = torch.randn(9, 2)
    edits = [push(LatentGroup((3,)), LatentGroup((0,)), strength=0.37)]
    for row, one in enumerate(steering.encode(x)):
        (alone,) = steering.encode(x[row : row + 1].clone())
        edited = steering.edit(alone, edits)
        assert edited.x.tobytes() == steering.edit(one, edits).x.tobytes()
        assert edited.changed


def test_a_sum_of_directions_as_one_group() -> None:
    steering = Steering(SAE, P99, ScoreSpread(ITEMS))
    # (0, 1) with share 1 and (1, 0) with share 0.5: over p99s of 4 and 2, 0.25 each.
    assert steering.group_weights([1, 0], [1.0, 0.5]) == [1.0, 1.0]
    # (0.6, 0.8) has p99 0.5: 2 times its share, and (-1, 0) with p99 1.
    assert steering.group_weights([3, 2], [1.0, -1.0]) == pytest.approx([1.0, -0.5])
    assert steering.group_weights([], []) == []
    weights = tuple(steering.group_weights([3, 2], [1.0, -1.0]))
    one = run(push(LatentGroup((3, 2), weights)))
    several = run(push(LatentGroup((3,), share=1.0), LatentGroup((2,), share=-1.0)))
    torch.testing.assert_close(one.x, several.x)


def test_latents_that_never_fire_cannot_be_pushed() -> None:
    steering = Steering(SAE, torch.tensor([2.0, 0.0, 1.0, 0.0]))
    # What does not exist is for others to refuse.
    assert steering.without_dead([3, 0, 1, 2, 7]) == [0, 2, 7]
