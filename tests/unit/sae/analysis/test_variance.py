"""Who holds the variance, and robust scaling of activations that a few dimensions or rows hold."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from reclens.errors import InvalidInput
from reclens.sae import AutoencoderConfig, AutoencoderTrainer, build_autoencoder, train_autoencoder
from reclens.sae.activations.moments import RowSample
from reclens.sae.activations.sources import SequenceSource
from reclens.sae.analysis.variance import VarianceSums


def test_the_figures_equal_the_hand_worked_values() -> None:
    x = np.array([[0, 10, 5], [2, -10, 5], [0, 10, 5], [2, -10, 5]], np.float32)
    x_hat = np.array([[1, 10, 5], [1, -10, 5], [1, 10, 5], [1, -5, 5]], np.float32)
    # Deviations: 4 · 1, 4 · 100, 0. Errors: 4, 25, 0. Rows: 101 each.
    whole, parts = VarianceSums(np.array([1.0, 0.0, 5.0])), VarianceSums(np.array([0.5, 3.0, 5.0]))
    whole.update(x, x_hat)
    for row in range(4):
        parts.update(x[row : row + 1], x_hat[row : row + 1])
    report = whole.report()
    assert report.constant_dimensions == 1
    assert report.loudest == [
        {"dimension": 1, "share": pytest.approx(400 / 404), "fvu": pytest.approx(25 / 400)},
        {"dimension": 0, "share": pytest.approx(4 / 404), "fvu": pytest.approx(1.0)},
    ]
    assert [one["dimension"] for one in report.worst] == [0, 1]
    assert report.dimension_fvu_median == pytest.approx((1 + 25 / 400) / 2)
    assert report.top_dimensions_share == pytest.approx(400 / 404)
    assert report.top_rows_share == report.largest_row_share == pytest.approx(1 / 4)
    assert parts.report().loudest == report.loudest  # whatever the centre of the sums


def test_a_huge_row_shows(planted_activations) -> None:
    x, _ = planted_activations(d_model=8, n_directions=16, n_active=2, rows=400)
    config = AutoencoderConfig(n_latents=16, k=2, n_epochs=1)
    usual = train_autoencoder(x, config, held_out=x)[1].variance
    x[7] *= 1000
    huge = train_autoencoder(x, config, held_out=x)[1].variance
    assert usual.largest_row_share < 0.05
    assert huge.largest_row_share > 0.99
    assert huge.top_rows_share >= huge.largest_row_share


def test_robust_scales_are_quantiles_and_never_zero() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal([0, 5, -1], [1, 100, 0.1], size=(20_000, 3))
    x = np.column_stack([x, np.full(len(x), 7.0), (rng.random(len(x)) < 0.1) * 3.0])
    x[:20] *= 1e4  # a few huge rows
    sample = RowSample(4)
    for part in np.split(x.astype(np.float32), 4):
        sample.update(part)
    median, scale = sample.robust_scale()
    assert median[:3] == pytest.approx([0, 5, -1], abs=3)
    assert scale[:3] == pytest.approx([1, 100, 0.1], rel=0.05)
    assert median[3] == 7
    assert (scale > 0).all()


@pytest.mark.parametrize("kind", ["topk", "batchtopk", "jumprelu", "matryoshka"])
def test_folded_scales_change_no_latent_and_no_reconstruction(kind: str) -> None:
    config = AutoencoderConfig(kind=kind, n_latents=24, k=3)
    sae = build_autoencoder(config, 6).eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(0)
    for parameter in (sae.b_enc, sae.b_dec, sae.input_mean):
        parameter.copy_(torch.randn(parameter.shape, generator=generator) / 10)
    scales = torch.tensor([0.01, 1, 1, 2, 50, 300.0])
    scaled = torch.randn(40, 6, generator=generator)
    mean = sae.input_mean.clone()
    before = sae.encode(scaled + mean)
    reconstructed = sae.decode(before) - mean
    sae.fold_scales(scales)
    x = scaled * scales + mean
    after = sae.encode(x)
    torch.testing.assert_close(after.dense(24), before.dense(24), rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(
        (sae.decode(after) - mean) / scales, reconstructed, rtol=1e-2, atol=1e-2
    )


def test_robust_scaling_explains_the_quiet_dimensions_and_can_be_cut(planted_activations) -> None:
    x, _ = planted_activations(d_model=16, n_directions=32, n_active=2, rows=4000)
    x = np.column_stack([x, np.random.default_rng(0).normal(0, 300, len(x))]).astype(np.float32)
    config = AutoencoderConfig(n_latents=48, k=3, n_epochs=8)
    robust = AutoencoderConfig(n_latents=48, k=3, n_epochs=8, normalisation="robust")
    plain, sae = train_autoencoder(x, config)[1], train_autoencoder(x, robust)
    assert plain.fvu < 0.05  # of a variance that one dimension holds
    assert plain.variance.loudest[0]["dimension"] == 16
    assert plain.variance.loudest[0]["share"] > 0.99
    assert plain.variance.dimension_fvu_median > 0.8
    assert sae[1].variance.dimension_fvu_median < 0.5

    whole = AutoencoderTrainer(SequenceSource([x]), robust)
    list(whole.steps())
    cut = AutoencoderTrainer(SequenceSource([x]), robust)
    steps = cut.steps()
    for _ in range(20):
        next(steps)
    resumed = AutoencoderTrainer(SequenceSource([x]), robust)
    resumed.restore(*cut.state())
    list(resumed.steps())
    again = AutoencoderTrainer(SequenceSource([x]), robust)
    again.restore(*resumed.state())
    list(again.steps())  # nothing is left to do, and nothing is folded twice
    for name, value in whole.sae.state_dict().items():
        assert torch.equal(value, resumed.sae.state_dict()[name]), name
        assert torch.equal(value, again.sae.state_dict()[name]), name


def test_controls_are_of_the_activations_as_they_are() -> None:
    config = AutoencoderConfig(kind="pca", k=2, normalisation="robust")
    with pytest.raises(InvalidInput, match="as they are"):
        train_autoencoder(np.random.default_rng(0).normal(size=(50, 4)), config)
