"""Stage: machine-made concepts and people's edits to concepts that say what people say."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

from reclens.adapters.editlog import EditLog, base_of
from reclens.contracts import ConceptsSpec, Progress, edits_hash
from reclens.contracts.tables import CONCEPTS, LATENTS
from reclens.errors import InvalidInput

if TYPE_CHECKING:
    from reclens.adapters.artifacts import ArtifactStore
    from reclens.adapters.jobs import JobContext
    from reclens.concepts.confidence import Confidence
    from reclens.concepts.edits import Measure
    from reclens.concepts.grouping import LatentLabel
    from reclens.contracts import ConceptsEditSpec


def run(spec: ConceptsEditSpec, job: JobContext) -> dict[str, Any]:
    """Apply the first entries of the autoencoder's log of edits to machine-made concepts.

    Object made: ``concepts.parquet``. Cases are read only where a concept must be measured anew.

    Raises:
        InvalidInput: the concepts are edited already, or the log is not the one of the
            specification.
    """
    from reclens.concepts.edits import apply_edits, edited_metrics
    from reclens.concepts.table import read_concepts, write_concepts

    if base_of(job.store, spec.concepts)[0] != spec.concepts:
        raise InvalidInput(
            f"{spec.concepts} holds edits already.",
            field="concepts",
            remedy="name the machine-made concepts under them; the log has all edits.",
        )
    base = job.store.manifest(spec.concepts)
    autoencoder = base.inputs["autoencoder"].artifact
    edits = EditLog(job.store, autoencoder).read()[: spec.n_edits]
    if len(edits) != spec.n_edits or edits_hash(edits) != spec.edits_sha256:
        raise InvalidInput(
            f"the log of edits to {autoencoder} does not begin with the {spec.n_edits} entries "
            "of the specification.",
            field="edits_sha256",
            remedy="publish the release again; that applies the log as it is.",
        )
    job.progress(Progress(stage="edit", total=len(edits), unit="edits"))
    labelled = ConceptsSpec.parse(base.spec)

    @cache
    def measure_of_labels() -> Measure:
        job.progress(Progress(stage="measure"))
        return _measure_of(labelled, job.store)

    def measure(rows: Sequence[LatentLabel]) -> Confidence | None:
        return measure_of_labels()(rows)

    machine = read_concepts(job.store.fetch(spec.concepts, CONCEPTS))
    rows = apply_edits(machine, edits, measure)
    path = job.folder / CONCEPTS
    write_concepts(rows, path)
    job.add(path)
    return edited_metrics(base.metrics, rows, edits)


def _measure_of(labelled: ConceptsSpec, store: ArtifactStore) -> Measure:
    """The measure that the labels were judged with, on the cases that they were judged on."""
    from reclens.concepts.cases import Cases, CaseSplit, read_cases
    from reclens.concepts.remeasuring import keyword_measure
    from reclens.data import read_dataset

    items = read_dataset(store.fetch_all(labelled.dataset)).items
    scale = pq.read_table(store.fetch(labelled.autoencoder, LATENTS), columns=["p99"])["p99"]
    names = [entry.name for entry in store.manifest(labelled.autoencoder).objects]
    codes = [
        store.fetch(labelled.autoencoder, name)
        for name in sorted(fnmatch.filter(names, "codes-*.parquet"))
    ]

    def cases(split: CaseSplit) -> Cases:
        return read_cases(
            codes,
            split,
            items.ids,
            len(scale),
            max_cases=labelled.max_cases,
            seed=labelled.seed,
        )

    return keyword_measure(
        cases("construct"), cases("verify"), items, scale.to_numpy(), options=labelled
    )
