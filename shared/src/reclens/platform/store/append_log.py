"""Append-only logs in the object store: numbered entries that are never changed."""

from __future__ import annotations

import re
from typing import Final, Generic, TypeVar

from reclens.contracts import Contract, canonical_json
from reclens.errors import CorruptArtifact, InvalidSpec, NotFound
from reclens.platform.store.objects import ObjectStore

E = TypeVar("E", bound=Contract)

_NUMBER: Final = re.compile(r"([0-9]{6,})\.json")


class AppendLog(Generic[E]):
    """Entry n is the object ``{folder}{n:06d}.json``, n from 1.

    A conditional put takes a number, so of any number of writers exactly one gets it: no lock.

    Args:
        objects: the bucket.
        folder: where the entries are, with its last slash.
        contract: what an entry is.
        field: what errors name.
    """

    def __init__(self, objects: ObjectStore, folder: str, contract: type[E], field: str) -> None:
        self._objects = objects
        self._folder = folder
        self._contract = contract
        self._field = field

    def numbers(self) -> list[int]:
        """Numbers of all entries, rising; other objects in the folder are no entries."""
        found = (entry_number(self._folder, key) for key in self._objects.list(self._folder))
        return sorted(number for number in found if number)

    def read(self) -> tuple[E, ...]:
        """All entries in order.

        Raises:
            CorruptArtifact: an entry is missing in between, or cannot be read.
        """
        numbers = self.numbers()
        for number, found in enumerate(numbers, start=1):
            if number != found:
                raise self.corrupt(self.key(number), "is missing, but there are later entries")
        return tuple(self.entry(number) for number in numbers)

    def entry(self, number: int) -> E:
        """One entry.

        Raises:
            NotFound: there is none of that number.
            CorruptArtifact: it cannot be read.
        """
        key = self.key(number)
        return self.parse(key, self._objects.get_document(key))

    def parse(self, key: str, data: bytes) -> E:
        """What an object says.

        Raises:
            CorruptArtifact: it is no entry.
        """
        try:
            return self._contract.parse(data)
        except InvalidSpec as error:
            what = f"{error.field} {error.message}".strip().rstrip(".")
            raise self.corrupt(key, f"cannot be read ({what})") from error

    def add(self, number: int, entry: E) -> bool:
        """Store ``entry`` under ``number``; whether the number was still free."""
        data = canonical_json(entry.canonical())
        if self._objects.put_if_absent(self.key(number), data):
            return True
        # The transport may have sent it twice: then what is in the way is our own.
        try:
            return self._objects.get_document(self.key(number)) == data
        except (NotFound, CorruptArtifact):
            return False

    def key(self, number: int) -> str:
        """Object of an entry."""
        return f"{self._folder}{number:06d}.json"

    def corrupt(self, key: str, what: str) -> CorruptArtifact:
        """The error of an entry that cannot be used, and why, in words."""
        return CorruptArtifact(
            f"{key} {what}.",
            field=self._field,
            remedy="bring the object back from a copy of the bucket.",
        )


def entry_number(folder: str, key: str) -> int:
    """Number of the entry that ``key`` is in a log's ``folder``; 0 where it is none."""
    match = _NUMBER.fullmatch(key.removeprefix(folder))
    number = int(match[1]) if match else 0
    return number if key == f"{folder}{number:06d}.json" else 0
