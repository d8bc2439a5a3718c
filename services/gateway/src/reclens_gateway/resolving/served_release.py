"""What the gateway knows of a release: names for latents and items, no weights."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import pyarrow.parquet as pq

from reclens.api.steering.v1 import steering_pb2 as steering
from reclens.concepts.catalog.carriers import ConceptCarriers
from reclens.concepts.catalog.concepts import ConceptIndex
from reclens.concepts.catalog.items import ItemCatalog
from reclens.contracts import Release
from reclens.contracts.tables import CONCEPTS, ITEMS, LATENTS
from reclens.errors import NotReady
from reclens.platform.store.artifacts import ArtifactStore
from reclens.steering.pushes import ConceptPushes


@dataclass(frozen=True, eq=False)
class ServedRelease:
    """Everything that requests are resolved with."""

    release: Release
    """Pointer that it was loaded from."""
    items: ItemCatalog
    """Titles and tags."""
    concepts: ConceptIndex
    """Labels of the latents."""
    n_latents: int
    """Latents of the dictionary."""

    @cached_property
    def versions(self) -> steering.Versions:
        """What it pins, as answers say it. To be copied."""
        return versions(self.release)

    @cached_property
    def carriers(self) -> ConceptCarriers:
        """Which items carry which concept."""
        return ConceptCarriers(self.items, self.concepts)

    @cached_property
    def pushes(self) -> ConceptPushes:
        """What adding each concept pushes."""
        return ConceptPushes(self.release, self.concepts, self.carriers, self.n_latents)


def load_served_release(store: ArtifactStore, release: Release) -> ServedRelease:
    """Load the tables that ``release`` names latents and items with.

    Raises:
        NotFound, CorruptArtifact: an artifact is missing or damaged.
        NotReady: the concepts label another autoencoder.
        Unavailable: the store does not answer just now.
    """
    lineage = store.lineage(release.concepts)
    if lineage.get("autoencoder") != release.autoencoder:
        raise NotReady(
            f"{release.concepts} label {lineage.get('autoencoder')}, not {release.autoencoder}.",
            field="concepts",
            remedy="release concepts with the autoencoder that they label.",
        )
    n_latents = pq.read_metadata(store.fetch(release.autoencoder, LATENTS.file)).num_rows
    return ServedRelease(
        release=release,
        items=ItemCatalog.read(store.fetch(lineage["dataset"], ITEMS.file)),
        concepts=ConceptIndex.read(store.fetch(release.concepts, CONCEPTS.file), n_latents),
        n_latents=n_latents,
    )


def versions(release: Release) -> steering.Versions:
    """The versions that ``release`` pins."""
    return steering.Versions(
        release=release.name,
        release_version=release.version,
        recommender=release.recommender,
        autoencoder=release.autoencoder,
        concepts=release.concepts,
    )
