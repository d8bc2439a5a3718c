"""Cases with edits of their own, computed together, come out as each would alone."""

from __future__ import annotations

import numpy as np
import torch

from reclens.contracts import AutoencoderConfig
from reclens.sae import build_autoencoder
from reclens.steering import (
    Comparison,
    LatentCondition,
    LatentEdit,
    LatentGroup,
    Mode,
    Operation,
    Unit,
)
from reclens.steering.engine import Steering
from reclens.steering.readings import Readings

D_MODEL, N_LATENTS, N_CASES = 16, 64, 24


def random_edit(rng: np.random.Generator) -> LatentEdit:
    groups = tuple(
        LatentGroup(
            tuple(rng.choice(N_LATENTS, rng.integers(1, 6), replace=False).tolist()),
            share=float(rng.normal()),
        )
        for _ in range(rng.integers(1, 4))
    )
    conditions = tuple(
        LatentCondition(
            (int(rng.integers(N_LATENTS)),), list(Comparison)[rng.integers(2)], rng.random()
        )
        for _ in range(rng.integers(0, 2))
    )
    operation, unit = list(Operation)[rng.integers(4)], list(Unit)[rng.integers(2)]
    return LatentEdit(groups, operation, 2 * rng.random(), unit, conditions)


def test_a_case_has_the_same_bits_alone_and_among_others() -> None:
    rng = np.random.default_rng(3)
    torch.manual_seed(3)
    sae = build_autoencoder(AutoencoderConfig(n_latents=N_LATENTS, k=6), D_MODEL).eval()
    steering = Steering(sae, torch.rand(N_LATENTS) * 2)
    alone = [steering.read(torch.randn(1, D_MODEL)) for _ in range(N_CASES)]
    edits = [[random_edit(rng) for _ in range(rng.integers(0, 4))] for _ in range(N_CASES)]
    modes = [Mode.RECONSTRUCT if rng.random() < 0.2 else Mode.RESIDUAL for _ in range(N_CASES)]
    together = steering.move(Readings.together(alone), edits, modes)
    moved_alone = [
        steering.move(case, [edits[row]], [modes[row]]) for row, case in enumerate(alone)
    ]
    for row, one in enumerate(moved_alone):
        assert one.x[0].tobytes() == together.x[row].tobytes()
        assert one.moved[0] == together.moved[row]
        assert one.idle[0] == together.idle[row]
        assert one.edited_latents[0] == together.edited_latents[row]
        here = together.case(row)
        assert one.latents.tolist() == together.latents[here].tolist()
        assert one.after.tobytes() == together.after[here].tobytes()
    # The draw has all of it: cases untouched and moved, edits idle, conditions that fail.
    assert {bool(moved) for moved in together.moved} == {True, False}
    assert any("condition" in one.reason for case in together.idle for one in case)


def test_cases_without_a_change_keep_their_bits() -> None:
    torch.manual_seed(0)
    sae = build_autoencoder(AutoencoderConfig(n_latents=N_LATENTS, k=6), D_MODEL).eval()
    steering = Steering(sae, torch.ones(N_LATENTS))
    x = torch.randn(3, D_MODEL)
    x[1, 0] = -0.0
    silent = next(j for j in range(N_LATENTS) if j not in steering.read(x).case(1)[0])
    moved = steering.move(
        steering.read(x),
        [
            [LatentEdit.of((0,), Operation.ADD, 1.0)],
            [LatentEdit.of((silent,), Operation.SCALE, 3.0)],
            [],
        ],
    )
    assert moved.moved.tolist() == [True, False, False]
    assert moved.x[1:].tobytes() == x[1:].numpy().tobytes()
    assert moved.idle[2] == ()
