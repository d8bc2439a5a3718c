"""Recommenders of other packages, found by the entry points that these packages declare.

A job names an entry point, never an import path: what a worker may run is decided by what was
installed there, not by who can write to its queue.
"""

from __future__ import annotations

import inspect
from importlib.metadata import EntryPoint, entry_points

from reclens.contracts import ModuleConfig
from reclens.errors import InvalidInput, NotFound
from reclens.recommenders.base import Recommender

ENTRY_POINT_GROUP = "reclens.recommenders"
"""Group of entry points, each a subclass of ``Recommender``."""


def installed_recommender(config: ModuleConfig) -> type[Recommender]:
    """The class that an installed package offers under ``config.name``.

    Raises:
        NotFound: no installed package offers it.
        InvalidInput: it is of another version, cannot be imported or is not a ``Recommender``.
    """
    found = _entry_point(config.name)
    version = None if found.dist is None else found.dist.version
    if config.version not in (None, version):
        raise InvalidInput(
            f"recommender {config.name!r} is installed in version {version}, not {config.version}.",
            field="model.version",
            remedy=f"install that version on every worker, or ask for {version}.",
        )
    try:
        loaded = found.load()
    except (ImportError, AttributeError) as error:
        raise InvalidInput(
            f"recommender {config.name!r} ({found.value}) cannot be imported: {error}.",
            field="model.name",
            remedy="correct the entry point of the package that declares it, and reinstall it.",
        ) from error
    missing = _missing(loaded)
    if missing:
        raise InvalidInput(
            f"{found.value}, declared as recommender {config.name!r}, {missing}.",
            field="model.name",
            remedy="derive it from reclens.recommenders.Recommender; "
            "see docs/how-to/extend/recommender.md.",
        )
    return loaded


def _entry_point(name: str) -> EntryPoint:
    offered = {point.name: point for point in entry_points(group=ENTRY_POINT_GROUP)}
    if name in offered:
        return offered[name]
    raise NotFound(
        f"no installed package offers a recommender {name!r}.",
        field="model.name",
        remedy=f"install it on every worker; here there are: {', '.join(offered) or 'none'}.",
    )


def _missing(loaded: object) -> str:
    if not (inspect.isclass(loaded) and issubclass(loaded, Recommender)):
        return "is not a subclass of Recommender"
    lacking = sorted(loaded.__abstractmethods__)
    lacking += [name for name in ("site", "reads_history") if not hasattr(loaded, name)]
    return f"lacks {', '.join(lacking)}" if lacking else ""
