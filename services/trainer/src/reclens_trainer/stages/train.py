"""Stage: captured activations to an autoencoder, its held-out report and its codes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reclens.contracts import Progress
from reclens.contracts.tables import CODE_SHARD, LATENTS, SERVED_SPLITS

if TYPE_CHECKING:
    from reclens.adapters.jobs import JobContext
    from reclens.contracts import AutoencoderSpec

TRAIN_SPLITS = ("train",)
"""Users whose activations are trained on. The report is on all others."""


def run(spec: AutoencoderSpec, job: JobContext) -> dict[str, Any]:
    """Train on the ``train`` users, measure and encode the users of all other splits.

    Objects made: ``config.json``, ``weights.safetensors``, ``latents.parquet`` and one
    ``codes-NNNNN.parquet`` for each activation shard that has users to encode.

    Raises:
        InvalidInput: there is nothing to train on or to measure, or widths differ.
        CorruptArtifact: an activation is missing or not finite; names shard and row.
    """
    from reclens.sae import AutoencoderTrainer, latent_statistics, report
    from reclens_trainer.stages.activations import ActivationShards
    from reclens_trainer.stages.tables import write_codes, write_latents

    trained = ActivationShards(job.store, spec.activations, TRAIN_SPLITS)
    held_out = ActivationShards(job.store, spec.activations, SERVED_SPLITS)

    trainer = AutoencoderTrainer(trained, spec.config)
    job.drive(trainer)
    sae = trainer.sae
    for name in sae.save(job.folder):
        job.add(job.folder / name)

    job.progress(Progress(stage="report"))
    measured = report(sae, held_out, activations_seen=trainer.activations_seen, curve=trainer.curve)
    job.progress(Progress(stage="latents"))
    write_latents(latent_statistics(sae, trained), job.folder / LATENTS)
    job.add(job.folder / LATENTS)

    written = 0
    for i in range(len(held_out)):
        job.progress(Progress(stage="encode", step=i, total=len(held_out), unit="shards"))
        path = job.folder / CODE_SHARD.format(written)
        if write_codes(sae, held_out, i, path):
            job.add(path)
            path.unlink()
            written += 1
    return measured.as_metrics()
