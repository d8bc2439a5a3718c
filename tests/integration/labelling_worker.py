"""The labeler's own tasks, with a labeller that misbehaves on demand.

Files in ``FOLDER`` say how, named by the seed of the labelling and the first latent of a shard.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from celery import Task

from reclens.concepts.labels.labelling import LabelledLatent, Labeller, LabellingContext
from reclens.contracts import ConceptShardSpec, ConceptsSpec, JobResult, WorkerName
from reclens.contracts.specs.activations import ACTIVATIONS_CAPTURE
from reclens.contracts.specs.autoencoder import AUTOENCODER_TRAIN
from reclens.contracts.specs.concepts import CONCEPTS_JOIN, CONCEPTS_LABEL, CONCEPTS_SHARD
from reclens.contracts.specs.corrections import CONCEPTS_EDIT
from reclens.contracts.specs.dataset import DATASET_IMPORT
from reclens.contracts.specs.pipeline import PIPELINE_RUN
from reclens.contracts.specs.recommender import RECOMMENDER_TRAIN
from reclens.contracts.specs.release import RELEASE_CHANGE, RELEASE_PUBLISH
from reclens.errors import InvalidInput, Unavailable
from reclens.platform.celery.worker import run_worker
from reclens.platform.jobs.context import JobContext
from reclens.platform.jobs.runner import JobRunner
from reclens_labeler import fanout
from reclens_labeler.stages import label

_OTHERS = 12  # latents of the three other shards
FOLDER = Path(os.environ.get("LABELLING_FOLDER", "."))


class Away(Unavailable):
    """As a language model's server that loads for long."""

    long_outage: ClassVar[bool] = True


class Misbehaving:
    """Labels as it should, and before each latent looks for what to do wrong."""

    def __init__(self, labeller: Labeller, spec: ConceptShardSpec) -> None:
        self._labeller = labeller
        self._name = f"{spec.seed}-{spec.first}"
        self._seed = spec.seed
        self._note("runs", str(os.getpid()))

    def label(self, latents: Sequence[int]) -> Iterator[LabelledLatent]:
        for one in self._labeller(latents):
            self._misbehave(one.row.latent)
            self._note("latents", str(one.row.latent))
            yield one

    def _misbehave(self, latent: int) -> None:
        in_the_middle = latent % 4 == 2
        if in_the_middle and self._asked("fail"):
            raise InvalidInput("a planted fault.", field="plant", remedy="dig it up.")
        if in_the_middle and self._asked("bug"):
            raise ZeroDivisionError("no deliberate error")
        if self._asked("poison"):
            # The others of the process would be killed too, and lose a delivery each.
            while not self._others_are_done():
                time.sleep(0.01)
            os.kill(os.getpid(), signal.SIGKILL)
        if in_the_middle and self._asked("kill"):
            (FOLDER / f"{self._name}.kill").unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        if in_the_middle and (self._asked("away") or (FOLDER / f"{self._seed}.away").exists()):
            raise Away("http://127.0.0.1:9: answered 503")
        if in_the_middle and self._asked("hold"):
            (FOLDER / f"{self._name}.holding").touch()
            while self._asked("hold"):
                time.sleep(0.01)

    def _others_are_done(self) -> bool:
        made = [path.read_text().split() for path in FOLDER.glob(f"{self._seed}-*.latents")]
        return sum(map(len, made)) >= _OTHERS

    def _asked(self, what: str) -> bool:
        return (FOLDER / f"{self._name}.{what}").exists()

    def _note(self, what: str, line: str) -> None:
        with (FOLDER / f"{self._name}.{what}").open("a") as file:
            file.write(f"{line}\n")


def plan_with_accidents(spec: ConceptsSpec, task: Task, runner: JobRunner) -> JobResult:
    """Dies once it has sent everything, where it is asked to."""
    try:
        return fanout.plan(spec, task, runner)
    finally:
        fatal = FOLDER / f"{spec.seed}.kill-plan"
        if fatal.exists():
            fatal.unlink()
            os.kill(os.getpid(), signal.SIGKILL)


_missing_shards = fanout.missing_shards


def _losing(shards: list[ConceptShardSpec], runner: JobRunner) -> list[ConceptShardSpec]:
    """Cannot find the first shard, whatever is done, where it is asked to."""
    if (FOLDER / f"{shards[0].seed}.losing").exists():
        return shards[:1]
    return _missing_shards(shards, runner)


_labeller_of = label.labeller_of


@contextmanager
def _misbehaving(
    spec: ConceptShardSpec, context: LabellingContext, job: JobContext
) -> Iterator[Labeller]:
    with _labeller_of(spec, context, job) as labeller:
        yield Misbehaving(labeller, spec).label


_FOUND = (DATASET_IMPORT, RECOMMENDER_TRAIN, ACTIVATIONS_CAPTURE, AUTOENCODER_TRAIN)
_OWN = (CONCEPTS_SHARD, CONCEPTS_JOIN, CONCEPTS_EDIT, RELEASE_PUBLISH, RELEASE_CHANGE, PIPELINE_RUN)

if __name__ == "__main__":
    label.labeller_of = _misbehaving
    fanout.missing_shards = _losing
    kinds = [
        # Their artifacts exist, so they are found and nothing is run.
        *(replace(kind, stage="labelling_worker:never_run") for kind in _FOUND),
        replace(CONCEPTS_LABEL, action="labelling_worker:plan_with_accidents"),
        *_OWN,
    ]
    run_worker(WorkerName.LABELER, pool="threads", concurrency=4, kinds=kinds)


def never_run() -> None:
    """Stands for stages that nothing is left to do for."""
    raise AssertionError
