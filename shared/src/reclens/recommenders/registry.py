"""Which class stands behind a configuration: one of RecLens, or one of an installed package."""

from __future__ import annotations

from reclens.contracts import ModelConfig, ModuleConfig
from reclens.errors import InvalidInput
from reclens.extensions import ExtensionPoint, subclass_of
from reclens.recommenders.base import Recommender
from reclens.recommenders.models.bprmf import BprMf
from reclens.recommenders.models.lightgcn import LightGcn
from reclens.recommenders.models.sasrec import SasRec
from reclens.recommenders.randomness import seeded

RECOMMENDERS: ExtensionPoint[type[Recommender]] = ExtensionPoint(
    "reclens.recommenders",
    noun="recommender",
    field="model.name",
    page="docs/how-to/extend/recommender.md",
    flaw=subclass_of(Recommender, "reclens.recommenders.Recommender", ("site", "reads_history")),
)
"""Each a subclass of ``Recommender``."""

REGISTRY: dict[str, type[Recommender]] = {
    "sasrec": SasRec,
    "bprmf": BprMf,
    "lightgcn": LightGcn,
}
"""Those that come with RecLens, by the ``kind`` of their configuration. To add one: one file, one
line here, one configuration in `reclens.contracts.specs.recommender`."""


def recommender_class(config: ModelConfig) -> type[Recommender]:
    """The class that a configuration is of: one of RecLens, or one of an installed package.

    Raises:
        InvalidInput: the package's class cannot be used.
        NotFound: no installed package offers it.
    """
    if isinstance(config, ModuleConfig):
        return installed_recommender(config)
    return REGISTRY[config.kind]


def build_recommender(config: ModelConfig, n_users: int, n_items: int, seed: int) -> Recommender:
    """A recommender with fresh weights; the same seed gives the same ones.

    Raises:
        InvalidInput: its sizes do not fit together, or a package's class cannot be used.
        NotFound: no installed package offers the model.
    """
    with seeded(seed):
        return recommender_class(config)(config, n_users, n_items)


def installed_recommender(config: ModuleConfig) -> type[Recommender]:
    """The class that an installed package offers under ``config.name``.

    Raises:
        NotFound: no installed package offers it.
        InvalidInput: it is of another version, cannot be imported or is not a ``Recommender``.
    """
    version = RECOMMENDERS.version(config.name)
    if config.version not in (None, version):
        raise InvalidInput(
            f"recommender {config.name!r} is installed in version {version}, not {config.version}.",
            field="model.version",
            remedy=f"install that version on every worker, or ask for {version}.",
        )
    return RECOMMENDERS.load(config.name)
