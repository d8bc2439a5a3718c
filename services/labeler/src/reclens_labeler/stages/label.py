"""Stage: an autoencoder's codes and a data set's item text to labelled, measured concepts."""

from __future__ import annotations

import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow.parquet as pq

from reclens.contracts import Progress
from reclens.contracts.tables import CONCEPTS, LATENTS
from reclens.errors import InvalidInput

if TYPE_CHECKING:
    from reclens.adapters.jobs import JobContext
    from reclens.contracts import ConceptsSpec

_CODES: Final = "codes-*.parquet"


def run(spec: ConceptsSpec, job: JobContext) -> dict[str, Any]:
    """Label every latent from the ``construct`` users, judge every label on the ``verify`` users.

    Object made: ``concepts.parquet``.

    Raises:
        InvalidInput: the data set is not the one that the autoencoder's recommender learned from.
        MissingData: the codes hold no construct or no verify user.
        MalformedData: codes and data set, or codes and latents, do not fit.
    """
    from reclens.concepts.cases import Cases, CaseSplit, read_cases
    from reclens.concepts.labelling import label_latents
    from reclens.concepts.table import write_concepts
    from reclens.data import read_dataset

    learned = job.store.lineage(spec.autoencoder).get("dataset")
    if learned != spec.dataset:
        raise InvalidInput(
            f"{spec.autoencoder} comes from {learned}, not from {spec.dataset}.",
            field="dataset",
            remedy="name the data set that the recommender was trained on.",
        )
    job.progress(Progress(stage="read"))
    items = read_dataset(job.store.fetch_all(spec.dataset)).items
    scale = _scale(job.store.fetch(spec.autoencoder, LATENTS))
    names = [entry.name for entry in job.store.manifest(spec.autoencoder).objects]
    shards = [
        job.store.fetch(spec.autoencoder, name) for name in sorted(fnmatch.filter(names, _CODES))
    ]

    def cases(split: CaseSplit) -> Cases:
        return read_cases(
            shards, split, items.ids, len(scale), max_cases=spec.max_cases, seed=spec.seed
        )

    labelling = label_latents(cases("construct"), cases("verify"), items, scale, options=spec)
    path = job.folder / CONCEPTS
    write_concepts(labelling.rows, path)
    job.add(path)
    return labelling.metrics


def _scale(path: Path) -> np.ndarray:
    """The 99th percentile of each latent, float32 [n_latents]."""
    return pq.read_table(path, columns=["p99"])["p99"].to_numpy()
