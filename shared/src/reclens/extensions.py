"""Extension points: what installed packages add to RecLens, found by their entry points.

Whatever comes with RecLens is declared in the same way, in its own ``pyproject.toml``. A job names
an entry point, never an import path: what a worker may run is decided by what was installed there,
not by who can write to its queue.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import Generic, TypeVar

from reclens.errors import InvalidInput, NotFound

T = TypeVar("T")


class ExtensionPoint(Generic[T]):
    """One group of entry points, and what each of them must be.

    Args:
        group: name of the group, e.g. ``reclens.recommenders``.
        noun: what one entry is called in errors, e.g. ``recommender``.
        field: dotted name of the input that names an entry, for errors.
        page: documentation of how to write one, for remedies.
        flaw: what is wrong with a loaded object, ``""`` where nothing is; see `subclass_of` and
            `instance_of`.
    """

    def __init__(
        self, group: str, *, noun: str, field: str, page: str, flaw: Callable[[object], str]
    ) -> None:
        self.group = group
        self._noun, self._field, self._page, self._flaw = noun, field, page, flaw

    def names(self) -> tuple[str, ...]:
        """All that is installed, in alphabetical order."""
        return tuple(self._offered())

    def version(self, name: str) -> str | None:
        """Version of the distribution that offers ``name``; None where it has none.

        Raises:
            NotFound: no installed package offers it.
        """
        found = self._find(name)
        return None if found.dist is None else found.dist.version

    def load(self, name: str) -> T:
        """What an installed package offers under ``name``.

        Raises:
            NotFound: no installed package offers it.
            InvalidInput: it cannot be imported, or is not what the extension point asks for.
        """
        return self._loaded(self._find(name))

    def load_all(self) -> dict[str, T]:
        """All that is installed, by name, in alphabetical order.

        Raises:
            InvalidInput: one of them cannot be imported, or is not what is asked for.
        """
        return {name: self._loaded(found) for name, found in self._offered().items()}

    def _loaded(self, found: EntryPoint) -> T:
        try:
            loaded = found.load()
        except (ImportError, AttributeError) as error:
            raise InvalidInput(
                f"{self._noun} {found.name!r} ({found.value}) cannot be imported: {error}.",
                field=self._field,
                remedy="install what it needs here, or correct the entry point of the package that "
                "declares it.",
            ) from error
        if flaw := self._flaw(loaded):
            raise InvalidInput(
                f"{found.value}, declared as {self._noun} {found.name!r}, {flaw}.",
                field=self._field,
                remedy=f"see {self._page}.",
            )
        return loaded

    def _find(self, name: str) -> EntryPoint:
        offered = self._offered()
        if name in offered:
            return offered[name]
        raise NotFound(
            f"no installed package offers a {self._noun} {name!r}.",
            field=self._field,
            remedy=f"install it wherever jobs run; here there are: {', '.join(offered) or 'none'}.",
        )

    def _offered(self) -> dict[str, EntryPoint]:
        points = entry_points(group=self.group)
        return {point.name: point for point in sorted(points, key=lambda point: point.name)}


def subclass_of(
    base: type, importable: str, attributes: Sequence[str] = ()
) -> Callable[[object], str]:
    """The ``flaw`` of whatever is not a complete subclass of ``base``.

    Args:
        base: class to derive from.
        importable: where authors import ``base`` from.
        attributes: names that it must have besides.
    """

    def flaw(loaded: object) -> str:
        if not (inspect.isclass(loaded) and issubclass(loaded, base)):
            return f"is not a subclass of {importable}"
        lacking = sorted(getattr(loaded, "__abstractmethods__", ()))
        lacking += [name for name in attributes if not hasattr(loaded, name)]
        return f"lacks {', '.join(lacking)}" if lacking else ""

    return flaw


def instance_of(kind: type, importable: str) -> Callable[[object], str]:
    """The ``flaw`` of whatever is no ``kind``, which authors import as ``importable``."""
    return lambda loaded: "" if isinstance(loaded, kind) else f"is not a {importable}"
