"""What an autoencoder's artifact holds of its latents: codes of users, and each latent's scale."""

from __future__ import annotations

import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Final

from reclens.contracts.tables import LATENTS

if TYPE_CHECKING:
    import numpy as np

    from reclens.platform.store.artifacts import ArtifactStore

_CODES: Final = "codes-*.parquet"


def codes_of(store: ArtifactStore, autoencoder: str) -> list[Path]:
    """Verified local copies of its shards of codes, in their order.

    Args:
        store: with the autoencoder.
        autoencoder: ``autoencoders/id``.

    Raises:
        NotFound: there is no such artifact.
    """
    names = (entry.name for entry in store.manifest(autoencoder).objects)
    return [store.fetch(autoencoder, name) for name in sorted(fnmatch.filter(names, _CODES))]


def scale_of(store: ArtifactStore, autoencoder: str) -> np.ndarray:
    """The 99th percentile of each latent's activation, float32 [n_latents]; 0 where it never fires.

    Args:
        store: with the autoencoder.
        autoencoder: ``autoencoders/id``.

    Raises:
        NotFound: there is no such artifact.
    """

    return LATENTS.read(store.fetch(autoencoder, LATENTS.file), ["p99"])["p99"].to_numpy()
