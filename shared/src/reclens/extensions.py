"""Extension points: what installed packages add to RecLens, found by their entry points.

Whatever comes with RecLens is declared in the same way, in its own ``pyproject.toml``. A job names
an entry point, never an import path: what a worker may run is decided by what was installed there,
not by who can write to its queue.
"""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
from collections.abc import Callable, Sequence
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

from reclens.errors import InvalidInput, NotFound

T = TypeVar("T")


_SOURCES = {".py", ".pyx", ".so", ".pyd"}


class PackageSource(NamedTuple):
    """Which code stands behind an entry."""

    package: str | None
    """Name of the distribution; None: none is known."""
    version: str | None
    """Its version."""
    sha256: str
    """Of all source files of the top-level package that the entry is imported from."""


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

    def source(self, name: str) -> PackageSource:
        """Package, version and code of ``name``, as installed here.

        Raises:
            NotFound: no installed package offers it.
        """
        found, version = self._find(name), self.version(name)
        return PackageSource(found.dist and found.dist.name, version, _source_hash(found.module))

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


def _source_hash(module: str) -> str:
    spec = importlib.util.find_spec(module.partition(".")[0])
    files: dict[str, Path] = {}
    if spec is not None and spec.submodule_search_locations:
        for folder in map(Path, spec.submodule_search_locations):
            found = (path for path in folder.rglob("*") if path.suffix in _SOURCES)
            files |= {path.relative_to(folder).as_posix(): path for path in found}
    elif spec is not None and spec.origin is not None:
        files = {Path(spec.origin).name: Path(spec.origin)}
    digest = hashlib.sha256()
    for name, path in sorted(files.items()):
        digest.update(f"{name}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()
