"""What the gateway knows of a release: names for latents and items, no weights."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow.parquet as pq

from reclens.adapters.artifacts import ArtifactStore
from reclens.contracts import Release
from reclens.contracts.tables import CONCEPTS, ITEMS, LATENTS
from reclens.errors import NotReady
from reclens_gateway.concept_index import ConceptIndex
from reclens_gateway.item_catalog import ItemCatalog


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
    n_latents = pq.read_metadata(store.fetch(release.autoencoder, LATENTS)).num_rows
    return ServedRelease(
        release=release,
        items=ItemCatalog.read(store.fetch(lineage["dataset"], ITEMS)),
        concepts=ConceptIndex.read(store.fetch(release.concepts, CONCEPTS), n_latents),
        n_latents=n_latents,
    )
