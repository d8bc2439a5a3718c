from __future__ import annotations

from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from reclens.errors import CorruptArtifact, InvalidInput, InvalidSpec, MissingData
from reclens.sae import (
    AutoencoderConfig,
    Codes,
    build_autoencoder,
    load_autoencoder,
)
from reclens.sae.architectures.topk import TopKAutoencoder
from reclens.sae.training.dense import multiply_float32


@pytest.fixture
def worked() -> TopKAutoencoder:
    """Latents +x, +y, -x, -y with a mean of (10, 20) and a scale of 2."""
    sae = TopKAutoencoder(AutoencoderConfig(n_latents=4, k=2), d_model=2)
    directions = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])
    with torch.no_grad():
        sae.W_dec.copy_(directions)
        sae.W_enc.copy_(directions.T)
        sae.b_enc.copy_(torch.tensor([0.0, 0.5, 0.0, 0.0]))
        sae.b_dec.copy_(torch.tensor([0.0, 1.0]))
    sae.input_mean.copy_(torch.tensor([10.0, 20.0]))
    sae.input_scale.fill_(2.0)
    return sae.requires_grad_(False)


def test_encode_equals_the_hand_worked_codes(worked: TopKAutoencoder) -> None:
    # x̃ = (3, 5), x̃ - b_dec = (3, 4): latents 3, 4.5, -3, -4
    codes = worked.encode(torch.tensor([[16.0, 30.0]]))
    assert codes.indices.tolist() == [[1, 0]]
    assert codes.values.tolist() == [[4.5, 3.0]]
    assert codes.indices.dtype == torch.int64
    assert codes.values.dtype == torch.float32


def test_decode_equals_the_hand_worked_activation(worked: TopKAutoencoder) -> None:
    # (3, 4.5) + b_dec (0, 1) = (3, 5.5), times 2, plus (10, 20)
    codes = Codes(torch.tensor([[1, 0]]), torch.tensor([[4.5, 3.0]]))
    assert worked.decode(codes).tolist() == [[16.0, 31.0]]


def test_negative_pre_activations_do_not_fire(worked: TopKAutoencoder) -> None:
    # x̃ - b_dec = (0, -4): latents 0, -3.5, 0, 4. TopK must take one that is not positive.
    codes = worked.encode(torch.tensor([[10.0, 14.0]]))
    assert codes.indices[0, 0] == 3
    assert codes.values.tolist() == [[4.0, 0.0]]


def test_decode_takes_any_number_of_latents(worked: TopKAutoencoder) -> None:
    wide = Codes(torch.tensor([[0, 1, 2]]), torch.tensor([[5.0, 4.5, 2.0]]))
    assert worked.decode(wide).tolist() == [[16.0, 31.0]]
    assert worked.decode(Codes(wide.indices[:0], wide.values[:0])).shape == (0, 2)


def test_values_fall_along_each_row() -> None:
    sae = build_autoencoder(AutoencoderConfig(n_latents=64, k=8), 16)
    codes = sae.encode(torch.randn(50, 16, generator=torch.Generator().manual_seed(1)))
    assert codes.indices.shape == codes.values.shape == (50, 8)
    assert (codes.values.diff(dim=1) <= 0).all()
    assert all(len(set(row)) == 8 for row in codes.indices.tolist())


def test_a_new_autoencoder_is_tied_of_unit_rows_and_given_by_its_seed() -> None:
    config = AutoencoderConfig(n_latents=32, k=4, seed=3)
    sae = build_autoencoder(config, 8)
    assert torch.equal(sae.W_enc, sae.W_dec.T)
    torch.testing.assert_close(sae.W_dec.norm(dim=1), torch.ones(32))
    assert torch.equal(sae.W_dec, build_autoencoder(config, 8).W_dec)
    other = build_autoencoder(config.model_copy(update={"seed": 4}), 8)
    assert not torch.equal(sae.W_dec, other.W_dec)


@pytest.mark.parametrize("shape", [(3, 5), (2,), (1, 2, 2)])
def test_encode_refuses_another_shape(worked: TopKAutoencoder, shape: tuple[int, ...]) -> None:
    with pytest.raises(InvalidInput, match=r"\[batch, 2\]") as caught:
        worked.encode(torch.zeros(shape))
    assert caught.value.field == "x"
    assert caught.value.remedy


def test_in_early_training_twice_k_reconstruct_too(worked: TopKAutoencoder) -> None:
    # Of x = (3, -1), latents 3, -1.5, -3, 2: at k = 1 the first alone gives (3, 1), both (3, -1).
    worked.config = worked.config.model_copy(update={"k": 1})
    x = torch.tensor([[3.0, -1.0]])
    early = worked.training_pass(x, multiply_float32, early=True)
    late = worked.training_pass(x, multiply_float32, early=False)
    for passed in (early, late):
        assert passed.values.tolist() == [[3.0, 0.0, 0.0, 0.0]]
        assert passed.penalty is None
        assert passed.reconstructions[passed.main].tolist() == [[3.0, 1.0]]
    assert early.weights == (1.0, 0.25)
    assert early.reconstructions[1].tolist() == [[3.0, -1.0]]
    assert len(late.reconstructions) == len(late.weights) == 1
    # Of x = (3, 5) a quarter of the FVU of what both leave: latents 3, 4.5 give (3, 5.5).
    both = worked.training_pass(torch.tensor([[3.0, 5.0]]), multiply_float32, early=True)
    assert both.reconstructions[1].tolist() == [[3.0, 5.5]]


def test_load_gives_back_what_was_saved(worked: TopKAutoencoder, tmp_path: Path) -> None:
    assert worked.save(tmp_path / "a") == ["config.json", "weights.safetensors"]
    loaded = load_autoencoder(tmp_path / "a")
    assert loaded.config == worked.config
    assert loaded.config.d_model == 2
    assert not loaded.training
    assert not any(parameter.requires_grad for parameter in loaded.parameters())
    x = torch.tensor([[16.0, 30.0], [10.0, 14.0]])
    assert torch.equal(loaded(x), worked(x))
    loaded.save(tmp_path / "b")
    for name in ("config.json", "weights.safetensors"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_load_says_which_file_is_missing(worked: TopKAutoencoder, tmp_path: Path) -> None:
    with pytest.raises(MissingData, match=r"config\.json"):
        load_autoencoder(tmp_path)
    worked.save(tmp_path)
    (tmp_path / "weights.safetensors").unlink()
    with pytest.raises(MissingData, match=r"weights\.safetensors"):
        load_autoencoder(tmp_path)


def test_load_refuses_damaged_or_foreign_weights(worked: TopKAutoencoder, tmp_path: Path) -> None:
    worked.save(tmp_path)
    weights = tmp_path / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4])
    with pytest.raises(CorruptArtifact, match="cannot be read"):
        load_autoencoder(tmp_path)
    build_autoencoder(AutoencoderConfig(n_latents=5, k=2), 2).save(tmp_path / "other")
    weights.write_bytes((tmp_path / "other" / "weights.safetensors").read_bytes())
    with pytest.raises(CorruptArtifact, match="asks for"):
        load_autoencoder(tmp_path)


def test_config_refuses_more_active_latents_than_there_are() -> None:
    with pytest.raises(ValidationError, match="lower k or raise n_latents"):
        AutoencoderConfig(n_latents=8, k=9)
    with pytest.raises(InvalidSpec) as caught:
        AutoencoderConfig.parse({"n_latents": 8, "k": 9})
    assert caught.value.field == "k"
