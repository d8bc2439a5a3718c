"""The specification of a release: the one mutable name, pointed at three artifacts."""

from __future__ import annotations

from typing import ClassVar

from reclens.contracts.artifacts import ArtifactRef
from reclens.contracts.base import Contract, canonical_json, sha256_hex
from reclens.contracts.jobs.names import TaskName
from reclens.contracts.specs.dataset import Name


class ReleaseSpec(Contract):
    """Point a release at a recommender, an autoencoder and its concepts."""

    TASK: ClassVar[TaskName] = TaskName.RELEASE_PUBLISH

    name: Name = "default"
    """The mutable name that serving watches."""
    recommender: ArtifactRef
    """Model that answers."""
    autoencoder: ArtifactRef
    """Dictionary trained on that model."""
    concepts: ArtifactRef
    """Labels of that dictionary."""

    def version(self) -> str:
        """Hash of the three references, 16 hexadecimal digits."""
        parts = [self.recommender, self.autoencoder, self.concepts]
        return sha256_hex(canonical_json(parts))[:16]
