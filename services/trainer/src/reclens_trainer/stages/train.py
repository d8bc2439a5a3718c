"""Stage: captured activations to an autoencoder, its held-out report and its codes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reclens.contracts import Progress
from reclens.contracts.tables import CODE_SHARD, LATENTS, SERVED_SPLITS
from reclens.errors import InvalidInput

if TYPE_CHECKING:
    from reclens.contracts import AutoencoderSpec
    from reclens.platform.jobs.context import JobContext
    from reclens.sae import Scorer

TRAIN_SPLITS = ("train",)
"""Users whose activations are trained on. The report is on all others."""


def run(spec: AutoencoderSpec, job: JobContext) -> dict[str, Any]:
    """Train on the ``train`` users, measure and encode the users of all other splits.

    Objects made: ``config.json``, ``weights.safetensors``, ``latents.parquet`` and one
    ``codes-NNNNN.parquet`` for each activation shard that has users to encode.

    Returns:
        The report, and ``training_seconds``: wall time until the last step over all segments,
        without measuring and encoding.

    Raises:
        InvalidInput: there is nothing to train on or to measure, widths differ, or the
            prediction-aware term is asked for at a site that no prediction layer follows.
        NotReady: the worker's device is not there.
        CorruptArtifact: an activation is missing or not finite; names shard and row.
    """
    from reclens.device import device_label, resolve_device
    from reclens.sae import AutoencoderTrainer, latent_statistics, report
    from reclens_trainer.stages.activations import ActivationShards
    from reclens_trainer.stages.tables import write_codes, write_latents

    trained = ActivationShards(job.store, spec.activations, TRAIN_SPLITS)
    held_out = ActivationShards(job.store, spec.activations, SERVED_SPLITS)

    device = resolve_device(job.settings.device)
    job.computes_on(device_label(device))
    trainer = AutoencoderTrainer(
        trained,
        spec.config,
        _scorer(spec, job),
        device=device,
        compiled=job.settings.compile,
    )
    job.drive(trainer)
    training_seconds = job.seconds
    sae = trainer.sae
    for name in sae.save(job.folder):
        job.add(job.folder / name)

    job.progress(Progress(stage="report"))
    measured = report(sae, held_out, activations_seen=trainer.activations_seen, curve=trainer.curve)
    job.progress(Progress(stage="latents"))
    write_latents(latent_statistics(sae, trained), job.folder / LATENTS.file)
    job.add(job.folder / LATENTS.file)

    written = 0
    for i in range(len(held_out)):
        job.progress(Progress(stage="encode", step=i, total=len(held_out), unit="shards"))
        path = job.folder / CODE_SHARD.file.format(written)
        if write_codes(sae, held_out, i, path):
            job.add(path)
            path.unlink()
            written += 1
    return {**measured.as_metrics(), "training_seconds": training_seconds}


def _scorer(spec: AutoencoderSpec, job: JobContext) -> Scorer | None:
    """The recommender's prediction layer, where training needs it."""
    if not spec.config.prediction_coefficient:
        return None
    from reclens.probing import ProbeSite
    from reclens.recommenders import load_recommender
    from reclens.sae import Scorer

    store = job.store
    model = load_recommender(store.fetch_all(store.lineage(spec.activations)["recommender"]))
    site = store.manifest(spec.activations).spec["site"]
    if site is not None and ProbeSite(**site) != model.site:
        raise InvalidInput(
            f"the activations are of {site['module']}[{site['position']}], which items are not "
            "scored from.",
            field="config.prediction_coefficient",
            remedy="set it to 0, or capture at the model's own site.",
        )
    return Scorer(model.item_weights().detach(), model.item_biases().detach())
