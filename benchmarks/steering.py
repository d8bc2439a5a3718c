"""What turning up one concept does to a released recommender, and what it costs.

For each of the most trusted concepts and each strength, every user's list is steered and compared
with the untouched one: the share of the top 10 that has the concept's genre, and NDCG@10 on the
held-out test item. Beside it the same push along as many random latents.

    . .reclens/env && python benchmarks/steering.py demo
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
from machine import machine

from reclens.adapters.artifacts import ArtifactStore
from reclens.adapters.settings import StoreSettings
from reclens.concepts import group_concepts, read_concepts
from reclens.contracts.tables import CONCEPTS, LATENTS
from reclens.data import Dataset, Split, read_dataset
from reclens.probing import ProbeSite
from reclens.recommenders import Recommender, UserBatch, load_recommender, seen_mask
from reclens.sae import load_autoencoder
from reclens.steering import LatentEdit, Operation, Unit
from reclens.steering.engine import steer

STRENGTHS = (0.1, 0.2, 0.4, 0.8)
TOP_K = 10
RESULTS = Path(__file__).parent / "results" / "steering.json"


@dataclass(frozen=True)
class Lists:
    """Answers for all users at once."""

    genre_share: float
    """Share of the top 10 that has the genre."""
    ndcg: float
    """NDCG@10 on the held-out item."""


@torch.no_grad()
def representations(
    model: Recommender, site: ProbeSite, histories: list[np.ndarray], users: list[int]
) -> torch.Tensor:
    with site.capture(model) as captured:
        model(UserBatch.of(histories, users, max_length=model.max_length))
    return captured.tensor


def lists(
    x: torch.Tensor,
    model: Recommender,
    seen: torch.Tensor,
    targets: torch.Tensor,
    of_genre: torch.Tensor,
) -> Lists:
    scores = (x @ model.item_weights().T + model.item_biases()).masked_fill(seen, -torch.inf)
    top = scores.topk(TOP_K).indices
    hits = (top == targets[:, None]).float()
    discounts = 1 / torch.log2(torch.arange(TOP_K) + 2.0)
    return Lists(
        genre_share=float(of_genre[top].float().mean()),
        ndcg=float((hits * discounts).sum(1).mean()),
    )


def held_out(dataset: Dataset) -> tuple[list[int], list[np.ndarray], torch.Tensor]:
    """Users with a test item, their history before it, and the item."""
    users = [u for u in range(dataset.n_users) if len(dataset.history(u, (Split.TEST,)))]
    histories = [dataset.history(u, (Split.TRAIN, Split.VALID)) for u in users]
    targets = torch.tensor([int(dataset.history(u, (Split.TEST,))[0]) for u in users])
    return users, histories, targets


@torch.no_grad()
def measure(store: ArtifactStore, release_name: str, n_concepts: int) -> list[dict[str, object]]:
    release = store.release(release_name)
    lineage = store.lineage(release.concepts)
    dataset = read_dataset(store.fetch_all(lineage["dataset"]))
    model = load_recommender(store.fetch_all(release.recommender))
    sae = load_autoencoder(store.fetch_all(release.autoencoder))
    latents = pq.read_table(store.fetch(release.autoencoder, LATENTS))
    p99 = torch.from_numpy(latents["p99"].to_numpy().copy())
    concepts = group_concepts(read_concepts(store.fetch(release.concepts, CONCEPTS)))
    genres = {tag for tags in dataset.items.tags for tag in tags}
    plain = [c for c in concepts if c.label in genres and c.confidence and len(c.latents) > 1]
    plain = sorted(plain, key=lambda c: -(c.confidence or 0.0))[:n_concepts]

    users, histories, targets = held_out(dataset)
    x = representations(model, model.site, histories, users)
    seen = seen_mask(histories, dataset.n_items, x.device)
    alive = (p99 > 0).nonzero().flatten().numpy()
    rng = np.random.default_rng(0)
    rows: list[dict[str, object]] = []
    for concept in plain:
        of_genre = torch.tensor([concept.label in tags for tags in dataset.items.tags])
        before = lists(x, model, seen, targets, of_genre)
        drawn = rng.choice(alive, len(concept.latents), replace=False)
        for strength in STRENGTHS:
            row: dict[str, object] = {
                "name": f"{concept.label} +{strength}",
                "concept": concept.label,
                "confidence": concept.confidence,
                "n_latents": len(concept.latents),
                "strength": strength,
                "share_before": before.genre_share,
            }
            for kind, moved in (("", concept.latents), ("random_", tuple(map(int, drawn)))):
                edit = LatentEdit.of(moved, Operation.ADD, strength, Unit.INPUT_NORM)
                after = lists(steer(x, sae, p99, [edit]).x, model, seen, targets, of_genre)
                row[f"{kind}lift"] = after.genre_share / before.genre_share - 1
                row[f"{kind}ndcg_loss"] = 1 - after.ndcg / before.ndcg
            rows.append(row)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("release", nargs="?", default="default")
    parser.add_argument("--concepts", type=int, default=10, help="most trusted genres to measure")
    arguments = parser.parse_args()
    store = ArtifactStore.from_settings(StoreSettings())
    rows = measure(store, arguments.release, arguments.concepts)
    medians = {
        f"{measured} at {strength}": float(
            np.median([row[measured] for row in rows if row["strength"] == strength])
        )
        for strength in STRENGTHS
        for measured in ("lift", "ndcg_loss", "random_lift", "random_ndcg_loss")
    }
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    results = {"machine": machine(torch.get_num_threads()), "rows": rows, "ratios": medians}
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")
    print(json.dumps(medians, indent=2))  # noqa: T201 - a command


if __name__ == "__main__":
    main()
