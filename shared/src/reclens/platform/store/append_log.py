"""Append-only logs in the object store: numbered entries that are never changed.

An entry names the SHA-256 of the entry before it, so that who reads two sees whether the first is
still what the second was written after (a hash chain).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from typing import Final, Generic, NamedTuple, TypeVar

from pydantic_core import from_json

from reclens.contracts import Contract, canonical_json, sha256_hex
from reclens.errors import CorruptArtifact, InvalidSpec, NotFound
from reclens.platform.store.objects import ObjectStore

E = TypeVar("E", bound=Contract)

_NUMBER: Final = re.compile(r"([0-9]{6,})\.json")
_PREVIOUS: Final = "previous"


class _Link(NamedTuple):
    """What the chain knows of an entry."""

    sha256: str
    """Of its bytes."""
    previous: str | None
    """What it says the entry before has; None of one from before there were chains."""


class AppendLog(Generic[E]):
    """Entry n is the object ``{folder}{n:06d}.json``, n from 1: its canonical JSON, with one field
    more, ``previous``, the SHA-256 of the bytes of entry n - 1, empty where there is none.

    A conditional put takes a number, so of any number of writers exactly one gets it: no lock.
    Entries of a version from before there were chains have no ``previous``, and vouch for nothing.

    What has been read is remembered: it is an error for an entry to have other bytes later.

    Args:
        objects: the bucket.
        folder: where the entries are, with its last slash.
        contract: what an entry is.
        field: what errors name.
        flaw: why what an entry says does not fit its number; empty where it does.
        remedy: of an entry that cannot be used.
    """

    def __init__(
        self,
        objects: ObjectStore,
        folder: str,
        contract: type[E],
        field: str,
        *,
        flaw: Callable[[E, int], str] = lambda _entry, _number: "",
        remedy: str = "bring the object back from a copy of the bucket.",
    ) -> None:
        self._objects = objects
        self._folder = folder
        self._contract = contract
        self._field = field
        self._flaw = flaw
        self._remedy = remedy
        self._seen: dict[int, _Link] = {}
        # What the newest entry has now, where that is not what was read. Telling of it is enough:
        # what then follows those bytes is somebody's way on.
        self._replaced: dict[int, str] = {}
        self._etag = ""

    # --- reading ---------------------------------------------------------------------------------

    @property
    def last(self) -> int:
        """The highest number that was read or written here; 0 where none was."""
        return max(self._seen, default=0)

    def numbers(self) -> list[int]:
        """Numbers of all entries, rising; other objects in the folder are no entries."""
        found = (entry_number(self._folder, key) for key in self._objects.list(self._folder))
        return sorted(number for number in found if number)

    def read(self) -> tuple[E, ...]:
        """All entries in order.

        Raises:
            CorruptArtifact: an entry is missing, was changed, or cannot be read.
        """
        last, numbers = self.last, self.numbers()
        for number, found in enumerate(numbers, start=1):
            if number != found:
                raise self.corrupt(self.key(number), "is missing, but there are later entries")
        if last > len(numbers):
            raise self._gone(last)
        entries = tuple(self._opened(number) for number in numbers)
        for number in numbers:
            self._check_follows(number)
        return entries

    def entry(self, number: int, *, newest: bool = False) -> E:
        """One entry, which the one after it vouches for; the newest must follow the one before.

        Args:
            number: of the entry.
            newest: whether it is known that none comes after it, which then is not looked for.

        Raises:
            NotFound: there is none of that number.
            CorruptArtifact: it was changed, or cannot be read.
        """
        entry = self._opened(number)
        follower = None if newest else self._seen.get(number + 1) or self._stored(number + 1)
        if follower is None:
            self._check_follows(number)
        elif follower.previous not in (None, self._seen[number].sha256):
            raise self._changed(number)
        return entry

    def check_newest(self, etags: Mapping[int, str], last: int) -> None:
        """See from a listing whether the newest entry is still the one that was read.

        Args:
            etags: what the store says of the bytes of each entry, by number.
            last: the highest number that was known before they were listed.

        Raises:
            CorruptArtifact: it is gone, or has other bytes.
        """
        newest = max(etags)
        if newest < last:
            raise self._gone(last)
        if newest == last > 0:
            if etags[last] != self._etag and (stored := self._stored(last)) != self._seen[last]:
                if stored is None:
                    raise self._gone(last)
                self._replaced[last] = stored.sha256
                raise self._changed(last)
            self._replaced.pop(last, None)
        # From before the entry is read: should it be changed in between, it is looked at again.
        self._etag = etags[newest]

    def parse(self, key: str, data: bytes, number: int) -> E:
        """What an object says that is to be entry ``number``.

        Raises:
            CorruptArtifact: it is no entry, or another one.
        """
        try:
            payload = from_json(data)
            if isinstance(payload, dict) and isinstance(payload.get(_PREVIOUS), str):
                del payload[_PREVIOUS]
            entry = self._contract.parse(payload)
        except InvalidSpec as error:
            what = f"{error.field} {error.message}".strip().rstrip(".")
            raise self.corrupt(key, f"cannot be read ({what})") from error
        except ValueError as error:
            raise self.corrupt(key, f"cannot be read ({error})") from error
        if flaw := self._flaw(entry, number):
            raise self.corrupt(key, flaw)
        return entry

    # --- writing ---------------------------------------------------------------------------------

    def add(self, number: int, entry: E) -> bool:
        """Store ``entry`` under ``number``; whether the number was still free."""
        before = self._stored(number - 1)
        previous = before.sha256 if before else ""
        data = canonical_json({**entry.canonical(), _PREVIOUS: previous})
        if not self._objects.put_if_absent(self.key(number), data):
            # The transport may have sent it twice: then what is in the way is our own.
            try:
                if self._objects.get_document(self.key(number)) != data:
                    return False
            except (NotFound, CorruptArtifact):
                return False
        self._seen[number] = _link_of(data)
        return True

    # ---------------------------------------------------------------------------------------------

    def key(self, number: int) -> str:
        """Object of an entry."""
        return f"{self._folder}{number:06d}.json"

    def corrupt(self, key: str, what: str) -> CorruptArtifact:
        """The error of an entry that cannot be used, and why, in words."""
        return CorruptArtifact(f"{key} {what}.", field=self._field, remedy=self._remedy)

    def _opened(self, number: int) -> E:
        """An entry whose bytes are what they were when it was read before, if it was."""
        data = self._objects.get_document(self.key(number))
        entry = self.parse(self.key(number), data, number)
        link = _link_of(data)
        if self._seen.setdefault(number, link).sha256 != link.sha256:
            raise self._changed(number)
        return entry

    def _check_follows(self, number: int) -> None:
        """Whether an entry that was read names the one before it, where that is still there."""
        before = self._seen.get(number - 1) or self._stored(number - 1)
        vouched = self._seen[number].previous
        if before and vouched not in (None, before.sha256, self._replaced.get(number - 1)):
            raise self._changed(number - 1)

    def _stored(self, number: int) -> _Link | None:
        """The link of an entry as it is in the store; None where there is none."""
        key, digest = self.key(number), hashlib.sha256()
        try:
            return _link_of(self._objects.get_document(key)) if number > 0 else None
        except NotFound:
            return None
        except CorruptArtifact:
            # Too large for an entry, and all the same what the next one is to follow.
            for chunk in self._objects.get_chunks(key):
                digest.update(chunk)
            return _Link(digest.hexdigest(), None)

    def _changed(self, number: int) -> CorruptArtifact:
        return self.corrupt(self.key(number), "was changed after it was written")

    def _gone(self, number: int) -> CorruptArtifact:
        return self.corrupt(self.key(number), "is gone, though it was read before")


def entry_number(folder: str, key: str) -> int:
    """Number of the entry that ``key`` is in a log's ``folder``; 0 where it is none."""
    match = _NUMBER.fullmatch(key.removeprefix(folder))
    number = int(match[1]) if match else 0
    return number if key == f"{folder}{number:06d}.json" else 0


def _link_of(data: bytes) -> _Link:
    try:
        payload = from_json(data)
    except ValueError:
        payload = None
    previous = None
    if isinstance(payload, dict) and _PREVIOUS in payload:
        previous = str(payload[_PREVIOUS])
    return _Link(sha256_hex(data), previous)
