"""Lists of edits in many cases, and cases that they do not change."""

from __future__ import annotations

import numpy as np
import torch
from steered_batch import steer

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


def test_one_list_of_edits_does_in_a_batch_what_it_does_in_each_case() -> None:
    rng = np.random.default_rng(3)
    torch.manual_seed(3)
    sae = build_autoencoder(AutoencoderConfig(n_latents=N_LATENTS, k=6), D_MODEL).eval()
    p99 = torch.rand(N_LATENTS) * 2
    steering = Steering(sae, p99)
    x = torch.randn(N_CASES, D_MODEL)
    encoded = steering.encode(x)
    reasons: set[str] = set()
    for number in range(12):
        edits = [random_edit(rng) for _ in range(number % 4)]
        mode = Mode.RECONSTRUCT if number % 5 == 4 else Mode.RESIDUAL
        batch = steer(x, sae, p99, edits, mode)
        edited = [steering.edit(one, edits, mode) for one in encoded]
        assert np.stack([one.x for one in edited]).tobytes() == batch.x.numpy().tobytes()
        assert batch.changed.sum(dim=1).tolist() == [one.edited_latents for one in edited]
        reasons |= {idle.reason for one in edited for idle in one.idle}
        idle = [{one.index for one in case.idle} for case in edited]
        assert [one.index for one in batch.idle] == sorted(set.intersection(*idle))
        for row, one in enumerate(edited):
            at = np.searchsorted(batch.latents.numpy(), one.latents)
            assert batch.after[row, at].tolist() == one.after.tolist()
    # The draw has edits that are idle for what they do, and conditions that fail.
    assert len(reasons) >= 2


def test_no_cases_at_all_stay_none() -> None:
    sae = build_autoencoder(AutoencoderConfig(n_latents=N_LATENTS, k=6), D_MODEL).eval()
    edits = [LatentEdit.of((0,), Operation.ABLATE)]
    steered = steer(torch.zeros(0, D_MODEL), sae, torch.ones(N_LATENTS), edits)
    assert steered.x.shape == (0, D_MODEL)
    assert steered.idle == ()


def test_case_without_a_change_keeps_its_bits() -> None:
    torch.manual_seed(0)
    sae = build_autoencoder(AutoencoderConfig(n_latents=N_LATENTS, k=6), D_MODEL).eval()
    steering = Steering(sae, torch.ones(N_LATENTS))
    x = torch.randn(3, D_MODEL)
    x[1, 0] = -0.0
    encoded = steering.encode(x)
    silent = next(j for j in range(N_LATENTS) if j not in encoded[1].latents)
    lists = [
        [LatentEdit.of((0,), Operation.ADD, 1.0)],
        [LatentEdit.of((silent,), Operation.SCALE, 3.0)],
        [],
    ]
    edited = [steering.edit(*of_one) for of_one in zip(encoded, lists, strict=True)]
    assert [one.changed for one in edited] == [True, False, False]
    for row in (1, 2):
        assert edited[row].x.tobytes() == x[row].numpy().tobytes()
    assert edited[2].idle == ()
