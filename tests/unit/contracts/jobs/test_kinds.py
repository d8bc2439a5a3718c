"""Kinds of job: what is derived from their declarations, and what declarations are refused."""

from __future__ import annotations

import importlib
import importlib.metadata
import inspect
from dataclasses import replace

import pytest

from reclens.contracts import (
    ArtifactKind,
    DatasetSpec,
    JobKind,
    JobSpec,
    QueueName,
    ReleaseSpec,
    WorkerName,
    job_kinds,
)
from reclens.contracts.specs.concepts import CONCEPTS_LABEL
from reclens.contracts.specs.dataset import DATASET_IMPORT
from reclens.contracts.specs.release import RELEASE_PUBLISH
from reclens.errors import InvalidInput


@pytest.mark.parametrize("kind", job_kinds().values(), ids=job_kinds())
def test_stage_and_action_are_functions_that_take_what_the_runner_gives(kind: JobKind):
    for name, given in ((kind.stage, 2), (kind.action, 3)):
        if name is not None:
            module, function = name.split(":")
            found = getattr(importlib.import_module(module), function)
            assert len(inspect.signature(found).parameters) == given


def test_every_kind_of_artifact_is_made_by_some_job():
    assert {kind.makes for kind in job_kinds().values()} - {None} == set(ArtifactKind)


def test_a_specification_knows_the_job_that_makes_its_artifact():
    assert DatasetSpec.JOB is DATASET_IMPORT
    # The one that joins its shards has the same specification, and makes nothing under its own id.
    assert CONCEPTS_LABEL.spec.JOB is CONCEPTS_LABEL


class OtherSpec(JobSpec):
    """A specification of nothing."""


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"stage": None}, "makes"),
        ({"makes": None}, "makes"),
        ({"makes": None, "stage": None}, "stage"),
        ({"spec": ReleaseSpec}, "spec"),
        ({"task": "another.v1"}, "spec"),
    ],
)
def test_a_declaration_that_does_not_fit_together_is_refused(
    changes: dict[str, object], field: str
):
    with pytest.raises(InvalidInput) as caught:
        replace(DATASET_IMPORT, **changes)
    assert caught.value.field == field
    assert DatasetSpec.JOB is DATASET_IMPORT


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (replace(RELEASE_PUBLISH, task="toy.other.v1"), "entry point 'toy.v1'"),
        (
            replace(RELEASE_PUBLISH, task="toy.v1", owner=WorkerName.TRAINER),
            "would both consume",
        ),
        (ReleaseSpec, "is not a reclens.contracts.JobKind"),
    ],
    ids=["other name", "other worker's queue", "no job"],
)
def test_a_package_whose_job_does_not_fit_is_named(
    kind: object, said: str, monkeypatch: pytest.MonkeyPatch
):
    from importlib.metadata import EntryPoint, entry_points

    from reclens import extensions

    point = EntryPoint("toy.v1", f"{__name__}:toy", "reclens.jobs")
    monkeypatch.setattr(EntryPoint, "load", lambda self: kind if self is point else _load(self))
    monkeypatch.setattr(
        extensions, "entry_points", lambda *, group: [*entry_points(group=group), point]
    )
    with pytest.raises(InvalidInput, match=said):
        job_kinds()


_load = importlib.metadata.EntryPoint.load


def test_queues_are_those_that_workers_are_started_for():
    assert {kind.queue for kind in job_kinds().values()} == set(QueueName)
    assert {kind.owner for kind in job_kinds().values()} == set(WorkerName)
