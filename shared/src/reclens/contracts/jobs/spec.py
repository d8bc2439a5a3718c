"""What every job specification is."""

from __future__ import annotations

from typing import ClassVar

from reclens.contracts.artifacts import ArtifactKind
from reclens.contracts.base import Contract, canonical_json, sha256_hex
from reclens.contracts.jobs.names import TaskName

MAX_SPEC_BYTES = 16 * 1024
"""Largest job specification; larger payloads belong in the object store."""


class JobSpec(Contract):
    """Specification of a job that makes one artifact.

    The artifact's id is the hash of the task, the algorithm's version and the canonical
    specification. References inside the specification are such hashes themselves, so an id pins
    everything upstream, and all ids of a pipeline are known before anything runs.
    """

    TASK: ClassVar[TaskName]
    KIND: ClassVar[ArtifactKind]
    ALGORITHM: ClassVar[int] = 1
    """Raised whenever the code makes other bytes from the same specification."""

    def artifact_ref(self) -> str:
        """``kind/id`` of the artifact that this specification makes."""
        identity = {"task": self.TASK.value, "algorithm": self.ALGORITHM, "spec": self.canonical()}
        return f"{self.KIND.value}/{sha256_hex(canonical_json(identity))[:16]}"

    def input_refs(self) -> dict[str, str]:
        """Artifacts that the job reads, by role."""
        return {}
