"""The folder format of SAELens, against its definition; `tests/parity` runs SAELens itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from reclens.contracts import AutoencoderConfig
from reclens.errors import CorruptArtifact, InvalidInput, MissingData
from reclens.sae import train_autoencoder
from reclens.sae.architectures.base import SparseAutoencoder
from reclens.sae.architectures.saelens import load_saelens, save_saelens

KINDS = ("topk", "batchtopk", "matryoshka", "jumprelu", "dimensions", "pca")


@pytest.fixture
def trained(activations: np.ndarray, request: pytest.FixtureRequest) -> SparseAutoencoder:
    config = AutoencoderConfig(kind=request.param, n_latents=32, k=3, n_epochs=3, batch_size=100)
    return train_autoencoder(activations, config)[0]


def read(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    return json.loads((folder / "cfg.json").read_text()), load_file(
        folder / "sae_weights.safetensors"
    )


def saelens_outputs(
    config: dict[str, Any], w: dict[str, Tensor], x: Tensor
) -> tuple[Tensor, Tensor]:
    """Latents and reconstructions as SAELens' documentation defines them."""
    pre = (x - w["b_dec"] * config["apply_b_dec_to_input"]) @ w["W_enc"] + w["b_enc"]
    if config["architecture"] == "topk":
        norm = w["W_dec"].norm(dim=1) if config["rescale_acts_by_decoder_norm"] else 1
        kept = (pre * norm).topk(config["k"], dim=1)
        z = torch.zeros_like(pre).scatter(1, kept.indices, kept.values.relu())
        return z, (z / norm) @ w["W_dec"] + w["b_dec"]
    z = pre.relu() * (pre > w.get("threshold", torch.zeros(())))
    return z, z @ w["W_dec"] + w["b_dec"]


def assert_same(sae: SparseAutoencoder, z: Tensor, x_hat: Tensor, x: Tensor) -> None:
    codes = sae.encode(x)
    torch.testing.assert_close(codes.dense(sae.n_latents), z, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(sae.decode(codes), x_hat, rtol=1e-4, atol=1e-3)
    assert (z > 0).any()


@pytest.mark.parametrize("trained", KINDS, indirect=True)
def test_an_exported_autoencoder_means_the_same(
    trained: SparseAutoencoder, activations: np.ndarray, tmp_path: Path
) -> None:
    assert save_saelens(trained, tmp_path / "new") == ["cfg.json", "sae_weights.safetensors"]
    config, weights = read(tmp_path / "new")
    x = torch.from_numpy(activations)
    assert_same(trained, *saelens_outputs(config, weights, x), x)
    assert config["architecture"] == (
        "topk" if trained.config.kind in ("topk", "dimensions", "pca") else "jumprelu"
    )
    lengths = weights["W_dec"].norm(dim=1)
    torch.testing.assert_close(lengths, trained.input_scale.expand(len(lengths)))


@pytest.mark.parametrize("trained", KINDS, indirect=True)
def test_exported_and_imported_it_is_the_same_again(
    trained: SparseAutoencoder, activations: np.ndarray, tmp_path: Path
) -> None:
    save_saelens(trained, tmp_path)
    loaded = load_saelens(tmp_path)
    x = torch.from_numpy(activations)
    codes = trained.encode(x)
    assert_same(loaded, codes.dense(trained.n_latents), trained.decode(codes), x)
    assert loaded.k == trained.k
    assert not loaded.training
    assert not loaded.W_enc.requires_grad
    torch.testing.assert_close(loaded.W_dec, trained.W_dec)


@pytest.fixture
def foreign() -> tuple[dict[str, Any], dict[str, Tensor]]:
    """What another trainer may leave: no unit lengths, a bias that the input does not lose."""
    generator = torch.Generator().manual_seed(0)
    weights = {
        "W_enc": torch.randn(6, 20, generator=generator),
        "b_enc": torch.randn(20, generator=generator),
        "W_dec": torch.randn(20, 6, generator=generator) * torch.rand(20, 1, generator=generator),
        "b_dec": torch.randn(6, generator=generator),
    }
    config = {
        "architecture": "topk",
        "d_in": 6,
        "d_sae": 20,
        "k": 4,
        "apply_b_dec_to_input": True,
        "rescale_acts_by_decoder_norm": False,
        "normalize_activations": "none",
        "metadata": {"sae_lens_version": "6.54.12"},
    }
    return config, weights


def write(folder: Path, config: dict[str, Any], weights: dict[str, Tensor]) -> None:
    (folder / "cfg.json").write_text(json.dumps(config))
    save_file(weights, folder / "sae_weights.safetensors")


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"apply_b_dec_to_input": False},
        {"rescale_acts_by_decoder_norm": True},
        {"apply_b_dec_to_input": False, "rescale_acts_by_decoder_norm": True},
        {"architecture": "jumprelu"},
        {"architecture": "jumprelu", "apply_b_dec_to_input": False},
        {"architecture": "standard"},
    ],
)
def test_foreign_weights_mean_the_same_here(
    foreign: tuple[dict[str, Any], dict[str, Tensor]], tmp_path: Path, changed: dict[str, Any]
) -> None:
    config, weights = foreign
    config |= changed
    if config["architecture"] == "jumprelu":
        weights["threshold"] = torch.linspace(-0.5, 1.5, 20)
    write(tmp_path, config, weights)
    x = torch.randn(50, 6, generator=torch.Generator().manual_seed(1)) * 3 + 5
    assert_same(load_saelens(tmp_path), *saelens_outputs(config, weights, x), x)


def test_lengths_that_the_selection_does_not_depend_on_become_one(
    foreign: tuple[dict[str, Any], dict[str, Tensor]], tmp_path: Path
) -> None:
    config, weights = foreign
    write(tmp_path, config | {"rescale_acts_by_decoder_norm": True}, weights)
    torch.testing.assert_close(load_saelens(tmp_path).W_dec.norm(dim=1), torch.ones(20))


@pytest.mark.parametrize(
    ("stored", "k"), [({"l0": 7.4}, 7), ({"l0": 700.0}, 20), ({"reclens": {"k": 5}}, 5), ({}, 1)]
)
def test_k_of_thresholds_is_the_stored_l0(
    foreign: tuple[dict[str, Any], dict[str, Tensor]],
    tmp_path: Path,
    stored: dict[str, Any],
    k: int,
) -> None:
    config, weights = foreign
    del config["k"]
    config |= {"architecture": "standard", "metadata": stored}
    write(tmp_path, config, weights)
    assert load_saelens(tmp_path).k == k


def test_half_precision_is_read(
    foreign: tuple[dict[str, Any], dict[str, Tensor]], tmp_path: Path
) -> None:
    config, weights = foreign
    weights = {name: value.bfloat16() for name, value in weights.items()}
    write(tmp_path, config | {"dtype": "bfloat16"}, weights)
    x = torch.randn(50, 6, generator=torch.Generator().manual_seed(1))
    full = {name: value.float() for name, value in weights.items()}
    assert_same(load_saelens(tmp_path), *saelens_outputs(config, full, x), x)


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"architecture": "gated"}, "architecture"),
        ({"architecture": "batchtopk"}, "architecture"),
        ({"normalize_activations": "layer_norm"}, "normalize_activations"),
        ({"reshape_activations": "hook_z"}, "reshape_activations"),
    ],
)
def test_what_has_no_counterpart_is_refused(
    foreign: tuple[dict[str, Any], dict[str, Tensor]],
    tmp_path: Path,
    changed: dict[str, Any],
    field: str,
) -> None:
    config, weights = foreign
    write(tmp_path, config | changed, weights)
    with pytest.raises(InvalidInput) as raised:
        load_saelens(tmp_path)
    assert raised.value.field == field


def test_missing_and_broken_files_are_named(
    foreign: tuple[dict[str, Any], dict[str, Tensor]], tmp_path: Path
) -> None:
    config, weights = foreign
    with pytest.raises(MissingData, match=r"cfg\.json"):
        load_saelens(tmp_path)
    (tmp_path / "cfg.json").write_text("{")
    with pytest.raises(CorruptArtifact, match=r"cfg\.json"):
        load_saelens(tmp_path)
    (tmp_path / "cfg.json").write_text(json.dumps({"model": "gpt2"}))
    with pytest.raises(CorruptArtifact, match="SAELens 6"):
        load_saelens(tmp_path)
    (tmp_path / "cfg.json").write_text(json.dumps(config))
    with pytest.raises(MissingData, match="sae_weights"):
        load_saelens(tmp_path)
    (tmp_path / "sae_weights.safetensors").write_bytes(b"no tensors here")
    with pytest.raises(CorruptArtifact, match="cannot be read"):
        load_saelens(tmp_path)
    write(tmp_path, config | {"d_sae": 21}, weights)
    with pytest.raises(CorruptArtifact, match="asks for"):
        load_saelens(tmp_path)
    write(tmp_path, config, weights | {"b_enc": torch.full((20,), torch.nan)})
    with pytest.raises(CorruptArtifact, match="not finite"):
        load_saelens(tmp_path)
