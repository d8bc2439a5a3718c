"""The demo's figures, read from the manifests of one release: nothing is computed here."""

from __future__ import annotations

from dataclasses import dataclass

from reclens.contracts import Manifest, Release
from reclens.contracts.tables import CONCEPTS
from reclens.platform.store.artifacts import ArtifactStore


@dataclass(frozen=True)
class Figures:
    """Manifests of everything behind a release, and the labels' confidences."""

    dataset: Manifest
    """Data set."""
    recommender: Manifest
    """Recommender."""
    activations: Manifest
    """Activations."""
    autoencoder: Manifest
    """Autoencoder."""
    concepts: Manifest
    """Concepts."""
    confidences: list[float]
    """Confidence of every label that was judged, one per latent."""

    def manifests(self) -> dict[str, Manifest]:
        """By stage, in order."""
        return {
            "dataset": self.dataset,
            "recommender": self.recommender,
            "activations": self.activations,
            "autoencoder": self.autoencoder,
            "concepts": self.concepts,
        }


def read_figures(store: ArtifactStore, release: Release) -> Figures:
    """Read them.

    Raises:
        NotFound: an artifact of the release is missing.
        CorruptArtifact: its bytes are not what its manifest says.
    """
    lineage = store.lineage(release.concepts)
    table = CONCEPTS.read(store.fetch(release.concepts, CONCEPTS.file), ["confidence"])
    return Figures(
        dataset=store.manifest(lineage["dataset"]),
        recommender=store.manifest(release.recommender),
        activations=store.manifest(lineage["activations"]),
        autoencoder=store.manifest(release.autoencoder),
        concepts=store.manifest(release.concepts),
        confidences=[value for value in table["confidence"].to_pylist() if value is not None],
    )
