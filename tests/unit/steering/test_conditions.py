"""Edits that apply only where untouched activations say so."""

from __future__ import annotations

import math

import pytest
import torch
from hand_dictionary import P99, SAE
from steered_batch import steer
from torch import Tensor

from reclens.errors import InvalidInput
from reclens.steering import Comparison, LatentCondition, LatentEdit, LatentGroup, Operation
from reclens.steering.engine import Steering

ABOVE, BELOW = Comparison.ABOVE, Comparison.BELOW
# Activations of latents 0 and 1 are (x - (1, 0)) / 2, their p99 are 2 and 4.
X = torch.tensor([[5.0, 4.0], [3.0, 4.0], [1.0, 20.0]])
# In units of p99: latent 0 has 1, 0.5 and 0; latent 1 has 0.5, 0.5 and 2.5.


def when(*conditions: LatentCondition, latent: int = 3) -> LatentEdit:
    """Push ``latent`` by 2 p99 where the conditions hold: by (1.2, 1.6) for latent 3."""
    return LatentEdit((LatentGroup((latent,)),), Operation.ADD, 2.0, conditions=conditions)


def moved_rows(edit: LatentEdit) -> list[bool]:
    x = steer(X, SAE, P99, [edit]).x
    shift = torch.tensor([1.2, 1.6])
    for row in range(3):
        expected = X[row] + shift if not torch.equal(x[row], X[row]) else X[row]
        torch.testing.assert_close(x[row], expected)
    return [not torch.equal(x[row], X[row]) for row in range(3)]


def at(latents: int | tuple[int, ...], comparison: Comparison, level: float) -> LatentCondition:
    return LatentCondition(latents if isinstance(latents, tuple) else (latents,), comparison, level)


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ([at(0, ABOVE, 0.0)], [True, True, False]),
        ([at(0, ABOVE, 0.5)], [True, False, False]),  # strictly above
        ([at(0, BELOW, 0.5)], [False, False, True]),  # strictly below
        ([at(0, BELOW, 1.0)], [False, True, True]),
        ([at((0, 1), ABOVE, 0.9)], [True, False, True]),  # the most active counts
        ([at((0, 1), BELOW, 1.0)], [False, True, False]),
        ([at(0, ABOVE, 0.2), at(1, ABOVE, 0.4)], [True, True, False]),  # all must hold
        ([at(0, ABOVE, 0.2), at(1, ABOVE, 2.0)], [False, False, False]),
        ([at(2, BELOW, 0.1)], [True, True, True]),  # a silent latent is below
        ([], [True, True, True]),
    ],
)
def test_edit_applies_where_all_its_conditions_hold(
    conditions: list[LatentCondition], expected: list[bool]
) -> None:
    assert moved_rows(when(*conditions)) == expected


def test_conditions_see_untouched_activations_whatever_edits_came_before() -> None:
    silence = LatentEdit.of((0,), Operation.ABLATE)
    push = when(at(0, ABOVE, 0.9))
    both, alone = steer(X, SAE, P99, [silence, push]), steer(X, SAE, P99, [silence])
    torch.testing.assert_close(both.x[0] - alone.x[0], torch.tensor([1.2, 1.6]))
    assert torch.equal(both.x[1:], alone.x[1:])


def test_edit_that_does_not_apply_overrules_nothing_and_is_named() -> None:
    push = LatentEdit.of((0,), Operation.ADD, 1.0)
    silence = LatentEdit((LatentGroup((0,)),), Operation.ABLATE, conditions=(at(1, ABOVE, 2.0),))
    steering = Steering(SAE, P99)
    edited = [steering.edit(one, [push, silence]) for one in steering.encode(X)]
    assert [[(one.index, one.reason) for one in case.idle] for case in edited] == [
        [(1, "its condition does not hold here")],
        [(1, "its condition does not hold here")],
        # Latent 0 is silent in the last row, so silencing it takes the push back and adds nothing.
        [(0, "later edits replace it on every latent"), (1, "its latents do not fire here")],
    ]
    for row in (0, 1):
        expected = X[row] + torch.tensor([4.0, 0.0])
        torch.testing.assert_close(torch.from_numpy(edited[row].x), expected)


def test_latent_that_never_fired_is_compared_as_it_is() -> None:
    p99 = torch.tensor([0.0, 4.0, 1.0, 0.5])
    for level, expected in ((1.9, True), (2.1, False)):
        x: Tensor = steer(X[:1], SAE, p99, [when(at(0, ABOVE, level))]).x
        assert torch.equal(x, X[:1]) is not expected


@pytest.mark.parametrize("level", [math.nan, math.inf, -0.1, 100.5])
def test_level_that_is_no_level_is_refused(level: float) -> None:
    with pytest.raises(InvalidInput) as caught:
        LatentCondition((0,), ABOVE, level)
    assert caught.value.field == "level"


def test_condition_outside_the_dictionary_is_refused_by_name() -> None:
    with pytest.raises(InvalidInput, match="latent 9 does not exist") as caught:
        steer(X, SAE, P99, [when(), when(at(0, ABOVE, 1.0), at((1, 9), BELOW, 1.0))])
    assert caught.value.field == "edits[1].conditions[1].latents[1]"


def test_too_many_conditions_are_refused() -> None:
    with pytest.raises(InvalidInput, match="11 conditions") as caught:
        when(*[at(0, ABOVE, 0.0)] * 11)
    assert caught.value.field == "conditions"
