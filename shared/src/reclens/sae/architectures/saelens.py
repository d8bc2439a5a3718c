"""Autoencoders in the folder format of SAELens: ``cfg.json`` and ``sae_weights.safetensors``.

Neither direction needs SAELens to be installed.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from reclens.contracts import AutoencoderConfig
from reclens.errors import InvalidInput
from reclens.sae.architectures.base import SparseAutoencoder
from reclens.sae.architectures.registry import build_autoencoder
from reclens.sae.architectures.topk import TopKAutoencoder
from reclens.weights import corrupt, read_tensors, require_file, write_model

CONFIG: Final = "cfg.json"
WEIGHTS: Final = "sae_weights.safetensors"

FORMAT_VERSION: Final = "6.54.12"
"""The SAELens whose format is written; one that states no version is read as older than 6."""

_WRITER: Final = "`save_saelens` or SAELens' `save_inference_model`"
_SMALLEST: Final = torch.finfo(torch.float32).tiny
"""A threshold of 0 or below, of which there is no logarithm: every positive activation fires."""


def save_saelens(sae: SparseAutoencoder, folder: str | Path) -> list[str]:
    """Write an autoencoder so that ``sae_lens.SAE.load_from_disk(folder)`` opens it.

    Latents keep their numbers and their values, and reconstructions are in the units of the
    activations. With ``x̃ = (x - μ) / s`` the centring and scaling go into the weights:
    ``W_enc' = W_enc / s``, ``b_enc' = b_enc``, ``W_dec' = s · W_dec``, ``b_dec' = s · b_dec + μ``,
    with ``b_dec'`` subtracted from the input. So each row of ``W_dec'`` has the length ``s``.

    Kinds that keep the k strongest latents become SAELens' ``topk``; those with thresholds
    (BatchTopK, Matryoshka, JumpReLU) become ``jumprelu``, as SAELens itself stores them.

    Args:
        sae: any kind.
        folder: created where it does not exist.

    Returns:
        The names of the files written.

    Raises:
        InvalidInput: a kind of another package keeps neither the k strongest nor what is above
            thresholds.
    """
    scale = sae.input_scale
    tensors = {
        "W_enc": sae.W_enc / scale,
        "b_enc": sae.b_enc,
        "W_dec": sae.W_dec * scale,
        "b_dec": sae.b_dec * scale + sae.input_mean,
    }
    config: dict[str, Any] = {
        "d_in": sae.d_model,
        "d_sae": sae.n_latents,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": True,
        "normalize_activations": "none",
        "reshape_activations": "none",
        "metadata": {
            "sae_lens_version": FORMAT_VERSION,
            "sae_lens_training_version": None,
            "reclens": sae.config.canonical(),
        },
    }
    thresholds = sae.thresholds()
    if thresholds is None and not isinstance(sae, TopKAutoencoder):
        raise InvalidInput(
            f"SAELens has no architecture for the kind {sae.config.kind!r}.",
            field="kind",
            remedy="give its class `thresholds`, where a latent fires above one.",
        )
    if thresholds is None:
        config |= {"architecture": "topk", "k": sae.k, "rescale_acts_by_decoder_norm": False}
    else:
        config["architecture"] = "jumprelu"
        tensors["threshold"] = thresholds
    tensors = {name: value.float() for name, value in tensors.items()}
    return write_model(Path(folder), config, tensors, names=(CONFIG, WEIGHTS))


def load_saelens(folder: str | Path) -> SparseAutoencoder:
    """Read an autoencoder that SAELens, or `save_saelens`, wrote; ready for use, gradients off.

    Latents keep their numbers and values. Rows of ``W_dec`` come out with unit length where they
    all have one length there. Where they differ, they go on differing by the same factors, since
    making them equal would change which latents are the strongest.

    Architectures ``topk``, ``jumprelu`` and ``standard`` (a threshold of 0) are read. SAELens does
    not store k for the last two: it is taken from the mean L0 of the training where that is stored.

    Raises:
        MissingData: a file is missing.
        CorruptArtifact: a file cannot be read, or the weights do not fit the configuration.
        InvalidInput: the architecture or its normalisation has no counterpart here.
    """
    folder = Path(folder)
    stored = _read_config(folder)
    tensors = _read_weights(folder, stored)
    W_enc, W_dec, b_enc = tensors["W_enc"], tensors["W_dec"], tensors["b_enc"]
    if stored.get("rescale_acts_by_decoder_norm"):
        lengths = W_dec.norm(dim=1)
        W_enc, b_enc, W_dec = W_enc * lengths, b_enc * lengths, W_dec / lengths[:, None]
    if not stored.get("apply_b_dec_to_input", True):
        b_enc = b_enc + tensors["b_dec"] @ W_enc
    scale = W_dec.square().sum(1).mean().sqrt()
    config = AutoencoderConfig(
        kind="topk" if stored["architecture"] == "topk" else "jumprelu",
        d_model=W_enc.shape[0],
        n_latents=W_enc.shape[1],
        k=_k(stored),
    )
    sae = build_autoencoder(config, W_enc.shape[0])
    filled = {
        "W_enc": W_enc * scale,
        "b_enc": b_enc,
        "W_dec": W_dec / scale,
        "b_dec": torch.zeros_like(tensors["b_dec"]),
        "input_mean": tensors["b_dec"],
        "input_scale": scale,
    }
    if config.kind == "jumprelu":
        threshold = tensors.get("threshold", torch.zeros_like(b_enc))
        filled["log_threshold"] = threshold.clamp_min(_SMALLEST).log()
    sae.load_state_dict(filled)
    return sae.eval().requires_grad_(False)


def _k(stored: dict[str, Any]) -> int:
    metadata = stored.get("metadata") or {}
    ours = metadata.get("reclens") or {}
    k = stored.get("k") or ours.get("k") or round(metadata.get("l0") or 0)
    return min(max(1, int(k)), int(stored["d_sae"]))


def _read_config(folder: Path) -> dict[str, Any]:
    path = require_file(folder / CONFIG, _WRITER)
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        architecture, sizes = stored["architecture"], (stored["d_in"], stored["d_sae"])
    except (ValueError, KeyError, TypeError) as error:
        raise corrupt(path, f"is not a configuration of SAELens 6 ({error!r})") from error
    if not all(isinstance(size, int) and size > 0 for size in sizes):
        raise corrupt(path, f"gives the sizes d_in, d_sae as {sizes}")
    if architecture not in ("topk", "jumprelu", "standard"):
        raise InvalidInput(
            f"architecture {architecture!r} has no counterpart here.",
            field="architecture",
            remedy="give a topk, jumprelu or standard autoencoder; a batchtopk one becomes jumprelu"
            " by SAELens' `save_inference_model`.",
        )
    for name in ("normalize_activations", "reshape_activations"):
        if stored.get(name, "none") != "none":
            raise InvalidInput(
                f"{stored[name]!r} has no counterpart here.",
                field=name,
                remedy="fold it into the weights with SAELens and save the autoencoder again.",
            )
    return stored


def _read_weights(folder: Path, stored: dict[str, Any]) -> dict[str, Tensor]:
    path = folder / WEIGHTS
    tensors = {name: value.float() for name, value in read_tensors(path, _WRITER).items()}
    d_model, n_latents = stored["d_in"], stored["d_sae"]
    expected = {
        "W_enc": [d_model, n_latents],
        "b_enc": [n_latents],
        "W_dec": [n_latents, d_model],
        "b_dec": [d_model],
    }
    if stored["architecture"] == "jumprelu":
        expected["threshold"] = [n_latents]
    shapes = {name: list(value.shape) for name, value in tensors.items()}
    if shapes != expected:
        raise corrupt(path, f"holds {shapes}, {CONFIG} asks for {expected}")
    if not all(bool(value.isfinite().all()) for value in tensors.values()):
        raise corrupt(path, "holds numbers that are not finite")
    return tensors
