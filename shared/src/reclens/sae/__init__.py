"""Sparse autoencoders: a representation as a few latents out of many."""

from reclens.contracts import AutoencoderConfig
from reclens.sae.activations.sources import ActivationSource
from reclens.sae.analysis.metrics import (
    AutoencoderReport,
    HeldOutMetrics,
    LatentStatistics,
    latent_statistics,
    measure,
    report,
    untrained_like,
)
from reclens.sae.architectures.base import Activations, SparseAutoencoder
from reclens.sae.architectures.codes import Codes
from reclens.sae.architectures.losses import Scorer, auxiliary_loss, fvu
from reclens.sae.architectures.registry import build_autoencoder, load_autoencoder
from reclens.sae.training.trainer import AutoencoderTrainer, train_autoencoder

__all__ = [
    "ActivationSource",
    "Activations",
    "AutoencoderConfig",
    "AutoencoderReport",
    "AutoencoderTrainer",
    "Codes",
    "HeldOutMetrics",
    "LatentStatistics",
    "Scorer",
    "SparseAutoencoder",
    "auxiliary_loss",
    "build_autoencoder",
    "fvu",
    "latent_statistics",
    "load_autoencoder",
    "measure",
    "report",
    "train_autoencoder",
    "untrained_like",
]
