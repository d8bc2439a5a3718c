"""Names of Celery tasks and queues, and which task goes where."""

from __future__ import annotations

from enum import StrEnum


class TaskName(StrEnum):
    """Public names for ``send_task``. The version is part of the name."""

    DATASET_IMPORT = "reclens.dataset.import.v1"
    RECOMMENDER_TRAIN = "reclens.recommender.train.v1"
    ACTIVATIONS_CAPTURE = "reclens.activations.capture.v1"
    AUTOENCODER_TRAIN = "reclens.autoencoder.train.v1"
    CONCEPTS_LABEL = "reclens.concepts.label.v1"
    CONCEPTS_SHARD = "reclens.concepts.shard.v1"
    CONCEPTS_JOIN = "reclens.concepts.join.v1"
    CONCEPTS_EDIT = "reclens.concepts.edit.v1"
    AUTOENCODER_EVALUATE = "reclens.autoencoder.evaluate.v1"
    RELEASE_PUBLISH = "reclens.release.publish.v1"
    PIPELINE_RUN = "reclens.pipeline.run.v1"


class QueueName(StrEnum):
    """Queues, one per kind of worker. They are declared explicitly; others are refused."""

    CAPTURE = "capture"
    TRAIN = "train"
    LABEL = "label"
    PIPELINE = "pipeline"


ROUTES: dict[TaskName, QueueName] = {
    TaskName.DATASET_IMPORT: QueueName.CAPTURE,
    TaskName.RECOMMENDER_TRAIN: QueueName.CAPTURE,
    TaskName.ACTIVATIONS_CAPTURE: QueueName.CAPTURE,
    TaskName.AUTOENCODER_TRAIN: QueueName.TRAIN,
    TaskName.CONCEPTS_LABEL: QueueName.LABEL,
    TaskName.CONCEPTS_SHARD: QueueName.LABEL,
    TaskName.CONCEPTS_JOIN: QueueName.LABEL,
    TaskName.CONCEPTS_EDIT: QueueName.LABEL,
    # It runs the recommender.
    TaskName.AUTOENCODER_EVALUATE: QueueName.CAPTURE,
    TaskName.RELEASE_PUBLISH: QueueName.PIPELINE,
    TaskName.PIPELINE_RUN: QueueName.PIPELINE,
}
"""The queue that each task is sent to."""

INTERNAL = frozenset({TaskName.CONCEPTS_SHARD, TaskName.CONCEPTS_JOIN})
"""Tasks that other tasks send; they are not submitted."""
