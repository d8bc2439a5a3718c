"""Which class stands behind the ``kind`` of a configuration."""

from __future__ import annotations

from reclens.contracts import ModelConfig, ModuleConfig
from reclens.errors import InvalidInput
from reclens.recommenders.base import Recommender
from reclens.recommenders.installed import installed_recommender
from reclens.recommenders.models.bprmf import BprMf
from reclens.recommenders.models.lightgcn import LightGcn
from reclens.recommenders.models.sasrec import SasRec
from reclens.recommenders.randomness import seeded

REGISTRY: dict[str, type[Recommender]] = {
    "sasrec": SasRec,
    "bprmf": BprMf,
    "lightgcn": LightGcn,
}
"""To add a recommender: one file, one line here, one config in ``contracts.models``."""


def recommender_class(config: ModelConfig) -> type[Recommender]:
    """The class that a configuration is of: one of RecLens, or one of an installed package.

    Raises:
        InvalidInput: its kind is not registered, or the package's class cannot be used.
        NotFound: no installed package offers it.
    """
    if isinstance(config, ModuleConfig):
        return installed_recommender(config)
    if config.kind not in REGISTRY:
        raise InvalidInput(
            f"there is no recommender of kind {config.kind!r}.",
            field="kind",
            remedy=f"choose one of {', '.join([*REGISTRY, 'module'])}.",
        )
    return REGISTRY[config.kind]


def build_recommender(config: ModelConfig, n_users: int, n_items: int, seed: int) -> Recommender:
    """A recommender with fresh weights; the same seed gives the same ones.

    Raises:
        InvalidInput: the kind is not registered or its sizes do not fit together.
        NotFound: no installed package offers the model.
    """
    with seeded(seed):
        return recommender_class(config)(config, n_users, n_items)
