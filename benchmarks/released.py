"""A trained recommender with its dictionary and concepts, and users to ask it for lists."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import torch
from torch import Tensor

from reclens.concepts import Concept, group_concepts, read_concepts
from reclens.concepts.evidence.item_text import LITTLE_KNOWN, POPULAR
from reclens.concepts.evidence.vocabulary import Vocabulary, build_vocabulary
from reclens.contracts.tables import CONCEPTS, LATENTS
from reclens.data import Dataset, Split, read_dataset
from reclens.platform.store.artifacts import ArtifactStore
from reclens.recommenders import Recommender, UserBatch, load_recommender, seen_mask
from reclens.sae import load_autoencoder
from reclens.steering.scores import ScoreSpread

TOP_K = 10
_FEWEST_ITEMS, _LARGEST_SHARE = 15, 0.5


@dataclass(frozen=True)
class Lists:
    """Answers of all users, one row each."""

    top: Tensor
    """int64 [n_users, 10] recommended items."""
    ndcg: npt.NDArray[np.float32]
    """[n_users] NDCG@10 on the held-out items."""

    def share(self, carries: Tensor) -> npt.NDArray[np.float32]:
        """Share of each user's list that is in ``carries``, bool [n_items]."""
        return carries[self.top].float().mean(dim=1).numpy()

    def exchanged(self, other: Lists) -> float:
        """Share of the lists that is not in the other ones, mean over the users."""
        kept = (self.top[:, :, None] == other.top[:, None, :]).any(dim=2)
        return 1 - float(kept.float().mean())


class Audience:
    """Users with held-out items, and the lists they are given.

    Args:
        released: of the recommender.
        rows: which of its users.
    """

    def __init__(self, released: Released, rows: npt.NDArray[np.int64]) -> None:
        index = torch.from_numpy(rows)
        self.x = released.x[index]
        """[n_users, d_model] representations."""
        self.spread = released.spread.of(self.x).float()
        """[n_users] spread of each user's own scores."""
        seen = released.seen[index]
        scores = self.x @ released.item_weights.T + released.item_biases
        self._scores = scores.masked_fill_(seen, -torch.inf)
        self._relevant = torch.zeros_like(seen)
        for row, user in enumerate(rows):
            self._relevant[row, torch.from_numpy(released.held_out[user]).long()] = True
        self._discounts = 1 / torch.log2(torch.arange(TOP_K) + 2.0)
        counts = self._relevant.sum(dim=1).clamp(1, TOP_K)
        self._ideal = self._discounts.cumsum(0)[counts - 1]
        # Written to again and again: new ones of this size would leave the heap full of holes.
        self._pushed = torch.empty_like(self._scores)
        self._top = torch.empty(len(self), TOP_K), torch.empty(len(self), TOP_K, dtype=torch.int64)

    def __len__(self) -> int:
        return len(self.x)

    def lists(self, amounts: Tensor, added: Tensor) -> Lists:
        """The best unseen items where ``amounts`` [n_users] times ``added`` [n_items] is added to
        the scores.

        That is what a push of x does: ``x' . w = x . w + amount * (direction . w)``.
        """
        torch.addr(self._scores, amounts, added, out=self._pushed)
        torch.topk(self._pushed, TOP_K, out=self._top)
        top = self._top[1].clone()
        hits = self._relevant.gather(1, top).float()
        return Lists(top, ((hits * self._discounts).sum(dim=1) / self._ideal).numpy())


@dataclass(frozen=True)
class Released:
    """What serving loads, and what steering is measured with."""

    dataset_name: str
    model_kind: str
    dataset: Dataset
    item_weights: Tensor
    item_biases: Tensor
    W_dec: Tensor
    input_scale: Tensor
    p99: Tensor
    concepts: list[Concept]
    x: Tensor
    seen: Tensor
    held_out: list[npt.NDArray[np.int64]]

    @property
    def name(self) -> str:
        return f"{self.dataset_name} {self.model_kind}"

    @property
    def alive(self) -> Tensor:
        """bool [n_latents]: fires for some training user."""
        return self.p99 > 0

    @property
    def popularity(self) -> Tensor:
        """float [n_items]: training interactions."""
        return torch.tensor(self.dataset.items.popularity, dtype=torch.float32)

    @cached_property
    def spread(self) -> ScoreSpread:
        return ScoreSpread(self.item_weights)

    def half(self, which: int) -> Audience:
        """Half of the users: 0 to choose by, 1 to report of."""
        order = np.random.default_rng(0).permutation(len(self.x))
        return Audience(self, np.sort(np.array_split(order, 2)[which]))

    def carriers(self, concept: Concept) -> Tensor:
        """bool [n_items]: carries all terms of the label."""
        vocabulary = self._vocabulary
        carries = torch.ones(len(self.item_weights), dtype=torch.bool)
        for keyword in concept.keywords:
            of_term = torch.zeros_like(carries)
            if keyword in vocabulary.columns:
                items = vocabulary.carriers(vocabulary.columns[keyword])
                of_term[torch.from_numpy(items).long()] = True
            carries &= of_term
        return carries

    def targets(self, n_most: int) -> list[tuple[Concept, Tensor]]:
        """Trusted concepts with their carriers, most trusted first.

        Of those that enough items carry and no more than half; and not those of popularity, which
        is measured by itself.
        """
        found: list[tuple[Concept, Tensor]] = []
        for concept in self.concepts:
            named = " ".join(concept.keywords)
            if not concept.trusted or POPULAR in named or LITTLE_KNOWN in named:
                continue
            carries = self.carriers(concept)
            if _FEWEST_ITEMS <= int(carries.sum()) <= _LARGEST_SHARE * len(carries):
                found.append((concept, carries))
        return found[:n_most]

    @cached_property
    def _vocabulary(self) -> Vocabulary:
        return build_vocabulary(self.dataset.items)


@torch.no_grad()
def load(store: ArtifactStore, reference: str) -> Released:
    """From the name of a release, or the reference of a concepts artifact."""
    concepts = reference if "/" in reference else store.releases.head(reference).concepts
    lineage = store.lineage(concepts)
    dataset = read_dataset(store.fetch_all(lineage["dataset"]))
    model = load_recommender(store.fetch_all(lineage["recommender"])).eval()
    sae = load_autoencoder(store.fetch_all(lineage["autoencoder"]))
    latents = pq.read_table(store.fetch(lineage["autoencoder"], LATENTS.file))
    users = [u for u in range(dataset.n_users) if len(dataset.history(u, (Split.TEST,)))]
    histories = [dataset.history(u, (Split.TRAIN, Split.VALID)) for u in users]
    return Released(
        dataset_name=_spec(store, lineage["dataset"])["name"],
        model_kind=model.config.kind,
        dataset=dataset,
        item_weights=model.item_weights().detach(),
        item_biases=model.item_biases().detach(),
        W_dec=sae.W_dec.detach(),
        input_scale=sae.input_scale.detach(),
        p99=torch.from_numpy(latents["p99"].to_numpy().copy()),
        concepts=group_concepts(read_concepts(store.fetch(concepts, CONCEPTS.file))),
        x=_representations(model, histories, users),
        seen=seen_mask(histories, dataset.n_items),
        held_out=[dataset.history(u, (Split.TEST,)) for u in users],
    )


def _representations(
    model: Recommender, histories: list[npt.NDArray[np.int64]], users: list[int]
) -> Tensor:
    with model.site.capture(model) as captured:
        model(UserBatch.of(histories, users, max_length=model.max_length))
    return captured.tensor


def _spec(store: ArtifactStore, reference: str) -> dict[str, str]:
    spec = store.manifest(reference).spec
    return spec if isinstance(spec, dict) else spec.model_dump()
