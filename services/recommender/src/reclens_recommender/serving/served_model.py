"""A release, loaded and checked: model, dictionary, ids and histories that belong together."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from reclens.contracts import Release, SiteSpec
from reclens.contracts.tables import LATENTS
from reclens.data import Dataset, read_dataset
from reclens.errors import CorruptArtifact, InvalidInput, NotReady
from reclens.platform.store.artifacts import ArtifactStore
from reclens.probing import ProbeSite
from reclens.recommenders import Recommender, UserBatch, load_recommender
from reclens.sae import SparseAutoencoder, load_autoencoder
from reclens.steering.engine import Steering
from reclens.steering.proposals import Proposer
from reclens.steering.scores import ScoreSpread
from reclens_recommender.serving.ranking.catalogue import Catalogue
from reclens_recommender.serving.ranking.choice import choose_ranker, keeps_scores
from reclens_recommender.serving.ranking.ranker import Ranker, TagIndex
from reclens_recommender.serving.representations import (
    RepresentationCache,
    invariant_lengths,
    represent,
)
from reclens_recommender.serving.settings import InferenceSection


@dataclass(frozen=True, eq=False)
class ServedModel:
    """Everything that an answer is computed from."""

    release: Release
    """Pointer that it was loaded from."""
    model: Recommender
    """The recommender, in eval mode."""
    site: ProbeSite
    """Where its representation is read and written."""
    sae: SparseAutoencoder
    """The autoencoder that was trained on representations of that site."""
    dataset: Dataset
    """Ids and histories of the model's users and items."""
    dataset_ref: str
    """Reference of ``dataset``."""
    steering: Steering
    """``sae``, made ready to steer with."""
    catalogue: Catalogue
    """The model's item vectors and biases, computed once."""
    representations: RepresentationCache
    """What the model makes of users and histories."""
    tags: TagIndex
    """Which items carry which tag."""
    ranker: Ranker
    """Finds the best items for a query."""

    @cached_property
    def proposer(self) -> Proposer:
        """Finds latents that move towards items, made at its first use.

        Raises:
            InvalidInput: the dictionary is not of the model's last site, or the model's items have
                all the same vector.
        """
        if self.site != self.model.site:
            raise InvalidInput(
                f"the dictionary is of {self.site.module}, not of the last site, where a latent "
                "moves scores by itself.",
                field="release",
                remedy="propose from a release whose activations were captured at the last site.",
            )
        alive = torch.from_numpy(self.steering.p99 > 0).to(self.sae.device)
        return Proposer(self.catalogue.weights, self.sae.W_dec, alive)

    @classmethod
    def of(
        cls,
        *,
        release: Release,
        model: Recommender,
        site: ProbeSite,
        sae: SparseAutoencoder,
        p99: Float[Tensor, " n_latents"],
        dataset: Dataset,
        dataset_ref: str,
        options: InferenceSection,
    ) -> ServedModel:
        """Put the parts together, and find out by trying how this model may be ranked with.

        Raises:
            NotReady: it gives numbers that are not finite, or the library of the approximate index
                is not installed.
            InvalidInput: there is nobody to measure an approximate index on.
        """
        catalogue = Catalogue(model.item_weights(), model.item_biases(), options.search_threads)
        if not torch.isfinite(catalogue.weights).all():
            raise _not_finite()
        # Before the last site, scores are not linear in what is moved.
        spread = ScoreSpread(catalogue.weights) if site == model.site else None
        steering = Steering(sae, p99, spread)
        fired = torch.as_tensor(p99) > 0
        ranker = choose_ranker(
            model,
            site,
            catalogue,
            dataset,
            together=options.encode_together,
            directions=sae.W_dec.detach()[fired] if options.index == "approximate" else None,
            threads=options.search_threads,
        )
        # Where nothing is kept, to sort all items would be for one look.
        kept = options.representations_mb > 0 and keeps_scores(ranker, catalogue)
        return cls(
            release=release,
            model=model,
            site=site,
            sae=sae,
            dataset=dataset,
            dataset_ref=dataset_ref,
            steering=steering,
            catalogue=catalogue,
            representations=RepresentationCache(
                model,
                site,
                steering,
                max_bytes=options.representations_mb << 20,
                lengths=None
                if options.encode_together
                else invariant_lengths(model, site, dataset),
                score=catalogue.scores if kept else None,
            ),
            tags=TagIndex(dataset.items.tags),
            ranker=ranker,
        )


def load_served_model(
    store: ArtifactStore,
    release: Release,
    device: torch.device | str,
    options: InferenceSection,
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
        served = ServedModel.of(
            release=release,
            model=model,
            site=_site(store, lineage["activations"], model),
            sae=sae,
            p99=_percentiles(store, release.autoencoder, sae.n_latents),
            dataset=dataset,
            dataset_ref=lineage["dataset"],
            options=options,
        )
        _prove(served)
    return served


def _site(store: ArtifactStore, activations: str, model: Recommender) -> ProbeSite:
    spec = store.manifest(activations).spec.get("site")
    if spec is None:
        return model.site
    site = ProbeSite(**SiteSpec.parse(spec).model_dump())
    # Captured at all positions or at the last, an answer is made from the last.
    return replace(site, position="last") if site.position == "all" else site


def _percentiles(store: ArtifactStore, autoencoder: str, n_latents: int) -> Tensor:
    table = LATENTS.read(store.fetch(autoencoder, LATENTS.file), ["latent", "p99"])
    latents = table["latent"].to_numpy()
    p99 = table["p99"].to_numpy().astype(np.float32)
    if not np.array_equal(latents, np.arange(n_latents)) or not np.isfinite(p99).all():
        raise CorruptArtifact(
            f"{LATENTS.file} does not list latents 0 to {n_latents - 1} with finite percentiles.",
            field=f"{autoencoder}/{LATENTS.file}",
            remedy="train the autoencoder again.",
        )
    return torch.from_numpy(p99)


def _prove(served: ServedModel) -> None:
    """Answer for the first user: weights that are not finite or do not fit show here."""
    batch = UserBatch.of([served.dataset.history(0)], [0]).to(served.model.device)
    scores = served.model(batch)
    (encoded,) = served.steering.encode(represent(served.model, served.site, batch))
    if not (torch.isfinite(scores).all() and encoded.finite):
        raise _not_finite()


def _not_finite() -> NotReady:
    return NotReady(
        "its recommender or autoencoder gives numbers that are not finite.",
        field="recommender",
        remedy="train it again.",
    )
