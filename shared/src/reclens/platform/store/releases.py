"""Releases: each name is a log of versions in the object store, and the newest one is served.

Version n of a release is the object ``releases/{name}/{n:06d}.json``. No version is changed or
replaced, so there is always one to go back to, and of two writers one gets a number.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import NoReturn

from reclens.contracts import Release
from reclens.contracts.specs.dataset import NAME
from reclens.errors import CorruptArtifact, NotFound, RecLensError, ReleasePinned, StaleRelease
from reclens.platform.store.objects import ObjectStore
from reclens.platform.store.version_logs import VersionLogs


class ReleaseLog(VersionLogs[Release]):
    """All releases of one bucket, by name. Objects that are no version of a release are left alone.

    Before releases were logs, a release was the one object ``releases/{name}.json``. Where there is
    no log it is still read, as version 0.

    Raises (all methods):
        Unavailable: the store does not answer just now.
    """

    FOLDER = "releases/"
    NAMES = re.compile(NAME)
    FIELD = "release"
    UNKNOWN = "publish one with a pipeline job (`reclens submit`)."
    VERSIONS = "`reclens releases history {name}` shows all."
    DAMAGED = (
        "bring the object back from a copy of the bucket, or serve another version with `reclens "
        "releases rollback {name}`."
    )

    def __init__(self, objects: ObjectStore) -> None:
        super().__init__(objects, Release)
        self._heads: dict[str, Release] = {}

    # --- reading ---------------------------------------------------------------------------------

    def heads(self) -> Mapping[str, Release | RecLensError]:
        """The newest version of every release, by name; one that cannot be read, or that was
        changed since it was read, is its error."""
        newest = self.newest()
        # Versions never change, so only those that are new are read.
        self._heads = {
            name: head
            for name, head in self._heads.items()
            if head.number and head.number == newest.get(name)
        }
        found: dict[str, Release | RecLensError] = {**self.faults}
        for name in sorted(newest.keys() - found.keys()):
            try:
                found[name] = self._heads[name] = self._heads.get(name) or self.version(
                    name, newest[name]
                )
            except RecLensError as error:
                found[name] = error.bare()
        return found

    def head(self, name: str) -> Release:
        """The newest version of a release.

        Raises:
            NotFound: there is no such release.
            CorruptArtifact: it cannot be read.
        """
        return self.version(name, self._newest(name))

    def version(self, name: str, number: int) -> Release:
        """One version of a release.

        Raises:
            NotFound: there is none of that number.
            CorruptArtifact: it was changed, or cannot be read.
        """
        if number:
            return super().version(name, number)
        key = _unnumbered(name)
        try:
            return self._log(name).parse(key, self._objects.get_document(key), 0)
        except NotFound as error:
            raise self._no_version(name, 0) from error

    def versions(self, name: str) -> list[int]:
        """Numbers of all versions of a release, rising; none where it never was."""
        numbers = super().versions(name)
        return [0, *numbers] if self._objects.exists(_unnumbered(name)) else numbers

    def history(self, name: str) -> list[Release | CorruptArtifact]:
        """Every version of a release, newest first; one that cannot be read is its error.

        Raises:
            NotFound: there is no such release.
        """
        self._newest(name)
        # One after the other: of each it is known by then what the one after it says.
        wanted = [(name, number) for number in reversed(self.versions(name))]
        return [self.read([one])[one] for one in wanted]

    def identity(self, entry: Release) -> tuple[str, int]:
        """The name and the number that a version says it has."""
        return entry.name, entry.number

    def place(self, key: str) -> tuple[str, int] | None:
        """Name and number of the version that an object holds; None where it holds none."""
        name = key.removeprefix(self.FOLDER).removesuffix(".json")
        return (name, 0) if key == _unnumbered(name) and "/" not in name else super().place(key)

    # --- writing ---------------------------------------------------------------------------------

    def publish(self, draft: Release, *, expected: int | None = None) -> Release:
        """Make a version the newest of its name; its number is set here.

        What is newest already, and what was published and has been followed since, is not
        published again. A newest version that cannot be read is no hindrance.

        Args:
            draft: what to publish. Where it does not say when it was ordered, it is now.
            expected: number of the version that is to be followed, 0 where there is to be none.
                None: whichever it is.

        Raises:
            StaleRelease: a version is newest that was ordered later, or another than expected.
            ReleasePinned: the newest version is to stay.
        """

        def following(newest: int, head: Release | None) -> Release:
            if head is not None and head.version == draft.version:
                return head
            _check_expected(draft.name, newest, expected)
            now = _now()
            # A clock that is ahead must not keep others from publishing.
            ordered = min(draft.ordered_at or now, now, key=datetime.fromisoformat)
            wanted = draft.model_copy(update={"number": 0, "ordered_at": ordered})
            if head is None:
                return wanted
            if head.pinned:
                raise ReleasePinned(
                    f"version {newest} of {draft.name!r} is pinned ({head.reason or 'no reason'}).",
                    field="release",
                    remedy=f"`reclens releases unpin {draft.name}`, then submit the job again.",
                )
            if _ordered(head) > datetime.fromisoformat(ordered):
                return self._published(wanted) or _stale(
                    draft.name,
                    f"its version {newest} was ordered {head.ordered_at}, this one before that",
                )
            return wanted

        return self._append(draft.name, following)

    def rollback(
        self, name: str, *, to: int | None, author: str, reason: str, expected: int | None = None
    ) -> Release:
        """Serve what an earlier version named, as a new version.

        Jobs that were ordered before publish nothing over it.

        Args:
            name: of the release.
            to: number of the version. None: the last one before the newest that named other parts.
            author: who goes back.
            reason: why.
            expected: as for `publish`.

        Raises:
            NotFound: there is no such version, or none before the newest.
            CorruptArtifact: it cannot be read.
            StaleRelease: another version is newest than expected.
        """

        def following(newest: int, head: Release | None) -> Release:
            _check_expected(name, newest, expected)
            target = self.version(name, self._before(name, head) if to is None else to)
            if head is not None and head.version == target.version:
                return head
            return target.model_copy(
                update={
                    "number": 0,
                    "pinned": head is not None and head.pinned,
                    "ordered_at": _now(),
                    "author": author,
                    "reason": reason,
                }
            )

        self._newest(name)
        return self._append(name, following)

    def set_pinned(
        self, name: str, *, pinned: bool, author: str, reason: str, expected: int | None = None
    ) -> Release:
        """Keep what is served whatever is published, or no longer.

        Args:
            name: of the release.
            pinned: whether it is to stay. Going back is possible all the same.
            author: who says so.
            reason: why.
            expected: as for `publish`.

        Raises:
            NotFound: there is no such release.
            CorruptArtifact: its newest version cannot be read.
            StaleRelease: another version is newest than expected.
        """

        def following(newest: int, _head: Release | None) -> Release:
            _check_expected(name, newest, expected)
            head = self.version(name, newest)
            if head.pinned == pinned:
                return head
            changed = {"number": 0, "pinned": pinned, "author": author, "reason": reason}
            return head.model_copy(update=changed)

        self._newest(name)
        return self._append(name, following)

    # ---------------------------------------------------------------------------------------------

    def _append(self, name: str, following: Callable[[int, Release | None], Release]) -> Release:
        """Write what follows the newest version, unless that is a version that there is."""
        while True:
            newest = max(self.versions(name), default=0)
            try:
                head = self.version(name, newest)
            except (NotFound, CorruptArtifact):
                head = None
            wanted = following(newest, head)
            if wanted.number:
                return wanted
            stored = wanted.model_copy(update={"number": newest + 1, "published_at": _now()})
            if self._log(name).add(stored.number, stored):
                return stored

    def _published(self, draft: Release) -> Release | None:
        """The version that a job published which is delivered a second time."""
        for one in self.history(draft.name):
            if isinstance(one, Release) and (one.version, one.ordered_at) == (
                draft.version,
                draft.ordered_at,
            ):
                return one
        return None

    def _before(self, name: str, head: Release | None) -> int:
        """Number of the last version before the newest that names other parts."""
        for one in self.history(name)[1:]:
            if isinstance(one, Release) and (head is None or one.version != head.version):
                return one.number
        raise NotFound(
            f"release {name!r} has no version before the newest.",
            field="to",
            remedy=f"`reclens releases history {name}` shows all.",
        )

    def _newest(self, name: str) -> int:
        """Number of the newest version."""
        if numbers := self.versions(name):
            return numbers[-1]
        raise self._unknown(name)


def _unnumbered(name: str) -> str:
    return f"{ReleaseLog.FOLDER}{name}.json"


def _ordered(release: Release) -> datetime:
    return datetime.fromisoformat(release.ordered_at or release.published_at)


def _check_expected(name: str, newest: int, expected: int | None) -> None:
    if expected is not None and newest != expected:
        _stale(name, f"its newest version is {newest}, not {expected}")


def _stale(name: str, why: str) -> NoReturn:
    raise StaleRelease(
        f"release {name!r} was not changed: {why}.",
        field="release",
        remedy=f"see `reclens releases history {name}`, and do it again if it is still wanted.",
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
