"""Edits are refused before any maths, with the field named."""

from __future__ import annotations

import math

import pytest

from reclens.errors import InvalidInput
from reclens.steering import LatentEdit, Operation


@pytest.mark.parametrize("strength", [math.nan, math.inf, -math.inf, 1e30, -100.5, 100.5])
@pytest.mark.parametrize("operation", [Operation.SET, Operation.SCALE, Operation.ADD])
def test_strength_that_is_no_strength_is_refused(operation: Operation, strength: float) -> None:
    with pytest.raises(InvalidInput) as caught:
        LatentEdit.of((0,), operation, strength)
    assert caught.value.field == "strength"


@pytest.mark.parametrize("operation", [Operation.SET, Operation.SCALE])
def test_negative_set_and_scale_are_refused(operation: Operation) -> None:
    with pytest.raises(InvalidInput, match=r"\[0, 100\]"):
        LatentEdit.of((0,), operation, -0.1)


def test_bounds_themselves_are_allowed() -> None:
    assert LatentEdit.of((0,), Operation.ADD, -100.0).strength == -100.0
    assert LatentEdit.of((0,), Operation.SET, 0.0).groups[0].weights == (1.0,)


@pytest.mark.parametrize(
    ("latents", "weights", "field"),
    [
        ((), (), "latents"),
        ((1, 1), (), "latents"),
        ((-1,), (), "latents"),
        ((0, 1), (1.0,), "weights"),
        ((0,), (math.nan,), "weights"),
        ((0,), (1e9,), "weights"),
    ],
)
def test_malformed_latents_and_weights_are_refused(
    latents: tuple[int, ...], weights: tuple[float, ...], field: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        LatentEdit.of(latents, Operation.ADD, 1.0, weights=weights)
    assert caught.value.field == field
