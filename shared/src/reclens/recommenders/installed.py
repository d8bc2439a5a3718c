"""Recommenders of other packages, found by the entry points that these packages declare."""

from __future__ import annotations

import inspect

from reclens.contracts import ModuleConfig
from reclens.errors import InvalidInput
from reclens.extensions import ExtensionPoint
from reclens.recommenders.base import Recommender


def _flaw(loaded: object) -> str:
    if not (inspect.isclass(loaded) and issubclass(loaded, Recommender)):
        return "is not a subclass of reclens.recommenders.Recommender"
    lacking = sorted(loaded.__abstractmethods__)
    lacking += [name for name in ("site", "reads_history") if not hasattr(loaded, name)]
    return f"lacks {', '.join(lacking)}" if lacking else ""


RECOMMENDERS: ExtensionPoint[type[Recommender]] = ExtensionPoint(
    "reclens.recommenders",
    noun="recommender",
    field="model.name",
    page="docs/how-to/extend/recommender.md",
    flaw=_flaw,
)
"""Each a subclass of ``Recommender``."""


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
