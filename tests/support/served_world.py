"""A tiny planted release in an object store, as the stages would leave it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

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
    SiteSpec,
    SplitSpec,
)
from reclens.contracts.tables.concepts import Judgement, LatentLabel
from reclens.data import Dataset, Interactions, Items, Users, write_dataset
from reclens.platform.store.artifacts import ArtifactStore, ArtifactWriter
from reclens.recommenders import Recommender, UserBatch, build_recommender, save_recommender
from reclens.sae import SparseAutoencoder, build_autoencoder

N_USERS, N_ITEMS, N_LATENTS = 12, 40, 32
MODELS = {
    "sasrec": SasRecConfig(d_model=8, n_layers=1, max_length=6, dropout=0.0),
    "bprmf": BprMfConfig(d_model=8),
}


JUDGEMENTS = (
    Judgement(
        judge="keywords",
        confidence=0.9,
        precision=0.92,
        recall=0.88,
        recall_low=0.8,
        recall_high=0.94,
        specificity=0.91,
        specificity_low=0.83,
        specificity_high=0.96,
        auroc=0.97,
        paper_p=1.0,
        n_positive=100,
        n_negative=90,
        trusted=True,
        shuffled_confidence=0.52,
        shuffled_auroc=0.49,
    ),
    Judgement(
        judge="llm",
        confidence=0.5,
        precision=0.25,
        recall=0.75,
        recall_low=0.4,
        recall_high=0.9,
        specificity=0.125,
        specificity_low=0.1,
        specificity_high=0.375,
        auroc=0.625,
        paper_p=None,
        n_positive=8,
        n_negative=10,
        trusted=False,
    ),
)


@dataclass(frozen=True)
class World:
    """A published release with the objects that it was made of, as the tests' own truth."""

    release: Release
    dataset: Dataset
    model: Recommender
    sae: SparseAutoencoder
    p99: torch.Tensor
    firing: list[int]
    """Latents that fire for user 0, strongest first."""
    silent: list[int]
    """Latents that do not fire for user 0 but have a percentile."""
    dead: int
    """A latent whose percentile is 0."""

    def batch(self, user_index: int) -> UserBatch:
        """The forward pass's input for a known user."""
        return UserBatch.of([self.dataset.history(user_index)], [user_index])


class Publisher:
    """Writes releases to the store as the stages would."""

    def __init__(self, store: ArtifactStore, folder: Path) -> None:
        self.store = store
        self._folder = folder
        self._n = 0

    def commit(self, spec: JobSpec, write: Callable[[Path], object] | None = None) -> str:
        """Commit the artifact of ``spec`` with the files that ``write`` leaves in its folder."""
        self._n += 1
        folder = self._folder / str(self._n)
        folder.mkdir(parents=True)
        writer = ArtifactWriter(self.store, spec)
        if write is not None:
            write(folder)
        for path in sorted(folder.iterdir()):
            writer.add(path)
        writer.commit(metrics={}, seconds=0.0)
        return writer.ref

    def world(
        self,
        *,
        kind: str = "sasrec",
        seed: int = 0,
        name: str = "default",
        spoil: Callable[[Recommender], None] | None = None,
        site: SiteSpec | None = None,
    ) -> World:
        """Make a release and publish it; ``spoil`` damages the model that is stored."""
        dataset = tiny_dataset()
        dataset_spec = DatasetSpec(split=SplitSpec(seed=0))
        self.commit(dataset_spec, lambda folder: write_dataset(dataset, folder))
        model = build_recommender(MODELS[kind], N_USERS, N_ITEMS, seed).eval()
        recommender_spec = RecommenderSpec(
            dataset=dataset_spec.artifact_ref(), model=MODELS[kind], seed=seed
        )
        stored = build_recommender(MODELS[kind], N_USERS, N_ITEMS, seed).eval()
        if spoil is not None:
            spoil(stored)
        self.commit(recommender_spec, lambda folder: save_recommender(stored, folder))
        capture_spec = CaptureSpec(recommender=recommender_spec.artifact_ref(), site=site)
        self.commit(capture_spec)
        config = AutoencoderConfig(d_model=8, n_latents=N_LATENTS, k=6, seed=seed)
        sae = build_autoencoder(config, d_model=8).eval()
        batch = UserBatch.of([dataset.history(u) for u in range(N_USERS)], list(range(N_USERS)))
        with torch.inference_mode(), model.site.capture(model) as captured:
            model(batch)
        with torch.inference_mode():
            sae.input_mean.copy_(captured.tensor.mean(0))
            sae.input_scale.copy_(captured.tensor.std())
            dense = sae.encode(captured.tensor).dense(N_LATENTS)
        dead = N_LATENTS - 1
        p99 = torch.tensor(
            [float(np.quantile(z[z > 0], 0.99)) if (z > 0).any() else 0.25 for z in dense.numpy().T]
        )
        p99[dead] = 0.0
        firing = [j for j in dense[0].argsort(descending=True).tolist() if dense[0, j] > 0]
        firing = [j for j in firing if j != dead]
        silent = [j for j in range(dead) if j not in firing]
        autoencoder_spec = AutoencoderSpec(activations=capture_spec.artifact_ref(), config=config)

        def write_autoencoder(folder: Path) -> None:
            sae.save(folder)
            pq.write_table(latents_table(p99), folder / "latents.parquet")

        self.commit(autoencoder_spec, write_autoencoder)
        concepts_spec = ConceptsSpec(
            autoencoder=autoencoder_spec.artifact_ref(), dataset=dataset_spec.artifact_ref()
        )
        rows = concept_rows(
            {
                firing[0]: ("film-noir", "Film-Noir", 0.9),
                silent[0]: ("film-noir", "Film-Noir", 0.8),
                firing[1]: ("comedy", "Comedy", 0.7),
                silent[1]: ("western", "Western", 0.6),
                dead: ("never", "Never", None),
            }
        )
        # Figures of the whole concept, and of two judges on its first latent.
        rows[firing[0]] = replace(
            rows[firing[0]],
            concept_auroc=0.95,
            concept_trusted=True,
            trusted=True,
            judgements=JUDGEMENTS,
        )
        # As a nested dictionary has it: part of what an earlier latent stands for.
        rows[dead] = replace(rows[dead], parent=silent[1])
        self.commit(concepts_spec, lambda folder: write_concepts(rows, folder / "concepts.parquet"))
        pointer = ReleaseSpec(
            name=name,
            recommender=recommender_spec.artifact_ref(),
            autoencoder=autoencoder_spec.artifact_ref(),
            concepts=concepts_spec.artifact_ref(),
        )
        release = Release(
            **pointer.model_dump(exclude={"expected", "ordered_at"}),
            version=pointer.version(),
            published_at="2024-01-01T00:00:00+00:00",
        )
        self.store.releases.publish(release)
        return World(release, dataset, model, sae, p99, firing, silent, dead)


def tiny_dataset() -> Dataset:
    """Twelve users with 3 to 14 of 40 items each."""
    rng = np.random.default_rng(7)
    lengths = 3 + np.arange(N_USERS)
    users = np.repeat(np.arange(N_USERS, dtype=np.int32), lengths)
    items = np.concatenate([rng.permutation(N_ITEMS)[:length] for length in lengths])
    splits = np.concatenate([[0] * (length - 2) + [1, 2] for length in lengths])
    interactions = Interactions(
        user_index=users,
        item_index=items.astype(np.int32),
        timestamp=np.arange(len(users), dtype=np.int64),
        rating=None,
        split=splits.astype(np.uint8),
    )
    return Dataset(
        interactions=interactions,
        items=Items(
            ids=[f"item-{i}" for i in range(N_ITEMS)],
            titles=[f"Title {i}" for i in range(N_ITEMS)],
            tags=[["Drama"] if i % 2 else ["Comedy", "Crime"] for i in range(N_ITEMS)],
            years=[None] * N_ITEMS,
            popularity=np.bincount(items[splits == 0], minlength=N_ITEMS).astype(np.int32),
        ),
        users=Users(ids=[f"user-{u}" for u in range(N_USERS)], attributes=[{}] * N_USERS),
    )


def latents_table(p99: torch.Tensor) -> pa.Table:
    """The table of ``contracts.tables.LATENTS``."""
    n_latents = len(p99)
    return pa.table(
        {
            "latent": pa.array(range(n_latents), pa.int32()),
            "density": pa.array([0.1] * n_latents, pa.float64()),
            "mean": pa.array(p99.numpy() / 2, pa.float32()),
            "p99": pa.array(p99.numpy(), pa.float32()),
            "maximum": pa.array(p99.numpy(), pa.float32()),
        }
    )


def concept_rows(labels: dict[int, tuple[str, str, float | None]]) -> list[LatentLabel]:
    """One row per latent, with these labelled."""
    rows = [LatentLabel(latent) for latent in range(N_LATENTS)]
    for latent, (concept_id, label, confidence) in labels.items():
        confidences = [c for i, _, c in labels.values() if i == concept_id and c]
        rows[latent] = LatentLabel(
            latent=latent,
            concept_id=concept_id,
            label=label,
            description=f"Fires for {label}.",
            keywords=(label.lower(),),
            confidence=confidence,
            concept_confidence=max(confidences, default=None),
            concept_n_positive=10,
            concept_n_negative=20,
            evidence_items=(f"item-{latent}", "item-3"),
        )
    return rows
