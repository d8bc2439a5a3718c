"""Full softmax against sampled losses, for SASRec and for matrix factorisation.

Default configurations on MovieLens-100K, each trained until NDCG@10 on valid stops rising; SASRec
on leave-one-out, matrix factorisation on the random 8:1:1 split. Full ranking, seen items excluded.

    python benchmarks/recommender_losses.py

Seconds are of the processor, for training alone, so other work on the machine counts little.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from machine import machine
from torch import Tensor
from torch.nn import functional

from reclens.contracts import BprMfConfig, DatasetSpec, ModelConfig, SasRecConfig, SplitSpec
from reclens.data import Dataset, Split, prepare
from reclens.platform.datasets.obtain import obtain
from reclens.platform.settings.models import WorkerSettings
from reclens.recommenders import Objective, Recommender, RecommenderTrainer, full_softmax_loss
from reclens.recommenders.base import NO_ITEM
from reclens.recommenders.models.bprmf import BprMf
from reclens.recommenders.models.pairwise import NegativeSampler
from reclens.recommenders.models.sasrec import SasRec, training_windows

RESULTS = Path(__file__).parent / "results" / "recommender_losses.json"
MAX_EPOCHS = 100
"""For all, so that early stopping decides."""
FULL, SAMPLED = "full softmax", "one sampled item"


class SampledNextItem:
    """The loss of the SASRec paper: at every position, the next item against one other.

    Source: Kang and McAuley 2018 (arXiv 1808.09781), section III-E.
    """

    def __init__(self, config: SasRecConfig, dataset: Dataset) -> None:
        histories = [dataset.history(user, (Split.TRAIN,)) for user in range(dataset.n_users)]
        per_user = [training_windows([history], config.max_length) for history in histories]
        self._windows = np.concatenate(per_user)
        self._users = np.repeat(np.arange(dataset.n_users), [len(w) for w in per_user])
        train = dataset.interactions.split == Split.TRAIN
        self._sampler = NegativeSampler(
            dataset.interactions.user_index[train],
            dataset.interactions.item_index[train],
            dataset.n_items,
        )

    def epoch(self, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
        """Windows [n, max_length + 1], and an item not taken for each target [n, max_length]."""
        order = rng.permutation(len(self._windows))
        width = self._windows.shape[1] - 1
        users = np.repeat(self._users[order], width)
        negatives = self._sampler.sample(users, rng).reshape(-1, width)
        return self._windows[order], negatives

    def loss(self, model: Recommender, *examples: Tensor) -> Tensor:
        """Binary cross-entropy of taken and not taken, averaged over positions."""
        assert isinstance(model, SasRec)
        windows, negatives = examples
        history, target = windows[:, :-1], windows[:, 1:]
        present = history != NO_ITEM
        x = model.encode(history)[present]
        weights = model.item_weights()
        taken = (x * functional.embedding(target[present], weights)).sum(dim=1)
        left = (x * functional.embedding(negatives[present], weights)).sum(dim=1)
        return (functional.softplus(-taken) + functional.softplus(left)).mean()


class FullSoftmaxPairs:
    """Matrix factorisation with cross-entropy over the whole catalogue for each interaction."""

    def __init__(self, dataset: Dataset) -> None:
        train = dataset.interactions.split == Split.TRAIN
        self._users = dataset.interactions.user_index[train].astype(np.int64)
        self._items = dataset.interactions.item_index[train].astype(np.int64)

    def epoch(self, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
        """User and item taken, [n] each."""
        order = rng.permutation(len(self._users))
        return self._users[order], self._items[order]

    def loss(self, model: Recommender, *examples: Tensor) -> Tensor:
        """Cross-entropy in nats, averaged over interactions."""
        assert isinstance(model, BprMf)
        users, items = examples
        user_vectors, item_vectors = model.vectors()
        return full_softmax_loss(user_vectors[users], item_vectors, items)


def measure(
    name: str, config: ModelConfig, dataset: Dataset, objective: Objective | None, seed: int
) -> dict[str, Any]:
    started = time.process_time()
    trainer = RecommenderTrainer(config, dataset, seed, objective=objective)
    for _ in trainer.steps():
        pass
    seconds = time.process_time() - started
    _, metrics = trainer.finish()
    return {
        "name": name,
        "seed": seed,
        "hr@10": metrics["test"]["hr@10"],
        "ndcg@10": metrics["test"]["ndcg@10"],
        "cpu_seconds": seconds,
        "epochs": metrics["epochs"],
        "best_epoch": metrics["best_epoch"],
        "rate": metrics["epochs"] / seconds,
    }


def ratios(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Means over seeds with full softmax over those with one sampled item, where both are there."""
    means: dict[tuple[str, str], float] = {}
    for name in {row["name"] for row in rows}:
        for key in ("ndcg@10", "cpu_seconds"):
            means[name, key] = float(np.mean([row[key] for row in rows if row["name"] == name]))
    return {
        f"{model}, full softmax over sampled, {key}": means[f"{model}, {FULL}", key]
        / means[f"{model}, {SAMPLED}", key]
        for model in ("sasrec", "bprmf")
        for key in ("ndcg@10", "cpu_seconds")
        if (f"{model}, {FULL}", key) in means and (f"{model}, {SAMPLED}", key) in means
    }


def record(row: dict[str, Any]) -> None:
    """Put ``row`` into the results, in place of an earlier one of its name and seed."""
    rows = json.loads(RESULTS.read_text())["rows"] if RESULTS.exists() else []
    rows = [old for old in rows if (old["name"], old["seed"]) != (row["name"], row["seed"])]
    rows = sorted([*rows, row], key=lambda row: (row["name"], row["seed"]))
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    results = {"machine": machine(threads=1), "rows": rows, "ratios": ratios(rows)}
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")


def main() -> None:
    names = [f"{model}, {loss}" for model in ("sasrec", "bprmf") for loss in (FULL, SAMPLED)]
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=1, help="runs of each, with seeds 0, 1, ...")
    parser.add_argument("--only", choices=names, nargs="+", default=names, help="what to run")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    settings = WorkerSettings()
    folder = obtain("ml-100k", settings.cache_dir, settings.data.folder("ml-100k")).folder
    sequences = prepare(DatasetSpec(split=SplitSpec(kind="leave-one-out")), folder)
    pairs = prepare(DatasetSpec(split=SplitSpec(kind="ratio")), folder)
    sasrec, bprmf = SasRecConfig(max_epochs=MAX_EPOCHS), BprMfConfig(max_epochs=MAX_EPOCHS)
    compared: dict[str, tuple[ModelConfig, Dataset, Objective | None]] = {
        f"sasrec, {FULL}": (sasrec, sequences, None),
        f"sasrec, {SAMPLED}": (sasrec, sequences, SampledNextItem(sasrec, sequences)),
        f"bprmf, {FULL}": (bprmf, pairs, FullSoftmaxPairs(pairs)),
        f"bprmf, {SAMPLED}": (bprmf, pairs, None),
    }
    for name in arguments.only:
        for seed in range(arguments.seeds):
            row = measure(name, *compared[name], seed)
            record(row)
            print(json.dumps(row))  # noqa: T201 - a command


if __name__ == "__main__":
    main()
