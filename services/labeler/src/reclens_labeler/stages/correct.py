"""Stage: machine-made concepts and people's corrections to concepts that say what people say."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from reclens.concepts.labels.table import read_concepts, write_concepts
from reclens.concepts.people.corrections import (
    Measure,
    apply_corrections,
    corrected_metrics,
    measure_by_keywords,
)
from reclens.contracts import ConceptCorrectionsSpec, ConceptsSpec, Progress
from reclens.contracts.specs.corrections import corrections_hash
from reclens.contracts.tables import CONCEPTS
from reclens.contracts.tables.concepts import Judgement, LatentLabel
from reclens.errors import InvalidInput
from reclens.platform.jobs.context import JobContext
from reclens.platform.store.artifacts import ArtifactStore
from reclens.platform.store.label_corrections import CorrectionLog, machine_concepts_of
from reclens_labeler.stages.context import labelling_context


def run(spec: ConceptCorrectionsSpec, job: JobContext) -> dict[str, Any]:
    """Apply the first entries of the autoencoder's log of corrections to machine-made concepts.

    Object made: ``concepts.parquet``. Cases are read only where a concept must be measured anew.

    Raises:
        InvalidInput: the concepts are corrected already, or the log is not the one of the
            specification.
    """
    if machine_concepts_of(job.store, spec.concepts)[0] != spec.concepts:
        raise InvalidInput(
            f"{spec.concepts} holds edits already.",
            field="concepts",
            remedy="name the machine-made concepts under them; the log has all edits.",
        )
    base = job.store.manifest(spec.concepts)
    autoencoder = base.inputs["autoencoder"].artifact
    corrections = CorrectionLog(job.store, autoencoder).read()[: spec.n_edits]
    if len(corrections) != spec.n_edits or corrections_hash(corrections) != spec.edits_sha256:
        raise InvalidInput(
            f"the log of edits to {autoencoder} does not begin with the {spec.n_edits} entries "
            "of the specification.",
            field="edits_sha256",
            remedy="publish the release again; that applies the log as it is.",
        )
    job.progress(Progress(stage="edit", total=len(corrections), unit="edits"))
    labelled = ConceptsSpec.parse(base.spec)

    @cache
    def measure_of_labels() -> Measure:
        job.progress(Progress(stage="measure"))
        return _measure_of(labelled, job.store)

    def measure(rows: Sequence[LatentLabel]) -> Judgement | None:
        return measure_of_labels()(rows)

    machine = read_concepts(job.store.fetch(spec.concepts, CONCEPTS.file))
    rows = apply_corrections(machine, corrections, measure)
    path = job.folder / CONCEPTS.file
    write_concepts(rows, path)
    job.add(path)
    return corrected_metrics(base.metrics, rows, corrections)


def _measure_of(labelled: ConceptsSpec, store: ArtifactStore) -> Measure:
    """The keyword matcher, on the cases that the labels were judged on."""
    # Other judges are not asked, so neither is their model needed.
    by_keywords = labelled.model_copy(update={"source": "keywords", "judges": ("keywords",)})
    return measure_by_keywords(labelling_context(by_keywords, store))
