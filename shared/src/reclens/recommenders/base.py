"""What every recommender offers: a batch of users in, one vector per user, scores for all items.

And what one is trained on: the examples of an epoch, and the loss of a batch of them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from reclens.errors import InvalidInput
from reclens.probing import ProbeSite

if TYPE_CHECKING:
    from reclens.data import Dataset

NO_ITEM = -1
"""Fills the left of a short history."""
UNKNOWN_USER = -1
"""A user that was not there at training time."""


@dataclass(frozen=True)
class UserBatch:
    """Users, each by index, by history, or by both."""

    user_index: Int[Tensor, " batch"]
    """Row of the data set's users; -1 for an unknown user."""
    history: Int[Tensor, "batch length"]
    """Item indices, oldest first, filled on the left with -1."""

    @classmethod
    def of(
        cls,
        histories: Sequence[np.ndarray],
        user_index: Sequence[int] | np.ndarray | None = None,
        max_length: int | None = None,
    ) -> UserBatch:
        """Batch histories of any lengths.

        Args:
            histories: item indices of each user, oldest first; an empty one is allowed.
            user_index: index of each user; None: all unknown.
            max_length: keep only so many of the most recent items.

        Raises:
            InvalidInput: the two sequences differ in length.
        """
        if user_index is None:
            user_index = [UNKNOWN_USER] * len(histories)
        if len(user_index) != len(histories):
            raise InvalidInput(
                f"{len(histories)} histories, but {len(user_index)} users.",
                field="user_index",
                remedy="give one user index for each history, or none at all.",
            )
        recent = [history if max_length is None else history[-max_length:] for history in histories]
        length = max((len(history) for history in recent), default=0)
        padded = np.full((len(recent), length), NO_ITEM, dtype=np.int64)
        for row, history in enumerate(recent):
            padded[row, length - len(history) :] = history
        return cls(
            user_index=torch.as_tensor(np.asarray(user_index, dtype=np.int64)),
            history=torch.from_numpy(padded),
        )

    def __len__(self) -> int:
        return len(self.user_index)

    def recent(self, max_length: int | None) -> UserBatch:
        """The same batch with the most recent ``max_length`` items; None: all."""
        if max_length is None or self.history.shape[1] <= max_length:
            return self
        return UserBatch(self.user_index, self.history[:, -max_length:])

    def to(self, device: torch.device | str) -> UserBatch:
        """The same batch on another device."""
        return UserBatch(self.user_index.to(device), self.history.to(device))


class Recommender(nn.Module, ABC):
    """A model that scores all items by the inner product with one vector per user.

    ``scores = x @ item_weights().T + item_biases()``, where ``x`` is what passes ``site``: editing
    ``x`` there edits the answer, and nothing that shapes the answer bypasses it.

    A subclass names ``site`` and ``reads_history``, and has ``represent`` and ``item_weights``;
    where RecLens is to train it, also ``objective``. The rest has defaults. ``config`` is the
    model's configuration; for models of other packages a ``ModuleConfig``.
    """

    site: ClassVar[ProbeSite]
    """Where ``x`` passes."""
    reads_history: ClassVar[bool]
    """Whether ``x`` is computed from the history alone, so that every prefix of it is a case. Else
    a known user has a learned vector, and the history counts for unknown users only."""

    def __init__(self, config: Any, n_users: int, n_items: int) -> None:
        super().__init__()
        self.config = config
        self.n_users = n_users
        self.n_items = n_items

    @property
    def max_length(self) -> int | None:
        """Most recent items of a history that the model sees; None: all."""
        return None

    @property
    def d_model(self) -> int:
        """Width of ``x``."""
        return self.item_weights().shape[1]

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    @classmethod
    def objective(cls, config: Any, dataset: Dataset) -> Objective:
        """What the model is trained on.

        Raises:
            InvalidInput: the model cannot be trained here, or there is nothing to learn.
        """
        raise InvalidInput(
            f"{cls.__name__} has no objective, so RecLens cannot train it.",
            field="model",
            remedy="bring its weights, or give it the class method `objective`.",
        )

    def observe(self, dataset: Dataset) -> None:
        """Take in what the model needs of ``dataset`` besides its sizes, such as a graph.

        Called once, before training or before weights are brought. What is kept must be a buffer,
        so that it is stored with the weights.
        """

    def load_weights(self, weights: dict[str, Tensor]) -> None:
        """Take in weights that were trained elsewhere, by their names there.

        By default the names are those of this module's own ``state_dict``; a model that wraps
        another one passes them on to it.

        Raises:
            RuntimeError, KeyError: they do not fit.
        """
        self.load_state_dict(weights)

    @abstractmethod
    def represent(self, batch: UserBatch) -> Float[Tensor, "batch d_model"]:
        """The vector ``x`` of each user.

        Raises:
            InvalidInput: a row has neither a known user nor a history that the model can use.
        """

    @abstractmethod
    def item_weights(self) -> Float[Tensor, "n_items d_model"]:
        """One vector per item."""

    def item_biases(self) -> Float[Tensor, " n_items"]:
        """One number per item; zeros where the model has none."""
        return torch.zeros(self.n_items, device=self.device)

    def forward(self, batch: UserBatch) -> Float[Tensor, "batch n_items"]:
        """Scores of all items, seen ones included.

        Raises:
            InvalidInput: see ``represent``; also an index out of range.
        """
        self.check(batch)
        batch = batch.recent(self.max_length)
        return self.represent(batch) @ self.item_weights().T + self.item_biases()

    def check(self, batch: UserBatch) -> None:
        """Refuse indices that the model does not have, and users it knows nothing of.

        Raises:
            InvalidInput: names the field and the range.
        """
        for field, values, size in (
            ("history", batch.history, self.n_items),
            ("user_index", batch.user_index, self.n_users),
        ):
            if values.numel() and not (int(values.min()) >= -1 and int(values.max()) < size):
                raise InvalidInput(
                    f"indices must lie in [-1, {size}), got {int(values.min())} to "
                    f"{int(values.max())}.",
                    field=field,
                    remedy="use indices of the data set that the model was trained on.",
                )
        if self.reads_history and not bool((batch.history != NO_ITEM).any(dim=1).all()):
            raise InvalidInput(
                f"{type(self).__name__} needs at least one item of history.",
                field="history",
                remedy="give the items that the user interacted with, oldest first.",
            )


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
