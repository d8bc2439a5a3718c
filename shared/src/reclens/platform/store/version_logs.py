"""Append-only logs of versions by name, in the object store: what policies and releases share."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar, Final, Generic, TypeVar

from reclens.contracts import Contract
from reclens.errors import CorruptArtifact, NotFound
from reclens.platform.store.append_log import AppendLog, entry_number
from reclens.platform.store.objects import ObjectStore

E = TypeVar("E", bound=Contract)

_READERS: Final = 8


class VersionLogs(Generic[E]):
    """Logs of versions, by name: version n is the object ``{FOLDER}{name}/{n:06d}.json``.

    Raises (all methods):
        Unavailable: the store does not answer just now.
    """

    FOLDER: ClassVar[str]
    """Where the logs are, with its last slash."""
    NAMES: ClassVar[re.Pattern[str]]
    """What may be a name."""
    FIELD: ClassVar[str]
    """What one is called, and what errors name."""
    UNKNOWN: ClassVar[str]
    """Remedy of a name that is not there."""
    VERSIONS: ClassVar[str]
    """Remedy of a version that is not there; ``{name}`` is filled in."""
    DAMAGED: ClassVar[str]
    """Remedy of a version that cannot be used; ``{name}`` is filled in."""

    def __init__(self, objects: ObjectStore, contract: type[E]) -> None:
        self._objects = objects
        self._contract = contract
        self._logs: dict[str, AppendLog[E]] = {}
        self._last: dict[str, int] = {}
        self.faults: Mapping[str, CorruptArtifact] = {}
        """Of names whose newest version that was read here was found changed or gone at the last
        call of `newest`, which then tells of that version still."""

    def numbers(self) -> dict[str, list[int]]:
        """Numbers of all versions of every name, rising."""
        return {name: sorted(etags) for name, etags in self._listed().items()}

    def newest(self) -> dict[str, int]:
        """Number of the newest version of every name."""
        known = {name: log.last for name, log in list(self._logs.items())}
        listed = self._listed()
        for name in known.keys() - listed.keys():
            self._logs.pop(name, None)  # who takes away all of it may begin again
        faults: dict[str, CorruptArtifact] = {}
        newest = {name: max(etags) for name, etags in listed.items()}
        for name, etags in listed.items():
            try:
                self._log(name).check_newest(etags, known.get(name, 0))
            except CorruptArtifact as error:
                faults[name], newest[name] = error.bare(), known[name]
        self.faults, self._last = faults, newest
        return dict(newest)

    def versions(self, name: str) -> list[int]:
        """Numbers of all versions of a name, rising; none where it never was.

        Raises:
            NotFound: it cannot be a name.
        """
        numbers = self._log(name).numbers()
        self._last[name] = max(numbers, default=0)
        return numbers

    def version(self, name: str, number: int) -> E:
        """One version.

        Raises:
            NotFound: there is no such version.
            CorruptArtifact: it was changed, or cannot be read.
        """
        log = self._log(name)
        try:
            return log.entry(number, newest=number == self._last.get(name))
        except NotFound as error:
            raise self._no_version(name, number) from error

    def read(self, wanted: Iterable[tuple[str, int]]) -> dict[tuple[str, int], E | CorruptArtifact]:
        """Several versions, each by its name and number; one that cannot be read is its error.

        Raises:
            NotFound: one does not exist.
        """

        def one(name: tuple[str, int]) -> E | CorruptArtifact:
            try:
                return self.version(*name)
            except CorruptArtifact as error:
                return error.bare()

        names = list(wanted)
        if len(names) <= 1:
            return {name: one(name) for name in names}
        with ThreadPoolExecutor(_READERS, self.FIELD) as pool:
            return dict(zip(names, pool.map(one, names), strict=True))

    # ---------------------------------------------------------------------------------------------

    def identity(self, entry: E) -> tuple[str, int]:
        """The name and the number that a version says it has."""
        raise NotImplementedError

    def place(self, key: str) -> tuple[str, int] | None:
        """Name and number of the version that an object holds; None where it holds none."""
        name = key.removeprefix(self.FOLDER).partition("/")[0]
        number = entry_number(f"{self.FOLDER}{name}/", key)
        return (name, number) if number else None

    def _listed(self) -> dict[str, dict[int, str]]:
        """What the store says of the bytes of every version, by name and number."""
        found: dict[str, dict[int, str]] = {}
        for key, etag in self._objects.etags(self.FOLDER).items():
            place = self.place(key)
            if place is not None and self.NAMES.fullmatch(place[0]):
                found.setdefault(place[0], {})[place[1]] = etag
        return found

    def _log(self, name: str) -> AppendLog[E]:
        if not self.NAMES.fullmatch(name):
            raise self._unknown(name)
        if (log := self._logs.get(name)) is None:
            log = AppendLog(
                self._objects,
                f"{self.FOLDER}{name}/",
                self._contract,
                self.FIELD,
                flaw=lambda entry, number: _flaw(self.identity(entry), (name, number)),
                remedy=self.DAMAGED.format(name=name),
            )
            log = self._logs.setdefault(name, log)
        return log

    def _no_version(self, name: str, number: int) -> NotFound:
        return NotFound(
            f"{self.FIELD} {name!r} has no version {number}.",
            field=self.FIELD,
            remedy=self.VERSIONS.format(name=name),
        )

    def _unknown(self, name: str) -> NotFound:
        return NotFound(
            f"there is no {self.FIELD} {name[:100]!r}.", field=self.FIELD, remedy=self.UNKNOWN
        )


def _flaw(said: tuple[str, int], wanted: tuple[str, int]) -> str:
    return "" if said == wanted else f"says that it is version {said[1]} of {said[0]!r}"
