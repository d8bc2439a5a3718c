"""Training in one call."""

from __future__ import annotations

from typing import Any

from reclens.contracts import AutoencoderConfig
from reclens.device import resolve_device
from reclens.errors import InvalidInput
from reclens.sae.activations.sources import RowShare, as_source
from reclens.sae.analysis.metrics import AutoencoderReport, report
from reclens.sae.architectures.base import SparseAutoencoder
from reclens.sae.training.trainer import AutoencoderTrainer

HELD_OUT_SHARE = 0.1
"""Share of the rows that is not trained on where no held-out activations are given."""


def train_autoencoder(
    x: Any,
    config: AutoencoderConfig | None = None,
    *,
    held_out: Any = None,
    device: str = "cpu",
    compiled: bool = False,
) -> tuple[SparseAutoencoder, AutoencoderReport]:
    """Train a sparse autoencoder on activations and measure it on others.

    Args:
        x: array or tensor [rows, d_model], a sequence or iterator of such shards, or an
            `ActivationSource`. Shards are never in memory all at once.
        config: architecture and training. None: the defaults.
        held_out: activations for the report, in any of the same forms. None: a tenth of the rows
            of ``x``, by the config's seed. Rows of one user are alike: to hold out users, give
            their activations here.
        device: where to train: ``cpu``, ``cuda``, ``cuda:N`` or ``auto``.
        compiled: compile the step on a GPU with ``torch.compile``.

    Returns:
        The autoencoder, on ``device`` and ready for use, and its held-out report. The same data,
        config and machine give the same bytes.

    Raises:
        InvalidInput: the data are empty, constant, not finite, or not ``config.d_model`` wide.
        NotReady: the device is not there.
    """
    config = config or AutoencoderConfig()
    source = as_source(x)
    if not len(source):
        raise InvalidInput(
            "there are no activations to train on.", field="x", remedy="pass at least one shard."
        )
    if held_out is None:
        share, seed = 1 - HELD_OUT_SHARE, config.seed
        trained = RowShare(source, share=share, seed=seed, side="keep")
        measured = RowShare(source, share=share, seed=seed, side="drop")
    else:
        trained, measured = source, as_source(held_out)
    trainer = AutoencoderTrainer(trained, config, device=resolve_device(device), compiled=compiled)
    for _ in trainer.steps():
        pass
    sae = trainer.sae
    return sae, report(
        sae, measured, activations_seen=trainer.activations_seen, curve=trainer.curve
    )
