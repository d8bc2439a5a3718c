"""Full softmax against sampled losses, for SASRec and for matrix factorisation.

Default configurations on MovieLens-100K, each trained until NDCG@10 on valid stops rising; SASRec
on leave-one-out, matrix factorisation on the random 8:1:1 split. Full ranking, seen items excluded.

    python benchmarks/recommender_losses.py
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from reclens.adapters.settings import WorkerSettings
from reclens.adapters.sources import obtain
from reclens.contracts import BprMfConfig, DatasetSpec, ModelConfig, SasRecConfig, SplitSpec
from reclens.data import Dataset, Split, prepare
from reclens.recommenders import Objective, Recommender, RecommenderTrainer, full_softmax_loss
from reclens.recommenders.base import NO_ITEM
from reclens.recommenders.bprmf import BprMf
from reclens.recommenders.negatives import NegativeSampler
from reclens.recommenders.sasrec import SasRec, training_windows

RESULTS = Path(__file__).parent / "results" / "recommender_losses.json"
MAX_EPOCHS = 100
"""For all, so that early stopping decides."""


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=1, help="runs of each, with seeds 0, 1, ...")
    seeds = range(parser.parse_args().seeds)
    torch.set_num_threads(1)
    settings = WorkerSettings()
    folder = obtain("ml-100k", settings.cache_dir, settings.data.folder("ml-100k")).folder
    sequences = prepare(DatasetSpec(split=SplitSpec(kind="leave-one-out")), folder)
    pairs = prepare(DatasetSpec(split=SplitSpec(kind="ratio")), folder)
    sasrec, bprmf = SasRecConfig(max_epochs=MAX_EPOCHS), BprMfConfig(max_epochs=MAX_EPOCHS)
    compared: list[tuple[str, ModelConfig, Dataset, Objective | None]] = [
        ("sasrec, full softmax", sasrec, sequences, None),
        ("sasrec, one sampled item", sasrec, sequences, SampledNextItem(sasrec, sequences)),
        ("bprmf, one sampled item", bprmf, pairs, None),
        ("bprmf, full softmax", bprmf, pairs, FullSoftmaxPairs(pairs)),
    ]
    rows = [
        measure(name, config, dataset, objective, seed)
        for name, config, dataset, objective in compared
        for seed in seeds
    ]
    means = {
        name: {
            key: float(np.mean([row[key] for row in rows if row["name"] == name]))
            for key in ("ndcg@10", "cpu_seconds")
        }
        for name, *_ in compared
    }
    ratios = {
        f"{model}, full softmax over sampled, {key}": means[f"{model}, full softmax"][key]
        / means[f"{model}, one sampled item"][key]
        for model in ("sasrec", "bprmf")
        for key in ("ndcg@10", "cpu_seconds")
    }
    machine = {
        "cpu": platform.machine(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "threads": 1,
    }
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(
        json.dumps({"machine": machine, "rows": rows, "ratios": ratios}, indent=2) + "\n"
    )
    print(json.dumps(rows, indent=2))  # noqa: T201 - a command


if __name__ == "__main__":
    main()
