"""What a model is trained on: examples of an epoch and the loss of a batch of them."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from torch import Tensor

from reclens.recommenders.base import Recommender


class Objective(Protocol):
    """Training examples and loss of one model, drawn from the train split alone."""

    def epoch(self, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
        """All examples of one epoch in the order of their use: arrays of equal first dimension.

        Every epoch has the same number of examples.
        """
        ...

    def loss(self, model: Recommender, *examples: Tensor) -> Tensor:
        """Mean loss (a scalar) of a batch: rows of the arrays of ``epoch``."""
        ...
