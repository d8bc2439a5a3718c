"""Imports a data set: obtain the raw files, read, filter, index, split, store."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from reclens.contracts import DatasetSpec, Progress, SourceSpec
from reclens.data import (
    Dataset,
    Split,
    check_account,
    checksums,
    import_dataset,
    published_source,
    source_files,
    verify_checksums,
    write_dataset,
)
from reclens.data.prepare import Imported
from reclens.errors import InvalidInput
from reclens.platform.datasets.obtain import Obtained, obtain
from reclens.platform.jobs.context import JobContext

_STEPS = ("obtain", "prepare", "write")
# Reading is one piece, and its progress is what it has computed: a kill that comes later than any
# before it says nothing against the files. In CPU seconds, from one step to the next.
_READING_STEP = 10
# Whoever computes for longer is not told of any more, and in the end taken for stuck.
_LONGEST_READING = 3600
_LOOK_SECONDS = 1.0


def run(spec: DatasetSpec, job: JobContext) -> dict[str, Any]:
    """Make the tables of the data set.

    Returns:
        Numbers of ``users``, ``items``, ``interactions``, of those ``train``, ``valid`` and
        ``test``; ``density`` (interactions over users times items); ``source`` of the raw files
        and their SHA-256 by name in ``files``; ``account`` (`ImportAccount`).

    Raises:
        MissingData: the raw files are not there and cannot be obtained.
        MalformedData: a row cannot be read.
        InvalidInput: the files are others than the specification pins, not below the folders that
            the worker takes data from, nothing is left of them, or (almost) nothing to train or to
            test on; or something is odd, and the specification ``strict``.
    """
    job.progress(_at("obtain"))
    with ExitStack() as opened:
        if spec.source is not None:
            source = _opened(spec.source, job, opened)
            spec = spec.model_copy(update={"source": source})
        imported = Import(spec, job, _obtain(spec, job))
        job.drive(imported)
    return imported.metrics


def _opened(source: SourceSpec, job: JobContext, opened: ExitStack) -> SourceSpec:
    """``source`` by links to its files, open for the life of ``opened``: what a path leads to may
    be changed between a look at it and its reading."""
    chosen, located = Path(source.path), source_files(source)
    folder = job.folder / "source" / (chosen.name if chosen.is_dir() else chosen.parent.name)
    paths = {"path": folder / chosen.name if chosen in located.all() else folder}
    for path in located.all():
        # What a reader finds beside the file that the specification names may be a link, too.
        file = opened.enter_context(job.settings.data.opened(path, "source.path"))
        link = folder / path.name
        if source.items_path is not None and path == Path(source.items_path):
            # Two of one name are for `checksums` to refuse.
            paths["items_path"] = link = folder / "items" / path.name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)  # of an attempt before
        link.symlink_to(file)
    return source.model_copy(update={name: str(path) for name, path in paths.items()})


class Import:
    """From raw files to stored tables. It goes on after the tables that are stored; until one is,
    all that is kept are the downloaded files, in the worker's cache.

    Attributes:
        metrics: of the data set, once it is read.
    """

    def __init__(self, spec: DatasetSpec, job: JobContext, obtained: Obtained) -> None:
        source = spec.source or published_source(spec.name, obtained.folder)
        self.metrics = {"source": obtained.origin, "files": checksums(source)}
        self._spec = spec
        self._job = job
        self._folder = obtained.folder
        self._stored: list[str] = []

    def steps(self) -> Iterator[Progress]:
        """Read the files, and store the tables that are not yet."""
        yield _at("prepare")
        dataset, account = self._read()
        check_account(account, self._spec)
        self.metrics |= {**_counts(dataset), "account": account.canonical()}
        yield _at("write")
        for name in write_dataset(dataset, self._job.folder):
            if name not in self._stored:
                self._job.add(self._job.folder / name)
                self._stored.append(name)
                yield _at("write")

    def _read(self) -> Imported:
        """Read the files in a thread, and say meanwhile that they are read."""
        began, told = time.process_time(), 0
        with ThreadPoolExecutor(1, "reading") as pool:
            reading = pool.submit(import_dataset, self._spec, self._folder)
            while not wait([reading], _LOOK_SECONDS).done:
                step = int(time.process_time() - began) // _READING_STEP * _READING_STEP
                if told < step < _LONGEST_READING:
                    self._job.progress(Progress(stage="read", step=step, unit="CPU seconds"))
                    told = step
            return reading.result()

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """The names of the tables that are stored, and the files that they were made from."""
        return {}, {"stored": list(self._stored), "files": self.metrics["files"]}

    def restore(self, tensors: dict[str, np.ndarray], meta: dict[str, Any]) -> None:
        """Store the others.

        Raises:
            InvalidInput: the raw files have changed since.
        """
        if meta["files"] != self.metrics["files"]:
            raise InvalidInput("the raw files are others than before.", field="source")
        self._stored = list(meta["stored"])


def _obtain(spec: DatasetSpec, job: JobContext) -> Obtained:
    if spec.source is None:
        settings = job.settings
        return obtain(spec.name, settings.cache_dir, settings.data.folder(spec.name))
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


def _at(stage: str) -> Progress:
    return Progress(stage=stage, step=_STEPS.index(stage), total=len(_STEPS), unit="stages")
