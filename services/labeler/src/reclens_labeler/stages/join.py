"""Stage: all shards of a labelling to its concepts."""

from __future__ import annotations

from typing import Any

from reclens.concepts.labels.duplicates import CONFIG, WEIGHTS, read_decoder
from reclens.concepts.labels.joining import Directions, join_latents
from reclens.concepts.labels.shards import read_shard
from reclens.concepts.labels.table import write_concepts
from reclens.contracts import AutoencoderConfig, ConceptShardSpec, ConceptsSpec, Progress
from reclens.contracts.tables import CONCEPTS
from reclens.platform.jobs.context import JobContext
from reclens.platform.store.artifacts import ArtifactStore
from reclens_labeler.stages.context import forget_labelling_context, labelling_context
from reclens_labeler.stages.label import SHARD, llm_metrics


def run(spec: ConceptsSpec, job: JobContext) -> dict[str, Any]:
    """Verify every shard and join their latents to concepts.

    Object made: ``concepts.parquet``.

    Raises:
        NotFound: a shard is missing.
        CorruptArtifact: a shard holds other bytes than its manifest promises, or other latents.
    """
    job.progress(Progress(stage="read"))
    context = labelling_context(spec, job.store)
    latents = [
        one
        for shard in ConceptShardSpec.of(spec, context.n_latents)
        for one in read_shard(job.store.fetch(shard.artifact_ref(), SHARD), shard.latents)
    ]

    def report(done: int, total: int) -> None:
        job.progress(Progress(stage="join", step=done, total=total, unit="concepts"))

    directions = _directions(spec.autoencoder, job.store)
    labelling = join_latents(context, latents, directions=directions, on_concept=report)
    path = job.folder / CONCEPTS.file
    write_concepts(labelling.rows, path)
    job.add(path)
    forget_labelling_context(spec)
    if not spec.asks_llm:
        return labelling.metrics
    return {**labelling.metrics, **llm_metrics(latents, job.settings.llm)}


def _directions(autoencoder: str, store: ArtifactStore) -> Directions:
    config = AutoencoderConfig.parse(store.fetch(autoencoder, CONFIG).read_bytes())
    return Directions(read_decoder(store.fetch(autoencoder, WEIGHTS)), config.latent_levels)
