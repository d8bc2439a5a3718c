"""Imports a data set: obtain the raw files, read, filter, index, split, store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from reclens.contracts import DatasetSpec, Progress
from reclens.data import (
    Dataset,
    Split,
    checksums,
    prepare,
    published_source,
    source_files,
    verify_checksums,
    write_dataset,
)
from reclens.platform.datasets.obtain import Obtained, obtain
from reclens.platform.jobs.context import JobContext

_STEPS = ("obtain", "prepare", "write")


def run(spec: DatasetSpec, job: JobContext) -> dict[str, Any]:
    """Make the tables of the data set.

    Returns:
        Numbers of ``users``, ``items``, ``interactions``, of those ``train``, ``valid`` and
        ``test``; ``density`` (interactions over users times items); ``source`` of the raw files
        and their SHA-256 by name in ``files``.

    Raises:
        MissingData: the raw files are not there and cannot be obtained.
        MalformedData: a row cannot be read.
        InvalidInput: the files are others than the specification pins, not below the folders that
            the worker takes data from, or nothing is left of them.
    """
    _report(job, "obtain")
    obtained = _obtain(spec, job)
    _report(job, "prepare")
    dataset = prepare(spec, obtained.folder)
    _report(job, "write")
    for name in write_dataset(dataset, job.folder):
        job.add(job.folder / name)
    source = spec.source or published_source(spec.name, obtained.folder)
    return {**_counts(dataset), "source": obtained.origin, "files": checksums(source)}


def _obtain(spec: DatasetSpec, job: JobContext) -> Obtained:
    if spec.source is None:
        settings = job.settings
        return obtain(spec.name, settings.cache_dir, settings.data.folder(spec.name))
    # What a reader finds beside the file that the specification names may be a link, too.
    for path in source_files(spec.source).all():
        job.settings.data.admit(path, "source.path")
    verify_checksums(spec.source)
    return Obtained(Path(spec.source.path), spec.source.format)


def _counts(dataset: Dataset) -> dict[str, Any]:
    interactions = dataset.interactions
    return {
        "users": dataset.n_users,
        "items": dataset.n_items,
        "interactions": len(interactions),
        **{split.label: interactions.count(split) for split in Split},
        "density": len(interactions) / (dataset.n_users * dataset.n_items),
    }


def _report(job: JobContext, stage: str) -> None:
    job.progress(Progress(stage=stage, step=_STEPS.index(stage), total=len(_STEPS), unit="stages"))
