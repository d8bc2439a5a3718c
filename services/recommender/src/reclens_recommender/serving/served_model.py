"""A release, loaded and checked: model, dictionary, ids and histories that belong together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow.parquet as pq
import torch
from jaxtyping import Float
from torch import Tensor

from reclens.adapters.artifacts import ArtifactStore
from reclens.contracts import Release, SiteSpec
from reclens.contracts.tables import LATENTS
from reclens.data import Dataset, read_dataset
from reclens.errors import CorruptArtifact, NotReady
from reclens.probing import ProbeSite
from reclens.recommenders import Recommender, UserBatch, load_recommender
from reclens.sae import SparseAutoencoder, load_autoencoder
from reclens.steering.engine import steer


@dataclass(frozen=True, eq=False)
class ServedModel:
    """Everything that an answer is computed from."""

    release: Release
    """Pointer that it was loaded from."""
    model: Recommender
    """In eval mode."""
    site: ProbeSite
    """Where its representation is read and written."""
    sae: SparseAutoencoder
    """Dictionary of that site."""
    p99: Float[Tensor, " n_latents"]
    """99th percentile of each latent over its firing cases; 0 where it never fired."""
    dataset: Dataset
    """Ids and histories of the model's users and items."""
    dataset_ref: str
    """Reference of ``dataset``."""
    item_weights: Float[Tensor, "n_items d_model"]
    """The model's item vectors, computed once."""
    item_biases: Float[Tensor, " n_items"]
    """The model's item biases, computed once."""


def load_served_model(
    store: ArtifactStore, release: Release, device: torch.device | str = "cpu"
) -> ServedModel:
    """Load what ``release`` points at to ``device``, and prove that it can answer.

    Raises:
        NotFound, CorruptArtifact: an artifact is missing or damaged.
        NotReady: the parts do not belong together.
        Unavailable: the store does not answer just now.
    """
    lineage = store.lineage(release.autoencoder)
    if lineage.get("recommender") != release.recommender:
        raise NotReady(
            f"{release.autoencoder} was trained on {lineage.get('recommender')}, "
            f"but the release answers from {release.recommender}.",
            field="autoencoder",
            remedy="release an autoencoder with the recommender that it was trained on.",
        )
    model = load_recommender(store.fetch_all(release.recommender), device)
    sae = load_autoencoder(store.fetch_all(release.autoencoder), device)
    dataset = read_dataset(store.fetch_all(lineage["dataset"]))
    if (model.n_items, model.n_users) != (dataset.n_items, dataset.n_users):
        raise NotReady(
            f"the recommender knows {model.n_users} users and {model.n_items} items, its data set "
            f"has {dataset.n_users} and {dataset.n_items}.",
            field="recommender",
            remedy="train the recommender again on this data set.",
        )
    with torch.inference_mode():
        served = ServedModel(
            release=release,
            model=model,
            site=_site(store, lineage["activations"], model),
            sae=sae,
            p99=_percentiles(store, release.autoencoder, sae.n_latents).to(device),
            dataset=dataset,
            dataset_ref=lineage["dataset"],
            item_weights=model.item_weights().detach(),
            item_biases=model.item_biases().detach(),
        )
        _prove(served)
    return served


def _site(store: ArtifactStore, activations: str, model: Recommender) -> ProbeSite:
    spec = store.manifest(activations).spec.get("site")
    if spec is None:
        return model.site
    site = SiteSpec.parse(spec)
    # Captured at all positions or at the last, an answer is made from the last.
    position = "last" if site.position == "all" else site.position
    return ProbeSite(site.module, position, site.output)


def _percentiles(store: ArtifactStore, autoencoder: str, n_latents: int) -> Tensor:
    table = pq.read_table(store.fetch(autoencoder, LATENTS), columns=["latent", "p99"])
    latents = table["latent"].to_numpy()
    p99 = table["p99"].to_numpy().astype(np.float32)
    if not np.array_equal(latents, np.arange(n_latents)) or not np.isfinite(p99).all():
        raise CorruptArtifact(
            f"{LATENTS} does not list latents 0 to {n_latents - 1} with finite percentiles.",
            field=f"{autoencoder}/{LATENTS}",
            remedy="train the autoencoder again.",
        )
    return torch.from_numpy(p99)


def _prove(served: ServedModel) -> None:
    """Answer for the first user: weights that are not finite or do not fit show here."""
    history = served.dataset.history(0)
    with served.site.capture(served.model) as captured:
        scores = served.model(UserBatch.of([history], [0]).to(served.model.device))
    steered = steer(captured.tensor, served.sae, served.p99, [])
    if not (torch.isfinite(scores).all() and torch.isfinite(steered.before).all()):
        raise NotReady(
            "its recommender or autoencoder gives numbers that are not finite.",
            field="recommender",
            remedy="train it again.",
        )
