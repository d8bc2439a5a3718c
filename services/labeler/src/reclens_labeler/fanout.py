"""Labelling as a fan-out: one job becomes a message per range of latents, and one that joins.

The shards are the header of a flat Celery chord and the join is its body, which goes on under the
labelling's own id, with whatever is chained to it. The chord only says when to look: what is there
is decided by the shards' manifests alone, so a part that is counted twice, or a message that is
delivered twice, commits nothing too early.
"""

from __future__ import annotations

import uuid
from collections.abc import Set
from typing import Any

from celery import Celery, Task, chord

from reclens.contracts import ConceptShardSpec, ConceptsSpec, TaskName
from reclens.errors import InvalidInput, JobCancelled
from reclens.platform.jobs.runner import JobRunner
from reclens.platform.jobs.view import JobState
from reclens.platform.store.latents import scale_of
from reclens_labeler.verdict import verdict

_LABEL = "reclens_labeler.stages.label:run"
_JOIN = "reclens_labeler.stages.join:run"
_MAX_ROUNDS = 5


class FanOut:
    """The tasks of a labelling."""

    def __init__(self, app: Celery, runner: JobRunner) -> None:
        self._app = app
        self._runner = runner

    def register(self) -> None:
        """Register ``concepts.label``, ``concepts.shard`` and ``concepts.join``."""
        self._runner.register_action(TaskName.CONCEPTS_LABEL, self.plan)
        self._runner.register(ConceptShardSpec, _LABEL, part=True)
        self._runner.register_action(TaskName.CONCEPTS_JOIN, self.join)

    def plan(self, task: Task, payload: dict[str, Any]) -> dict[str, Any]:
        """Send the shards that do not exist yet, and the join after them.

        Raises:
            NotFound: an input does not exist.
            InvalidInput: the data set is not the one that the autoencoder's recommender learned
                from.
            InvalidSpec: there would be too many shards.
        """
        spec = ConceptsSpec.parse(payload)
        if (found := self._runner.found(spec.artifact_ref())) is not None:
            return found.canonical()
        learned = self._runner.runtime.store.lineage(spec.autoencoder).get("dataset")
        if learned != spec.dataset:
            raise InvalidInput(
                f"{spec.autoencoder} comes from {learned}, not from {spec.dataset}.",
                field="dataset",
                remedy="name the data set that the recommender was trained on.",
            )
        shards = self._shards(spec)
        missing = {shard.first for shard in self._missing(shards)}
        return self._send(task, spec, shards, send=missing, ids={})

    def join(self, task: Task, payload: dict[str, Any]) -> dict[str, Any]:
        """Join the shards, or send those again that are missing for no reason, or end partial.

        Raises:
            Partial: shards have failed for good; the others are kept.
            JobCancelled: shards were cancelled.
            RecLensError: nothing could be made at all, for this reason.
        """
        spec = ConceptsSpec.parse(payload)
        if (found := self._runner.found(spec.artifact_ref())) is not None:
            return found.canonical()
        shards = self._shards(spec)
        missing = self._missing(shards)
        if not missing:
            return self._runner.make(task, spec, _JOIN)
        views = self._runner.runtime.joblog.shards(str(task.request.id))
        if any(view.state is JobState.CANCELLED for view in views):
            raise JobCancelled("cancelled while latents were labelled.")
        failed = {view.first: view.failure for view in views if view.failure is not None}
        # One that has not failed is still under way, or was made and is gone.
        unexplained = {shard.first for shard in missing} - set(failed)
        if not unexplained or task.request.replaced_task_nesting > _MAX_ROUNDS:
            raise verdict(len(shards), missing, failed)
        ids = {view.first: view.job_id for view in views}
        return self._send(task, spec, shards, send=unexplained, ids=ids)

    def _shards(self, spec: ConceptsSpec) -> list[ConceptShardSpec]:
        n_latents = len(scale_of(self._runner.runtime.store, spec.autoencoder))
        return ConceptShardSpec.of(spec, n_latents)

    def _missing(self, shards: list[ConceptShardSpec]) -> list[ConceptShardSpec]:
        store = self._runner.runtime.store
        return [shard for shard in shards if not store.exists(shard.artifact_ref())]

    def _send(
        self,
        task: Task,
        spec: ConceptsSpec,
        shards: list[ConceptShardSpec],
        *,
        send: Set[int],
        ids: dict[int, str | None],
    ) -> dict[str, Any]:
        """Replace the task by the shards to ``send`` (by first latent) and the join.

        Args:
            task: that is being run.
            spec: of the labelling.
            shards: all of them.
            send: those to make.
            ids: job ids of those that were sent before.
        """
        ids = ids | {first: str(uuid.uuid4()) for first in sorted(send)}
        self._runner.runtime.joblog.planned_shards(
            str(task.request.id), [(ids.get(shard.first), shard) for shard in shards]
        )
        join = self._app.signature(
            TaskName.CONCEPTS_JOIN.value, kwargs={"spec": spec.canonical()}, immutable=True
        )
        header = [
            self._app.signature(
                shard.TASK.value, kwargs={"spec": shard.canonical()}, immutable=True
            ).set(task_id=ids[shard.first])
            for shard in shards
            if shard.first in send
        ]
        return task.replace(chord(header, join) if header else join)  # type: ignore[return-value]
