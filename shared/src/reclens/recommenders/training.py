"""Training of any registered recommender: interruptible at every step, early-stopped."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from reclens.contracts import ModelConfig, Progress
from reclens.data import Dataset, Split
from reclens.errors import InvalidInput, NotReady
from reclens.recommenders.base import Objective, Recommender
from reclens.recommenders.evaluation import evaluate
from reclens.recommenders.randomness import derived_seed, seeded
from reclens.recommenders.registry import build_recommender, recommender_class

_WATCHED = ("hr@10", "ndcg@10")
_CRITERION = "ndcg@10"


@dataclass
class _Position:
    """How far a training is, in JSON types."""

    epoch: int = 0
    batch: int = 0
    loss_sum: float = 0.0
    """Over the batches of the present epoch."""
    steps_done: int = 0
    validations_without_gain: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    """Figures of each epoch."""
    watched: dict[str, float] = field(default_factory=dict)
    """Figures of the last validation."""
    finished: bool = False


class RecommenderTrainer:
    """Trains with Adam until NDCG@10 on valid stops rising.

    All randomness is a function of seed, epoch and step, so the state holds no generators: weights,
    Adam's moments, the best weights so far and the place within the data are all there is.

    Args:
        config: architecture and training.
        dataset: its train split is learned, its valid split decides when to stop.
        seed: of initialisation, data order, negative samples and dropout.
        device: where to train.
        objective: what to train on. None: the model's own.

    Raises:
        InvalidInput: the configuration does not fit the data set.
    """

    def __init__(
        self,
        config: ModelConfig,
        dataset: Dataset,
        seed: int,
        device: torch.device | str = "cpu",
        objective: Objective | None = None,
    ) -> None:
        self._config = config
        self._dataset = dataset
        self._seed = seed
        if objective is None:
            objective = recommender_class(config).objective(config, dataset)
        self._objective = objective
        model = build_recommender(config, dataset.n_users, dataset.n_items, seed)
        model.observe(dataset)
        self.model: Recommender = model.to(device)
        self._optimizer = torch.optim.Adam(
            self.model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        self._best: dict[str, Tensor] = {}
        self._at = _Position()

    def steps(self) -> Iterator[Progress]:
        """Train on; one ``Progress`` per step, with ``loss`` and, once validated, ``hr@10`` and
        ``ndcg@10``. ``total`` is the upper bound: early stopping may come first.

        Raises:
            InvalidInput: the loss is not finite.
        """
        while not self._at.finished:
            epoch, size = self._at.epoch, self._config.batch_size
            rng = np.random.default_rng(derived_seed(self._seed, epoch))
            examples = self._objective.epoch(rng)
            n_batches = math.ceil(len(examples[0]) / size)
            while self._at.epoch == epoch:
                rows = slice(self._at.batch * size, (self._at.batch + 1) * size)
                loss = self._step([torch.from_numpy(column[rows]) for column in examples])
                self._at.batch += 1
                self._at.steps_done += 1
                self._at.loss_sum += loss
                if self._at.batch == n_batches:
                    self._end_epoch(n_batches)
                yield Progress(
                    stage="train",
                    step=self._at.steps_done,
                    total=self._config.max_epochs * n_batches,
                    metrics={"loss": loss, "epoch": float(self._at.epoch), **self._at.watched},
                )

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Copies of everything that the next step depends on: tensors and JSON values."""
        tensors = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        tensors |= {f"best.{name}": value for name, value in self._best.items()}
        for name, parameter in self.model.named_parameters():
            for key, value in self._optimizer.state.get(parameter, {}).items():
                tensors[f"adam.{key}.{name}"] = value
        meta = {"made_by": self._made_by(), **asdict(self._at)}
        return {name: value.detach().cpu().numpy().copy() for name, value in tensors.items()}, meta

    def restore(self, tensors: dict[str, np.ndarray], meta: dict[str, Any]) -> None:
        """Go on from what ``state`` returned, as if never interrupted, whatever device it is from.

        Raises:
            InvalidInput: the state belongs to another configuration or seed.
        """
        if meta["made_by"] != self._made_by():
            raise InvalidInput(
                "the saved state was made with another configuration or seed.",
                field="state",
                remedy="start anew, or use the configuration that it was made with.",
            )
        device = self.model.device
        groups: dict[str, dict[str, Tensor]] = {"model": {}, "best": {}, "adam": {}}
        for full_name, array in tensors.items():
            group, name = full_name.split(".", 1)
            groups[group][name] = torch.tensor(array)
        self.model.load_state_dict(groups["model"])
        self._best = {name: value.to(device) for name, value in groups["best"].items()}
        parameters = dict(self.model.named_parameters())
        for full_name, value in groups["adam"].items():
            key, name = full_name.split(".", 1)
            # Adam keeps its step counter on the CPU.
            kept = value if key == "step" else value.to(device)
            self._optimizer.state[parameters[name]][key] = kept
        position = copy.deepcopy(meta)
        del position["made_by"]
        self._at = _Position(**position)

    def finish(self) -> tuple[Recommender, dict[str, Any]]:
        """The model with the weights that were best on valid, in eval mode, and its metrics.

        Returns:
            Model, and ``{"valid": {...}, "test": {...}, "epochs": n, "best_epoch": n,
            "history": [{"epoch", "loss", and hr@10, ndcg@10 where validated}, ...]}``.

        Raises:
            NotReady: ``steps`` has not run to its end.
        """
        if not self._at.finished:
            raise NotReady("training is not over.", remedy="exhaust `steps` first.")
        self.model.load_state_dict(self._best)
        self.model.eval()
        validated = [row for row in self._at.history if _CRITERION in row]
        return self.model, {
            "valid": evaluate(self.model, self._dataset, Split.VALID),
            "test": evaluate(self.model, self._dataset, Split.TEST),
            "epochs": self._at.epoch,
            "best_epoch": int(max(validated, key=lambda row: row[_CRITERION])["epoch"]),
            "history": self._at.history,
        }

    def _step(self, examples: list[Tensor]) -> float:
        self.model.train()
        examples = [column.to(self.model.device) for column in examples]
        with (
            seeded(self._seed, self._at.epoch, self._at.batch, device=self.model.device),
            _ordered_attention(self.model.device),
        ):
            loss = self._objective.loss(self.model, *examples)
            self._optimizer.zero_grad()
            loss.backward()
        self._optimizer.step()
        value = loss.item()
        if not math.isfinite(value):
            raise InvalidInput(
                f"the loss became {value} in epoch {self._at.epoch + 1}.",
                field="learning_rate",
                remedy="train with a lower learning_rate.",
            )
        return value

    def _end_epoch(self, n_batches: int) -> None:
        self._at.epoch += 1
        row = {"epoch": float(self._at.epoch), "loss": self._at.loss_sum / n_batches}
        self._at.batch, self._at.loss_sum = 0, 0.0
        last = self._at.epoch == self._config.max_epochs
        if last or self._at.epoch % self._config.validate_every == 0:
            metrics = evaluate(self.model, self._dataset, Split.VALID, ks=(10,))
            self._at.watched = {name: metrics[name] for name in _WATCHED}
            row |= self._at.watched
            self._keep_best()
        self._at.history.append(row)
        tired = self._at.validations_without_gain >= self._config.patience
        self._at.finished = last or tired

    def _keep_best(self) -> None:
        before = [row[_CRITERION] for row in self._at.history if _CRITERION in row]
        if before and self._at.watched[_CRITERION] <= max(before):
            self._at.validations_without_gain += 1
            return
        self._at.validations_without_gain = 0
        self._best = {name: value.clone() for name, value in self.model.state_dict().items()}

    def _made_by(self) -> dict[str, Any]:
        return {"config": self._config.canonical(), "seed": self._seed}


def _ordered_attention(device: torch.device) -> AbstractContextManager[Any]:
    """On a GPU, attention whose gradient adds in one order; the fused kernels leave it open."""
    return sdpa_kernel(SDPBackend.MATH) if device.type == "cuda" else nullcontext()
