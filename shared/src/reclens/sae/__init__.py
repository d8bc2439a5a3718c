"""Sparse autoencoders: a representation as a few latents out of many."""

from reclens.contracts import AutoencoderConfig
from reclens.sae.base import SparseAutoencoder
from reclens.sae.codes import Codes
from reclens.sae.latent_statistics import LatentStatistics, latent_statistics
from reclens.sae.losses import auxiliary_loss, fvu
from reclens.sae.metrics import AutoencoderReport, HeldOutMetrics, measure, report, untrained_like
from reclens.sae.prediction import Scorer
from reclens.sae.registry import build_autoencoder, load_autoencoder
from reclens.sae.sources import ActivationSource
from reclens.sae.trainer import AutoencoderTrainer
from reclens.sae.training import train_autoencoder

__all__ = [
    "ActivationSource",
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
