"""Steering on a dictionary small enough to work out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from hand_dictionary import P99, SAE
from hypothesis import given, settings
from hypothesis import strategies as st
from steered_batch import SteeredBatch, steer
from torch import Tensor

from reclens.errors import InvalidInput
from reclens.steering.edits import LatentEdit, Mode, Operation, Unit

# (x - mean) / scale = (1, -0.5): latent 0 fires with 1, the rest is silent, and -0.5 e2 is the
# part that the dictionary does not explain: decode gives (3, 0), the error is (0, -1).
X = torch.tensor([[3.0, -1.0]])


def edit(
    latent: int | tuple[int, ...],
    operation: Operation,
    strength: float = 0.0,
    unit: Unit = Unit.P99,
    weights: tuple[float, ...] = (),
) -> LatentEdit:
    latents = (latent,) if isinstance(latent, int) else latent
    return LatentEdit.of(latents, operation, strength, unit, weights)


def run(*edits: LatentEdit, x: Tensor = X, mode: Mode = Mode.RESIDUAL) -> SteeredBatch:
    return steer(x, SAE, P99, edits, mode)


@pytest.mark.parametrize(
    ("edits", "expected"),
    [
        # SET: z0' = 1.5 * 2 = 3, from 1, moves by 2 * 2 e1.
        ([edit(0, Operation.SET, 1.5)], [7.0, -1.0]),
        ([edit(1, Operation.SET, 0.25)], [3.0, 1.0]),
        # SCALE: z0' = 3 moves by 2 * (3 - 1) e1.
        ([edit(0, Operation.SCALE, 3.0)], [7.0, -1.0]),
        # ADD: latent 2 by 2 p99 = 2 units of -e1, times the scale 2.
        ([edit(2, Operation.ADD, 2.0)], [-1.0, -1.0]),
        # ADD below zero is not clipped: z1' = -4.
        ([edit(1, Operation.ADD, -1.0)], [3.0, -9.0]),
        # The weight multiplies the unit.
        ([edit(1, Operation.ADD, -1.0, weights=(0.5,))], [3.0, -5.0]),
        # ABLATE: z0' = 0 takes 2 e1 away; the error (0, -1) stays.
        ([edit(0, Operation.ABLATE)], [1.0, -1.0]),
        # Several edits act together, each on the untouched activations.
        ([edit(0, Operation.ABLATE), edit(1, Operation.SET, 0.25)], [1.0, 1.0]),
        # ADDs accumulate: 1 + 0.5 * 2 + 0.5 * 2 = 3.
        ([edit(0, Operation.ADD, 0.5), edit(0, Operation.ADD, 0.5)], [7.0, -1.0]),
        # The later of two replacements wins.
        ([edit(0, Operation.ABLATE), edit(0, Operation.SET, 1.5)], [7.0, -1.0]),
        ([edit(0, Operation.SET, 1.5), edit(0, Operation.ABLATE)], [1.0, -1.0]),
        # SCALE measures the untouched activation, not what an earlier edit made of it.
        ([edit(0, Operation.SET, 1.5), edit(0, Operation.SCALE, 2.0)], [5.0, -1.0]),
        # An ADD after a replacement lands on it: 0 + 0.5 * 2 = 1.
        ([edit(0, Operation.ABLATE), edit(0, Operation.ADD, 0.5)], [3.0, -1.0]),
    ],
)
def test_edited_representation_is_what_the_hand_works_out(
    edits: list[LatentEdit], expected: list[float]
) -> None:
    torch.testing.assert_close(run(*edits).x, torch.tensor([expected]))


def test_push_in_units_of_the_input_moves_by_that_share_of_its_norm() -> None:
    x = torch.tensor([[3.0, 4.0]])  # |x| = 5
    steered = run(edit(3, Operation.ADD, 0.4, Unit.INPUT_NORM), x=x)
    # 0.4 * 5 = 2 along (0.6, 0.8), whatever the latent's p99 and the scale.
    torch.testing.assert_close(steered.x, torch.tensor([[4.2, 5.6]]))


def test_latents_of_one_push_keep_the_proportions_of_weight_times_p99() -> None:
    x = torch.tensor([[3.0, 4.0]])
    push = edit((0, 1), Operation.ADD, -1.0, Unit.INPUT_NORM, weights=(1.5, 1.0))
    # weight x p99 = (3, 4): the direction is (0.6, 0.8), the length 5, the sign negative.
    torch.testing.assert_close(run(push, x=x).x, torch.zeros(1, 2), atol=1e-6, rtol=0)


def test_no_edit_returns_the_very_same_object() -> None:
    assert run().x is X
    assert run(edit(1, Operation.SCALE, 5.0), edit(0, Operation.ADD, 0.0)).x is X


def test_rows_that_an_edit_does_not_change_keep_their_bits() -> None:
    x = torch.tensor([[3.0, -1.0], [-0.0, -1.0]])  # latent 0 is silent in the second row
    steered = run(edit(0, Operation.ABLATE), x=x)
    assert steered.x[0].tolist() == [1.0, -1.0]
    assert steered.x[1].numpy().tobytes() == x[1].numpy().tobytes()


def test_reconstruct_mode_drops_what_the_dictionary_does_not_explain() -> None:
    torch.testing.assert_close(run(mode=Mode.RECONSTRUCT).x, torch.tensor([[3.0, 0.0]]))
    edited = run(edit(1, Operation.SET, 0.25), mode=Mode.RECONSTRUCT)
    torch.testing.assert_close(edited.x, torch.tensor([[3.0, 2.0]]))


def test_activations_before_and_after_are_listed_by_latent() -> None:
    steered = run(edit(0, Operation.SCALE, 3.0), edit(3, Operation.ADD, 2.0))
    before = dict(zip(steered.latents.tolist(), steered.before[0].tolist(), strict=True))
    after = dict(zip(steered.latents.tolist(), steered.after[0].tolist(), strict=True))
    assert (before[0], before[3], after[0], after[3]) == (1.0, 0.0, 3.0, 1.0)
    assert steered.changed.sum() == 2


@pytest.mark.parametrize(
    ("edits", "idle"),
    [
        ([edit(1, Operation.SCALE, 5.0)], {0: "do not fire"}),
        ([edit(1, Operation.ABLATE)], {0: "do not fire"}),
        ([edit(0, Operation.SCALE, 1.0)], {0: "by 1"}),
        ([edit(0, Operation.ADD, 0.0)], {0: "adding 0"}),
        ([edit(1, Operation.SET, 0.0)], {0: "silent already"}),
        ([edit((0, 2), Operation.ADD, 0.4, Unit.INPUT_NORM, (0.5, 1.0))], {0: "cancel"}),
        ([edit(0, Operation.SET, 2.0), edit(0, Operation.ABLATE)], {0: "later"}),
        ([edit(0, Operation.ABLATE), edit(1, Operation.ABLATE)], {1: "do not fire"}),
        ([edit(0, Operation.ADD, 1.0)], {}),
    ],
)
def test_edits_without_effect_are_named_with_the_reason(
    edits: list[LatentEdit], idle: dict[int, str]
) -> None:
    found = {entry.index: entry.reason for entry in run(*edits).idle}
    assert found.keys() == idle.keys()
    assert all(words in found[index] for index, words in idle.items())


def test_latent_outside_the_dictionary_is_refused_by_name() -> None:
    with pytest.raises(InvalidInput, match="latent 4 does not exist") as caught:
        run(edit(0, Operation.ABLATE), edit((1, 4), Operation.ABLATE))
    assert caught.value.field == "edits[1].groups[0].latents[1]"


def test_percentiles_of_another_dictionary_are_refused() -> None:
    with pytest.raises(InvalidInput, match="percentiles for 4 latents"):
        steer(X, SAE, P99[:3], [])


STRENGTHS = st.floats(-100, 100, width=32)
EDITS = st.lists(
    st.builds(
        lambda latents, operation, strength, unit: LatentEdit.of(
            tuple(latents),
            operation,
            strength if operation is Operation.ADD else abs(strength),
            unit,
        ),
        st.lists(st.integers(0, 3), min_size=1, max_size=4, unique=True),
        st.sampled_from(Operation),
        STRENGTHS,
        st.sampled_from(Unit),
    ),
    max_size=8,
)
INPUTS = st.lists(st.floats(-1e3, 1e3, width=32), min_size=2, max_size=2)


@settings(max_examples=80, deadline=None)
@given(EDITS, INPUTS, st.sampled_from(Mode))
def test_any_list_of_edits_gives_finite_numbers(
    edits: list[LatentEdit], values: list[float], mode: Mode
) -> None:
    steered = run(*edits, x=torch.tensor([values]), mode=mode)
    assert torch.isfinite(steered.x).all()
    assert torch.isfinite(steered.after).all()


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 3), min_size=1, max_size=4, unique=True),
    st.floats(-10, 10, width=32),
    st.sampled_from(Unit),
    INPUTS,
)
def test_push_is_linear_in_its_strength(
    latents: list[int], strength: float, unit: Unit, values: list[float]
) -> None:
    x = torch.tensor([values], dtype=torch.float64)

    def shift(by: float) -> Tensor:
        return run(edit(tuple(latents), Operation.ADD, by, unit), x=x).x - x

    torch.testing.assert_close(shift(strength), strength * shift(1.0), rtol=1e-6, atol=1e-6)


@settings(max_examples=60, deadline=None)
@given(EDITS, INPUTS)
def test_only_edited_latents_change_and_edits_are_idle_when_nothing_does(
    edits: list[LatentEdit], values: list[float]
) -> None:
    steered = run(*edits, x=torch.tensor([values]))
    named = {latent for item in edits for latent in item.latents}
    changed = {
        int(latent)
        for latent, moved in zip(steered.latents, steered.changed[0], strict=True)
        if moved
    }
    assert changed <= named
    if len(steered.idle) == len(edits):
        assert not changed


@settings(max_examples=60, deadline=None)
@given(st.floats(-100, 100, width=32).filter(lambda s: abs(s) > 1e-3))
def test_norm_of_the_move_is_the_strength_whatever_the_latents(strength: float) -> None:
    x = torch.tensor([[3.0, 4.0]], dtype=torch.float64)
    moved = run(edit((0, 1, 3), Operation.ADD, strength, Unit.INPUT_NORM), x=x).x - x
    assert math.isclose(float(moved.norm()), abs(strength) * 5, rel_tol=1e-6)
