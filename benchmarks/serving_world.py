"""A planted release of any size in a real object store, as the stages would have left it.

Items lie in clusters around random centres and are longer the more popular they are, as item
vectors of trained models do; users like a few clusters. Nothing is trained: what an answer costs
does not depend on how good it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from reclens.concepts.labels.table import write_concepts
from reclens.contracts import (
    AutoencoderConfig,
    AutoencoderSpec,
    BprMfConfig,
    CaptureSpec,
    ConceptsSpec,
    DatasetSpec,
    JobSpec,
    RecommenderSpec,
    Release,
    ReleaseSpec,
    SasRecConfig,
    SplitSpec,
)
from reclens.contracts.tables import CONCEPTS, INTERACTIONS, ITEMS, LATENTS, USERS
from reclens.contracts.tables.concepts import LatentLabel
from reclens.platform.store.artifacts import ArtifactStore, ArtifactWriter
from reclens.recommenders import Recommender, UserBatch, build_recommender, save_recommender
from reclens.sae import build_autoencoder

D_MODEL: Final = 64
MODELS: Final = {
    "sasrec": SasRecConfig(d_model=D_MODEL, n_layers=2, n_heads=2, max_length=50),
    "bprmf": BprMfConfig(d_model=D_MODEL),
}
"""Configurations of the recommenders, by name."""
N_CLUSTERS = 200
N_TAGS = 80
MEAN_HISTORY = 100
LATENTS_OF_A_CONCEPT = 12
K = 16


@dataclass(frozen=True)
class Catalogue:
    """Sizes and model of a planted release."""

    n_items: int
    """Items that can be recommended."""
    n_users: int
    """Users known by id, with about ``MEAN_HISTORY`` items each."""
    n_latents: int
    """Latents of the autoencoder."""
    model: str = "sasrec"
    """One of ``MODELS``."""


@dataclass(frozen=True)
class World:
    """What requests are made of."""

    catalogue: Catalogue
    """Its sizes."""
    taste: Taste
    """Draws histories of users that nobody has seen."""
    concept_ids: list[str]
    """Concepts of about a dozen latents."""


class Taste:
    """Histories: most of a user's items are from three clusters, popular ones first."""

    def __init__(self, n_items: int, rng: np.random.Generator) -> None:
        sizes = rng.zipf(1.3, N_CLUSTERS).clip(max=50).astype(float)
        self.cluster = np.sort(rng.choice(N_CLUSTERS, n_items, p=sizes / sizes.sum()))
        self.n_items = n_items
        self._start = np.searchsorted(self.cluster, np.arange(N_CLUSTERS + 1))
        self._filled = np.flatnonzero(np.diff(self._start))
        size = np.diff(self._start)[self.cluster]
        self.popularity = (1 - (np.arange(n_items) - self._start[self.cluster]) / size) ** 3
        """Per item, 0 to 1; falls within each cluster."""

    def draw(self, n_users: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Users and items of all interactions, by user, each item once; time is the order."""
        lengths = rng.integers(MEAN_HISTORY // 2, MEAN_HISTORY * 3 // 2, n_users)
        users = np.repeat(np.arange(n_users), lengths)
        liked = rng.choice(self._filled, (n_users, 3))
        cluster = liked[users, rng.integers(0, 3, len(users))]
        start, size = self._start[cluster], self._start[cluster + 1] - self._start[cluster]
        near = start + (rng.random(len(users)) ** 3 * size).astype(np.int64)
        far = rng.integers(0, self.n_items, len(users))
        items = np.where(rng.random(len(users)) < 0.8, near, far)
        pairs = np.unique(users * self.n_items + items)
        users, items = np.divmod(pairs, self.n_items)
        shuffled = np.lexsort((rng.random(len(users)), users))
        return users[shuffled].astype(np.int32), items[shuffled].astype(np.int32)


def user_id(index: int) -> str:
    """External id of a user."""
    return f"user-{index}"


def item_id(index: int) -> str:
    """External id of an item."""
    return f"item-{index}"


def publish_world(store: ArtifactStore, folder: Path, catalogue: Catalogue, seed: int = 0) -> World:
    """Write all artifacts of ``catalogue`` and the release ``default`` that names them."""
    rng = np.random.default_rng(seed)
    taste = Taste(catalogue.n_items, rng)
    users, items = taste.draw(catalogue.n_users, rng)
    commit = _Commit(store, folder)

    dataset = DatasetSpec(split=SplitSpec(seed=seed))
    commit(dataset, lambda at: _write_dataset(at, catalogue, taste, users, items))

    model = _model(catalogue, taste, users, items, rng)
    recommender = RecommenderSpec(
        dataset=dataset.artifact_ref(), model=MODELS[catalogue.model], seed=seed
    )
    commit(recommender, lambda at: save_recommender(model, at))
    capture = CaptureSpec(recommender=recommender.artifact_ref())
    commit(capture)

    config = AutoencoderConfig(d_model=D_MODEL, n_latents=catalogue.n_latents, k=K, seed=seed)
    autoencoder = AutoencoderSpec(activations=capture.artifact_ref(), config=config)
    sample = _representations(model, users, items, min(catalogue.n_users, 2000))
    sae = build_autoencoder(config, d_model=D_MODEL).eval()
    with torch.inference_mode():
        sae.input_mean.copy_(sample.mean(0))
        sae.input_scale.copy_(sample.std())
        dense = sae.encode(sample).dense(catalogue.n_latents).numpy()

    def write_autoencoder(at: Path) -> None:
        sae.save(at)
        _write_latents(at / LATENTS.file, dense)

    commit(autoencoder, write_autoencoder)
    concepts = ConceptsSpec(autoencoder=autoencoder.artifact_ref(), dataset=dataset.artifact_ref())
    rows, concept_ids = _concepts(catalogue, dense, rng)
    commit(concepts, lambda at: write_concepts(rows, at / CONCEPTS.file))
    pointer = ReleaseSpec(
        name="default",
        recommender=recommender.artifact_ref(),
        autoencoder=autoencoder.artifact_ref(),
        concepts=concepts.artifact_ref(),
    )
    store.releases.publish(
        Release(
            **pointer.model_dump(exclude={"expected", "ordered_at"}),
            version=pointer.version(),
            published_at="2024-01-01T00:00:00+00:00",
        )
    )
    return World(catalogue, taste, concept_ids)


class _Commit:
    """Commits artifacts from files that lie in a folder for a moment."""

    def __init__(self, store: ArtifactStore, folder: Path) -> None:
        self._store, self._folder = store, folder

    def __call__(self, spec: JobSpec, write: Callable[[Path], object] | None = None) -> None:
        folder = self._folder / spec.artifact_ref()
        folder.mkdir(parents=True)
        if write is not None:
            write(folder)
        writer = ArtifactWriter(self._store, spec)
        for path in sorted(folder.iterdir()):
            writer.add(path)
            path.unlink()
        writer.commit(metrics={}, seconds=0.0)


def _write_dataset(
    folder: Path, catalogue: Catalogue, taste: Taste, users: np.ndarray, items: np.ndarray
) -> None:
    n_items, n_users = catalogue.n_items, catalogue.n_users
    # The last item of each user is test, the one before valid.
    left = np.searchsorted(users, users, side="right") - 1 - np.arange(len(users))
    split = pa.DictionaryArray.from_arrays(
        pa.array(np.where(left > 1, 0, 2 - left).astype(np.int8)), ["train", "valid", "test"]
    )
    interactions = {
        "user_index": pa.array(users),
        "item_index": pa.array(items),
        "timestamp": pa.array(np.arange(len(users))),
        "rating": pa.nulls(len(users), pa.float32()),
        "split": split.cast(pa.string()),
    }
    tags = np.stack([taste.cluster % N_TAGS, (taste.cluster * 7 + 3) % N_TAGS], axis=1)
    names = pa.array([_tag(tag) for tag in range(N_TAGS)])
    catalog = {
        "item_id": pa.array([item_id(i) for i in range(n_items)]),
        "title": pa.array([f"Title of item {i}" for i in range(n_items)]),
        "tags": pa.ListArray.from_arrays(
            pa.array(np.arange(n_items + 1, dtype=np.int32) * 2), names.take(pa.array(tags.ravel()))
        ),
        "year": pa.nulls(n_items, pa.int16()),
        "popularity": pa.array(np.bincount(items[left > 1], minlength=n_items).astype(np.int32)),
    }
    people = {
        "user_id": pa.array([user_id(u) for u in range(n_users)]),
        "attributes": pa.array([[]] * n_users, pa.map_(pa.string(), pa.string())),
    }
    for name, columns in (
        (INTERACTIONS.file, interactions),
        (ITEMS.file, catalog),
        (USERS.file, people),
    ):
        pq.write_table(pa.table(columns), folder / name)


def _tag(tag: int) -> str:
    return f"Theme {tag:02}"


def _model(
    catalogue: Catalogue,
    taste: Taste,
    users: np.ndarray,
    items: np.ndarray,
    rng: np.random.Generator,
) -> Recommender:
    model = build_recommender(
        MODELS[catalogue.model], catalogue.n_users, catalogue.n_items, seed=0
    ).eval()
    vectors = item_vectors(taste, rng)
    with torch.inference_mode():
        if catalogue.model == "bprmf":
            tables = dict(model.named_parameters())
            tables["item_embedding.weight"].copy_(torch.from_numpy(vectors))
            of_user = np.add.reduceat(
                vectors[items], np.searchsorted(users, np.arange(users[-1] + 1))
            )
            tables["user_embedding.weight"].copy_(torch.from_numpy(of_user / 10))
        else:
            model.item_weights().copy_(torch.from_numpy(vectors))
    return model


def item_vectors(taste: Taste, rng: np.random.Generator) -> np.ndarray:
    """[n_items, D_MODEL] around the clusters' centres, longer for popular items."""
    centres = rng.normal(size=(N_CLUSTERS, D_MODEL)).astype(np.float32)
    vectors = rng.standard_normal((taste.n_items, D_MODEL), np.float32)
    vectors += centres[taste.cluster]
    vectors *= (0.5 + taste.popularity[:, None].astype(np.float32)) / np.sqrt(2 * D_MODEL)
    return vectors


def _representations(
    model: Recommender, users: np.ndarray, items: np.ndarray, n_users: int
) -> torch.Tensor:
    starts = np.searchsorted(users, np.arange(n_users + 1))
    histories = [items[a:b].astype(np.int64) for a, b in pairwise(starts)]
    with torch.inference_mode():
        return torch.cat(
            [
                model.represent(
                    UserBatch.of(
                        histories[at : at + 200],
                        range(at, min(at + 200, n_users)),
                        max_length=model.max_length,
                    )
                )
                for at in range(0, n_users, 200)
            ]
        )


def _write_latents(path: Path, dense: np.ndarray) -> None:
    fires = dense > 0
    count = fires.sum(0)
    p99 = [float(np.quantile(z[z > 0], 0.99)) if (z > 0).any() else 0.0 for z in dense.T]
    table = {
        "latent": pa.array(range(dense.shape[1]), pa.int32()),
        "density": pa.array(fires.mean(0)),
        "mean": pa.array(dense.sum(0) / count.clip(min=1), pa.float32()),
        "p99": pa.array(p99, pa.float32()),
        "maximum": pa.array(dense.max(0), pa.float32()),
    }
    pq.write_table(pa.table(table), path)


def _concepts(
    catalogue: Catalogue, dense: np.ndarray, rng: np.random.Generator
) -> tuple[list[LatentLabel], list[str]]:
    alive = rng.permutation(np.flatnonzero((dense > 0).sum(0) >= 3))
    n_concepts = min(N_TAGS, len(alive) // LATENTS_OF_A_CONCEPT)
    rows = [LatentLabel(latent) for latent in range(catalogue.n_latents)]
    for position, latent in enumerate(alive[: n_concepts * LATENTS_OF_A_CONCEPT].tolist()):
        tag = position % n_concepts
        rows[latent] = LatentLabel(
            latent=latent,
            concept_id=f"theme-{tag:02}",
            label=_tag(tag),
            description=f"Fires for {_tag(tag)}.",
            keywords=(_tag(tag).lower(),),
            confidence=0.8,
            precision=0.8,
            recall=0.8,
            trusted=True,
            concept_confidence=0.85,
            concept_trusted=True,
            concept_n_positive=100,
            concept_n_negative=100,
            n_positive=100,
            n_negative=100,
            evidence_items=tuple(item_id(i) for i in range(tag, tag + 10)),
        )
    return rows, [f"theme-{tag:02}" for tag in range(n_concepts)]
