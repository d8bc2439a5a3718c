"""Reads and completes the YAML file that ``reclens submit`` sends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from reclens.contracts import (
    AutoencoderSpec,
    DatasetSpec,
    JobSpec,
    PipelineSpec,
    data_paths,
    job_kinds,
)
from reclens.contracts.specs.autoencoder import AUTOENCODERS
from reclens.data import checksums
from reclens.errors import InvalidInput, InvalidSpec
from reclens.platform.files import read_text
from reclens.platform.settings.models import DataSettings


class JobRequest(NamedTuple):
    """What is sent."""

    task: str
    """Its name."""
    spec: dict[str, Any]
    """Its canonical specification."""


def read_spec_file(path: Path, data: DataSettings | None = None) -> JobRequest:
    """Read, validate and complete a file with ``task`` and ``spec``.

    Sources on this machine get an absolute path and, where none are given, the checksums of their
    files: the worker then reads exactly these bytes or refuses.

    Args:
        path: of the file.
        data: settings for data of this machine, if they are the worker's, too.

    Raises:
        MissingData: there is no such file, or a part of the source is missing.
        InvalidInput: it is not in UTF-8, or names a file that the worker would not take.
        InvalidSpec: it is not YAML, or the specification does not validate.
    """
    try:
        document = yaml.safe_load(read_text(path, field="spec"))
    except yaml.YAMLError as error:
        raise InvalidSpec(
            f"{path} is not YAML: {' '.join(str(error).split())}.",
            field="spec",
            remedy="see the examples in docs/reference/jobs.md.",
        ) from error
    return complete(document, data)


def anew(
    request: JobRequest, stages: Sequence[str], exists: Callable[[str], bool]
) -> tuple[JobRequest, dict[str, int]]:
    """The request with artifacts made anew that exist: their ``remake`` is counted up.

    Args:
        request: from `read_spec_file`.
        stages: of a pipeline; a job of one artifact has none.
        exists: tells whether there is an artifact.

    Returns:
        The request, and each ``remake`` by the field that it is of.

    Raises:
        InvalidInput: the job makes no artifact, or has other stages.
    """
    spec = job_kinds()[request.task].spec.parse(request.spec)
    if isinstance(spec, PipelineSpec):
        known = [stage.name for stage in spec.plan() if hasattr(spec, stage.name)]
        known.remove("release")
    else:
        known = [] if isinstance(spec, JobSpec) else None
    if known is None or (known and not stages) or set(stages) - set(known):
        raise InvalidInput(
            f"{request.task} cannot make {', '.join(stages) or 'that'} anew.",
            field="stage",
            remedy=f"give --stage with one of {', '.join(known)}." if known else "leave it out.",
        )
    counted: dict[str, int] = {}
    if isinstance(spec, JobSpec):
        while exists(spec.artifact_ref()):
            spec = spec.model_copy(update={"remake": spec.remake + 1})
            counted["spec.remake"] = spec.remake
    else:
        assert isinstance(spec, PipelineSpec)
        # In their order: what is made from another artifact is another one, too.
        for name in (name for name in known if name in stages):
            while exists(next(one.artifact for one in spec.plan() if one.name == name)):
                options = getattr(spec, name)
                options = options.model_copy(update={"remake": options.remake + 1})
                spec = spec.model_copy(update={name: options})
                counted[f"spec.{name}.remake"] = options.remake
    return JobRequest(request.task, spec.canonical()), counted


def complete(document: Any, data: DataSettings | None = None) -> JobRequest:
    """Validate and complete a mapping with ``task`` and ``spec``, see `read_spec_file`.

    Raises:
        InvalidSpec: the specification does not validate.
        InvalidInput: it names a file that the worker would not take.
        MissingData: a part of the source is missing.
        NotFound: no package that is installed here offers the kind of autoencoder.
    """
    if not isinstance(document, dict) or set(document) - {"task", "spec"}:
        raise InvalidSpec(
            "expected two keys at the top: task and spec.", remedy="see docs/reference/jobs.md."
        )
    task = document.get("task")
    submitted = {name: kind for name, kind in job_kinds().items() if not kind.internal}
    if task not in submitted:
        raise InvalidSpec(
            f"there is no task {task!r} to submit.",
            field="task",
            remedy=f"choose one of {', '.join(submitted)}.",
        )
    spec = submitted[task].spec.parse(document.get("spec") or {})
    for field, named in data_paths(spec):
        if data is not None and data.folders():
            data.admit(named, field)
    if isinstance(spec, DatasetSpec):
        spec = _pinned(spec)
    elif isinstance(spec, PipelineSpec):
        AUTOENCODERS.version(spec.autoencoder.config.kind)
        spec = spec.model_copy(update={"dataset": _pinned(spec.dataset)})
    elif isinstance(spec, AutoencoderSpec):
        AUTOENCODERS.version(spec.config.kind)
    return JobRequest(task, spec.canonical())


def _pinned(dataset: DatasetSpec) -> DatasetSpec:
    source = dataset.source
    if source is None or not Path(source.path).exists():
        # Without a source there is nothing to pin; a path of another machine is the worker's.
        return dataset
    items = None if source.items_path is None else str(Path(source.items_path).resolve())
    found = source.model_copy(
        update={"path": str(Path(source.path).resolve()), "items_path": items}
    )
    if not source.sha256:
        found = found.model_copy(update={"sha256": checksums(found)})
    return dataset.model_copy(update={"source": found})
