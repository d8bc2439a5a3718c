"""A release, loaded and checked: model, dictionary, ids and histories that belong together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

import numpy as np
import numpy.typing as npt
import structlog
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
from reclens_recommender.serving.indexing import index_of_release
from reclens_recommender.serving.ranking.approximate import ItemIndex
from reclens_recommender.serving.ranking.limits import TagIndex
from reclens_recommender.serving.ranking.scoring import GROUP, Catalogue
from reclens_recommender.serving.representations import (
    Passes,
    Representations,
    company_changes_nothing,
    represent,
)
from reclens_recommender.serving.standings import Standings

logger = structlog.get_logger(__name__)

_PROOF_USERS = 4
_PROOF_GROUPS = (1, 2, 5, 16, 100)
_PROOF_LENGTHS = 16
"""Lengths of histories, the most frequent ones, that are tried in one pass of the model."""
_COUNTED_USERS = 1000
"""Users whose histories tell which lengths are frequent."""
_FEW_ITEMS = 8192
"""Items up to which a product of one vector costs less than to filter and to compute again, and up
to which how they stand is kept with the representation: 64 KB at most."""


class Method(StrEnum):
    """How scores come from representations."""

    FILTERED = "filtered"
    """Large products find what matters, products of one vector compute it."""
    LONE = "lone"
    """A product of one vector for every request: on a GPU, and of few items."""
    PASSES = "passes"
    """The model's own forward pass for every request, with edits written in while it runs."""


@dataclass(frozen=True)
class Caching:
    """What is kept and shared while a model is served."""

    max_bytes: int = 64 << 20
    """See `Representations`."""
    together: bool = False
    """Whether all new cases of a batch are encoded in one pass, see `Passes`."""
    search_threads: int = 1
    """See `Catalogue`."""
    approximate: bool = False
    """Whether items are found by an approximate index, where the model may be scored that way."""


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
    dataset: Dataset
    """Ids and histories of the model's users and items."""
    dataset_ref: str
    """Reference of ``dataset``."""
    steering: Steering
    """``sae``, made ready to steer with."""
    catalogue: Catalogue
    """The model's item vectors and biases, computed once."""
    representations: Representations
    """What the model makes of users and histories."""
    tags: TagIndex
    """Items by tag."""
    method: Method
    """How scores come from representations."""
    index: ItemIndex | None = None
    """Finds candidates; None: all items are scored."""

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
        caching: Caching = Caching(),
    ) -> ServedModel:
        """Put the parts together, and find out by trying how this model may be scored.

        Raises:
            NotReady: it gives numbers that are not finite, or the library of the approximate index
                is not installed.
            InvalidInput: there is nobody to measure an approximate index on.
        """
        catalogue = Catalogue(model.item_weights(), model.item_biases(), caching.search_threads)
        if not torch.isfinite(catalogue.weights).all():
            raise _not_finite()
        # Before the last site, scores are not linear in what is moved.
        spread = ScoreSpread(catalogue.weights) if site == model.site else None
        steering = Steering(sae, p99, spread)
        method = _method(model, site, catalogue, dataset)
        if method is not Method.FILTERED and model.device.type == "cpu":
            logger.info("scores are computed one request at a time", method=method.value)
        index = None
        if caching.approximate and method is Method.FILTERED:
            directions = sae.W_dec.detach()[torch.as_tensor(p99) > 0]
            index = index_of_release(
                model, site, catalogue, directions, dataset, threads=caching.search_threads
            )
        elif caching.approximate:
            logger.warning("no index is built, all items are scored", method=method.value)
        few = catalogue.n_items <= _FEW_ITEMS and index is None
        if few and method is Method.FILTERED:
            method = Method.LONE
        # Where nothing is kept, to sort all items would be for one look.
        kept = few and caching.max_bytes > 0
        passes, lengths = _which_passes(model, site, dataset, caching.together)
        return cls(
            release=release,
            model=model,
            site=site,
            sae=sae,
            dataset=dataset,
            dataset_ref=dataset_ref,
            steering=steering,
            catalogue=catalogue,
            representations=Representations(
                model,
                site,
                steering,
                max_bytes=caching.max_bytes,
                passes=passes,
                lengths=lengths,
                stand=_stand(catalogue) if kept and method is Method.LONE else None,
            ),
            tags=TagIndex(dataset.items.tags),
            method=method,
            index=index,
        )


def _stand(catalogue: Catalogue) -> Callable[[Tensor], Standings]:
    return lambda x: Standings(catalogue.lone(x), in_order=True)


def load_served_model(
    store: ArtifactStore,
    release: Release,
    device: torch.device | str = "cpu",
    caching: Caching = Caching(),
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
            caching=caching,
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
    (reading,) = served.steering.read(represent(served.model, served.site, batch))
    if not (torch.isfinite(scores).all() and reading.finite):
        raise _not_finite()


def _not_finite() -> NotReady:
    return NotReady(
        "its recommender or autoencoder gives numbers that are not finite.",
        field="recommender",
        remedy="train it again.",
    )


def _method(model: Recommender, site: ProbeSite, catalogue: Catalogue, dataset: Dataset) -> Method:
    """The fastest method that gives this model's own bits here, as far as some users show.

    Kernels differ by machine and library, so what they do is tried, not assumed.
    """
    if site != model.site:
        return Method.PASSES
    method = Method.FILTERED if model.device.type == "cpu" else Method.LONE
    rng = np.random.default_rng(0)
    n_groups = -(-catalogue.n_items // GROUP)
    for user in _some_users(dataset, _PROOF_USERS):
        batch = UserBatch.of([dataset.history(user)], [user]).to(model.device)
        own = model(batch)[0]
        x = represent(model, site, batch)[0]
        if not torch.equal(catalogue.lone(x), own):
            return Method.PASSES
        if method is not Method.FILTERED:
            continue
        drawn = [np.arange(n_groups)]
        drawn += [rng.choice(n_groups, n) for n in _PROOF_GROUPS]
        if not all(_same_bits(catalogue, x, groups, own.numpy()) for groups in drawn):
            method = Method.LONE
    return method


def _which_passes(
    model: Recommender, site: ProbeSite, dataset: Dataset, together: bool
) -> tuple[Passes, frozenset[int]]:
    """Which histories may go in one pass, and of which lengths."""
    if together:
        return Passes.TOGETHER, frozenset()
    users = _some_users(dataset, 2 * _PROOF_USERS)
    histories = [dataset.history(user) for user in users]
    if not all(map(len, histories)):
        return Passes.ALONE, frozenset()
    lengths = frozenset(
        length
        for length in _frequent_lengths(model, dataset)
        if company_changes_nothing(model, site, users, histories, length)
    )
    return (Passes.ALIKE if lengths else Passes.ALONE), lengths


def _frequent_lengths(model: Recommender, dataset: Dataset) -> list[int]:
    """Lengths, as the model sees them, that histories of users have most; and the longest."""
    if not model.reads_history:
        return [1]
    counts = Counter(
        min(len(dataset.history(user)), model.max_length or dataset.n_items)
        for user in _some_users(dataset, _COUNTED_USERS)
    )
    frequent = [length for length, _ in counts.most_common(_PROOF_LENGTHS) if length]
    return sorted({*frequent, model.max_length or frequent[0]})


def _some_users(dataset: Dataset, count: int) -> list[int]:
    return np.unique(np.linspace(0, dataset.n_users - 1, count).astype(int)).tolist()


def _same_bits(
    catalogue: Catalogue,
    x: Tensor,
    groups: npt.NDArray[np.int64],
    own: npt.NDArray[np.float32],
) -> bool:
    items = groups[:, None] * GROUP + np.arange(GROUP)
    known = items < catalogue.n_items
    return catalogue.exact([x], 0 * groups, groups)[known].tobytes() == own[items[known]].tobytes()
