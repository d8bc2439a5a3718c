"""A release as the gateway holds it, made by hand."""

from __future__ import annotations

from hand_catalog import catalog_of

from reclens.concepts.catalog.concepts import ConceptIndex
from reclens.concepts.catalog.items import ItemEntry
from reclens.contracts import Release
from reclens.contracts.tables.concepts import LatentLabel
from reclens_gateway.resolving import ServedRelease

RELEASE = Release(
    name="default",
    recommender="recommenders/0123456789abcdef",
    autoencoder="autoencoders/0123456789abcdef",
    concepts="concepts/0123456789abcdef",
    version="0123456789abcdef",
    published_at="2024-01-01T00:00:00+00:00",
)
SERVED = ServedRelease(
    release=RELEASE,
    # Even items are noir, every third is a comedy.
    items=catalog_of(
        [
            ItemEntry(
                f"{row}",
                tags=(*(["Film-Noir"] if row % 2 == 0 else []), *(["Comedy"] * (row % 3 == 0))),
            )
            for row in range(12)
        ]
    ),
    concepts=ConceptIndex(
        [
            LatentLabel(0, "noir", "Noir", keywords=("Film-Noir",), evidence_items=("2",)),
            LatentLabel(1, "comedy", "Comedy", keywords=("Comedy",), evidence_items=("3",)),
        ]
    ),
    n_latents=2,
)
