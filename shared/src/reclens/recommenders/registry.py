"""Which class stands behind the ``kind`` of a configuration."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from reclens.contracts import ModelConfig
from reclens.data import Dataset
from reclens.errors import InvalidInput
from reclens.recommenders.base import Recommender
from reclens.recommenders.bprmf import BprMf, PairwiseObjective
from reclens.recommenders.objective import Objective
from reclens.recommenders.randomness import seeded
from reclens.recommenders.sasrec import NextItemObjective, SasRec


@dataclass(frozen=True)
class Entry:
    """A model and what it is trained on."""

    model: Callable[[Any, int, int], Recommender]
    """From configuration, number of users and number of items; draws from torch's generator."""
    objective: Callable[[Any, Dataset], Objective]
    """From configuration and data set."""


REGISTRY: dict[str, Entry] = {
    "sasrec": Entry(SasRec, NextItemObjective),
    "bprmf": Entry(BprMf, PairwiseObjective),
}
"""To add a recommender: one file, one line here, one config in ``contracts.models``."""


def entry(config: ModelConfig) -> Entry:
    """The registry's entry for a configuration.

    Raises:
        InvalidInput: its kind is not registered.
    """
    if config.kind not in REGISTRY:
        raise InvalidInput(
            f"there is no recommender of kind {config.kind!r}.",
            field="kind",
            remedy=f"choose one of {', '.join(REGISTRY)}.",
        )
    return REGISTRY[config.kind]


def build_recommender(config: ModelConfig, n_users: int, n_items: int, seed: int) -> Recommender:
    """A recommender with fresh weights; the same seed gives the same ones.

    Raises:
        InvalidInput: the kind is not registered or its sizes do not fit together.
    """
    with seeded(seed):
        return entry(config).model(config, n_users, n_items)
