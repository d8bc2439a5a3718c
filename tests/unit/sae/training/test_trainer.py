from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from reclens.errors import InvalidInput
from reclens.sae import (
    AutoencoderConfig,
    AutoencoderTrainer,
    build_autoencoder,
    train_autoencoder,
)
from reclens.sae.activations.sources import SequenceSource
from reclens.sae.analysis.stability import recovered_share
from reclens.sae.training.optimizer import AveragedSignDescent

# Seven steps an epoch; latents die within the first, so that AuxK takes part.
CONFIG = AutoencoderConfig(
    n_latents=64, k=3, batch_size=100, n_epochs=3, learning_rate=0.01, dead_after=150, seed=1
)
STEPS = 21
SMALL = AutoencoderConfig(n_latents=32, k=3, batch_size=100, n_epochs=5, learning_rate=0.01)


def shards(x: np.ndarray) -> SequenceSource:
    return SequenceSource(np.array_split(x, 3))


def test_decoder_rows_have_unit_length_after_every_step(activations: np.ndarray) -> None:
    trainer = AutoencoderTrainer(shards(activations), CONFIG)
    for progress in trainer.steps():
        if progress.stage == "train":
            norms = trainer.sae.W_dec.detach().norm(dim=1)
            torch.testing.assert_close(norms, torch.ones(64))


def test_the_input_is_centred_and_scaled_by_its_own_moments(activations: np.ndarray) -> None:
    trainer = AutoencoderTrainer(shards(activations), CONFIG)
    list(trainer.steps())
    np.testing.assert_allclose(trainer.sae.input_mean, activations.mean(0), rtol=1e-5)
    x = trainer.sae.normalise(torch.from_numpy(activations))
    assert x.square().mean().item() == pytest.approx(1.0, rel=1e-5)


def test_the_first_step_follows_the_signs_of_the_gradient_of_fvu(
    activations: np.ndarray,
) -> None:
    config = CONFIG.model_copy(
        update={
            "batch_size": 700,
            "n_epochs": 1,
            "warmup_share": 0.0,
            "multi_topk_coefficient": 0.0,
        }
    )
    trainer = AutoencoderTrainer(SequenceSource([activations]), config)
    running = trainer.steps()
    next(running)
    next(running)
    # The same step, densely, from the published equations.
    x = torch.from_numpy(activations)
    x = x - x.mean(0)
    x = x / x.square().mean().sqrt()
    start = build_autoencoder(config, 8)
    W_enc, b_enc, W_dec, b_dec = start.W_enc, start.b_enc, start.W_dec, start.b_dec
    pre = (x - b_dec) @ W_enc + b_enc
    mask = torch.zeros_like(pre).scatter(1, pre.topk(3, dim=1).indices, 1.0)
    x_hat = (pre.relu() * mask) @ W_dec + b_dec
    ((x - x_hat).square().sum() / x.square().sum()).backward()
    assert W_dec.grad is not None
    W_dec.grad -= (W_dec.grad * W_dec.detach()).sum(1, keepdim=True) * W_dec.detach()
    # Signs, wherever rounding cannot turn them.
    for name, parameter in {"W_enc": W_enc, "b_enc": b_enc, "b_dec": b_dec}.items():
        assert parameter.grad is not None
        step = (getattr(trainer.sae, name) - parameter).detach()
        clear = parameter.grad.abs() > 1e-6
        assert clear.float().mean() > 0.5
        torch.testing.assert_close(
            step[clear], -0.01 * parameter.grad.sign()[clear], rtol=1e-4, atol=1e-6
        )
    moved = W_dec.detach() - 0.01 * W_dec.grad.sign()
    clear_rows = (W_dec.grad.abs() > 1e-6).all(1)
    assert clear_rows.any()
    torch.testing.assert_close(
        trainer.sae.W_dec.detach()[clear_rows],
        torch.nn.functional.normalize(moved, dim=1)[clear_rows],
    )


def test_the_step_size_rises_holds_and_falls(
    activations: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates = []
    step = AveragedSignDescent.step

    def watched(self: AveragedSignDescent, learning_rate: float) -> None:
        rates.append(learning_rate / 0.01)
        step(self, learning_rate)

    monkeypatch.setattr(AveragedSignDescent, "step", watched)
    config = CONFIG.model_copy(update={"warmup_share": 5 / 21, "decay_share": 10 / 21})
    list(AutoencoderTrainer(shards(activations), config).steps())
    assert rates[:6] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0, 1.0])
    assert rates[10:] == pytest.approx([1.0, 1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1])


@pytest.mark.parametrize(("coefficient", "revived"), [(1 / 32, True), (0.0, False)])
def test_only_the_auxiliary_loss_revives_dead_latents(
    planted_activations: Callable[..., tuple[np.ndarray, np.ndarray]],
    coefficient: float,
    revived: bool,
) -> None:
    x, _ = planted_activations(d_model=16, n_directions=32, n_active=3, rows=2000)
    config = AutoencoderConfig(
        n_latents=32, k=3, n_epochs=40, batch_size=100, learning_rate=0.01, dead_after=500
    ).model_copy(update={"auxiliary_coefficient": coefficient})
    killed = AutoencoderTrainer(SequenceSource([x]), config)
    list(itertools.islice(killed.steps(), 2))
    tensors, meta = killed.state()
    for name in ("sae.b_enc", "path.last.b_enc", "path.average.b_enc"):
        tensors[name][:24] = -5  # three quarters start far below any threshold
    tensors["silent_for"][:24] = 500
    trainer = AutoencoderTrainer(SequenceSource([x]), config)
    trainer.restore(tensors, meta)
    *_, last = trainer.steps()
    assert (last.metrics["dead_fraction"] < 0.1) == revived
    if not revived:
        assert last.metrics["dead_fraction"] == 24 / 32


def test_progress_tells_step_loss_and_health(activations: np.ndarray) -> None:
    trainer = AutoencoderTrainer(shards(activations), CONFIG)
    progress = list(trainer.steps())
    assert [p.stage for p in progress[:4]] == ["measure", "measure", "measure", "train"]
    assert progress[-1].step == progress[-1].total == STEPS
    assert set(progress[-1].metrics) == {"loss", "fvu", "l0", "dead_fraction"}
    assert progress[-1].metrics["fvu"] < progress[3].metrics["fvu"]
    assert trainer.activations_seen == 3 * 700


def test_training_that_diverges_is_stopped(activations: np.ndarray) -> None:
    trainer = AutoencoderTrainer(SequenceSource([activations]), CONFIG)
    list(itertools.islice(trainer.steps(), 3))
    tensors, meta = trainer.state()
    tensors["sae.b_dec"][:] = np.inf
    trainer.restore(tensors, meta)
    with pytest.raises(InvalidInput, match="diverged at step 3") as caught:
        list(trainer.steps())
    assert caught.value.field == "learning_rate"


def test_the_curve_is_the_mean_between_its_points_and_bounded(activations: np.ndarray) -> None:
    config = CONFIG.model_copy(update={"n_epochs": 60})  # 420 steps: a point every 3
    trainer = AutoencoderTrainer(shards(activations), config)
    losses = [p.metrics["loss"] for p in trainer.steps() if p.stage == "train"]
    assert len(trainer.curve) == 140
    assert trainer.curve[0][0] == 3
    assert trainer.curve[0][1] == pytest.approx(np.mean(losses[:3]))
    assert trainer.curve[-1][0] == 420
    assert trainer.curve[-1][1] == pytest.approx(np.mean(losses[-3:]))


def test_a_foreign_state_is_refused(activations: np.ndarray) -> None:
    trainer = AutoencoderTrainer(shards(activations), CONFIG)
    list(itertools.islice(trainer.steps(), 5))
    tensors, meta = trainer.state()
    with pytest.raises(InvalidInput, match="another configuration"):
        AutoencoderTrainer(shards(activations), AutoencoderConfig()).restore(tensors, meta)
    with pytest.raises(InvalidInput, match="3 shards, not 1"):
        AutoencoderTrainer(SequenceSource([activations]), CONFIG).restore(tensors, meta)


@pytest.mark.parametrize(
    ("x", "problem", "field"),
    [
        ([np.zeros((0, 8), np.float32)], "no activations", "x"),
        ([], "no activations", "x"),
        ([np.ones((10, 8), np.float32)], "all 10 activations are the same", "x"),
        ([np.eye(4, dtype=np.float32), np.eye(3, dtype=np.float32)], "3 wide", "d_model"),
    ],
)
def test_unusable_data_are_refused(x: list[np.ndarray], problem: str, field: str) -> None:
    with pytest.raises(InvalidInput, match=problem) as caught:
        list(AutoencoderTrainer(SequenceSource(x), CONFIG).steps())
    assert caught.value.field == field
    assert caught.value.remedy


def test_a_value_that_is_not_finite_is_never_trained_on(activations: np.ndarray) -> None:
    activations[650, 2] = np.nan
    trainer = AutoencoderTrainer(shards(activations), CONFIG)
    with pytest.raises(InvalidInput, match="shard 2, row 183"):
        list(trainer.steps())
    with pytest.raises(InvalidInput, match="not begun"):
        _ = trainer.sae


# --- in one call ----------------------------------------------------------------------------------


def test_the_planted_dictionary_is_recovered(
    planted_activations: Callable[..., tuple[np.ndarray, np.ndarray]],
) -> None:
    x, directions = planted_activations(d_model=64, n_directions=128, n_active=4, rows=20_000)
    sae, report = train_autoencoder(x, AutoencoderConfig(n_latents=256, k=4))
    assert recovered_share(directions, sae.W_dec.numpy()) >= 0.98
    assert report.fvu < 0.06
    assert report.random_fvu > 0.5
    assert report.l0 == pytest.approx(4, abs=0.01)


@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_a_dictionary_without_slack_is_recovered(
    planted_activations: Callable[..., tuple[np.ndarray, np.ndarray]],
    seed: int,
) -> None:
    x, directions = planted_activations(
        d_model=32, n_directions=64, n_active=3, rows=20_000, seed=seed
    )
    sae, _ = train_autoencoder(x, AutoencoderConfig(n_latents=64, k=3, seed=seed))
    assert recovered_share(directions, sae.W_dec.numpy()) >= 0.95


def test_the_report_describes_the_held_out_tenth(activations: np.ndarray) -> None:
    sae, report = train_autoencoder(activations, SMALL)
    assert (report.n_latents, report.k, report.d_model) == (32, 3, 8)
    assert report.activations_seen == 5 * 630
    assert 0 < report.fvu < 0.5 < report.random_fvu
    assert report.l0 <= 3
    assert 0 <= report.dead_fraction < 1
    assert 0.9 < report.cosine <= 1
    assert len(report.curve) == 35
    json.dumps(report.as_metrics(), allow_nan=False)
    assert not sae.training


def test_given_held_out_activations_are_measured_and_never_trained_on(
    activations: np.ndarray,
) -> None:
    held_out = activations[:200]
    _, same = train_autoencoder(activations[200:], SMALL, held_out=held_out)
    _, shifted = train_autoencoder(activations[200:], SMALL, held_out=held_out + 50)
    assert same.activations_seen == 5 * 500
    assert shifted.curve == same.curve
    assert shifted.fvu > same.fvu


def test_all_forms_of_the_same_shards_train_the_same_bytes(
    activations: np.ndarray, tmp_path: Path
) -> None:
    parts = np.array_split(activations, 3)
    forms = {
        "arrays": parts,
        "tensors": [torch.from_numpy(part) for part in parts],
        "iterator": iter(parts),
    }
    saved, reports = set(), []
    for name, form in forms.items():
        sae, report = train_autoencoder(form, SMALL)
        sae.save(tmp_path / name)
        saved.add((tmp_path / name / "weights.safetensors").read_bytes())
        reports.append(report)
    assert len(saved) == 1
    assert all(report == reports[0] for report in reports)


def test_float16_activations_train_close_to_float32(activations: np.ndarray) -> None:
    _, full = train_autoencoder(activations, SMALL)
    _, half = train_autoencoder(activations.astype(np.float16), SMALL)
    assert half.fvu == pytest.approx(full.fvu, rel=0.1)
    assert replace(half, fvu=0, curve=[]) != replace(full, fvu=0, curve=[])


@pytest.mark.parametrize(
    ("x", "config", "field"),
    [
        (np.zeros((0, 8), np.float32), SMALL, "x"),
        ([], SMALL, "x"),
        (np.zeros(8, np.float32), SMALL, "x[0]"),
        (np.eye(8, dtype=np.float32), SMALL.model_copy(update={"d_model": 9}), "d_model"),
        (np.full((5, 8), np.inf, np.float32), SMALL, "x[0][0]"),
    ],
    ids=["no-rows", "no-shards", "one-row", "width", "infinite"],
)
def test_unusable_input_names_field_and_remedy(
    x: object, config: AutoencoderConfig, field: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        train_autoencoder(x, config)
    assert caught.value.field == field
    assert caught.value.remedy
