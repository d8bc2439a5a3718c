"""Releases of parts that nobody looks at."""

from __future__ import annotations

from reclens.contracts import Release


def draft(
    version: str, ordered_at: str = "", name: str = "default", published_at: str = ""
) -> Release:
    """A release as it is before it is published, its number not set."""
    return Release(
        name=name,
        version=version,
        recommender="recommenders/0000000000000001",
        autoencoder="autoencoders/0000000000000002",
        concepts="concepts/0000000000000003",
        published_at=published_at,
        ordered_at=ordered_at,
    )
