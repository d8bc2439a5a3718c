"""Follows the newest versions of releases: load them, swap, refuse what cannot be served."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import structlog

from reclens.contracts import Release
from reclens.errors import NotFound, NotReady, RecLensError, Unavailable
from reclens.platform.polling import Poller
from reclens.similar_names import SimilarNames

T = TypeVar("T")

logger = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Served(Generic[T]):
    """A version that is loaded."""

    release: Release
    """The version itself."""
    loaded: T
    """What it takes to answer from it."""


@dataclass(frozen=True)
class ReleaseState(Generic[T]):
    """Everything known of one release name."""

    name: str
    """Of the release."""
    newest: Release | None = None
    """The newest version; None: it cannot be read."""
    current: Served[T] | None = None
    """Version that answers."""
    previous: Served[T] | None = None
    """Version before that, for requests that were resolved against it."""
    refusal: str = ""
    """Why the newest version is not served; empty where it is, or where it is still loading."""

    def refuses(self, version: str) -> str:
        """Why ``version``, being the newest, is not served; empty where that is not so."""
        return self.refusal if self.newest is not None and self.newest.version == version else ""


class ReleaseWatch(Poller, Generic[T]):
    """Keeps the current and the previous version of every release loaded.

    States are replaced whole, and only on the event loop, so a request sees one version from its
    beginning to its end. A version that cannot be loaded is refused until there is a newer one;
    where the store or a peer is merely away, loading is tried again at the next poll. A fault of
    one release is no other's.

    Args:
        read: reads the newest versions, or why one cannot be read; called on a thread.
        load: makes a release servable. It is given the version that is served now, if any. Raises
            ``RecLensError`` to refuse it, ``Unavailable`` to be asked again.
        poll_seconds: time between polls.
        changed: called after every poll with whether anything can be served.
    """

    def __init__(
        self,
        read: Callable[[], Mapping[str, Release | RecLensError]],
        load: Callable[[Release, T | None], Awaitable[T]],
        poll_seconds: float,
        changed: Callable[[bool], Awaitable[None]],
    ) -> None:
        super().__init__(self.refresh, poll_seconds, "releases cannot be read")
        self._read = read
        self._load = load
        self._changed = changed
        self._states: dict[str, ReleaseState[T]] = {}
        self._polling = asyncio.Lock()
        self._polled = False

    def versions(self) -> dict[str, str]:
        """Versions that answer, by name of the release."""
        return {
            name: state.current.release.version
            for name, state in self._states.items()
            if state.current is not None
        }

    def states(self) -> list[ReleaseState[T]]:
        """All releases known, by name."""
        return [self._states[name] for name in sorted(self._states)]

    def state(self, name: str, *, field: str = "release") -> ReleaseState[T]:
        """What is known of ``name``.

        Raises:
            NotReady: nothing is published at all.
            NotFound: other releases are, this one is not.
            Unavailable: the releases could not be read yet.
        """
        if name in self._states:
            return self._states[name]
        if not self._polled:
            raise _loading("releases are")
        if not self._states:
            raise NotReady(
                "nothing has been released yet.",
                field=field,
                remedy="publish a release with a pipeline job (`reclens submit`).",
            )
        near = SimilarNames(self._states).of(name)
        raise NotFound(
            f"there is no release {name[:100]!r}.",
            field=field,
            remedy=f"use one of {', '.join(near or sorted(self._states)[:10])}.",
        )

    def current(self, name: str, *, field: str = "release") -> Served[T]:
        """The version of ``name`` that answers.

        Raises:
            NotReady: there is none, or none that can be served.
            NotFound: other releases exist, this one does not.
            Unavailable: it is being loaded.
        """
        state = self.state(name, field=field)
        if state.current is not None:
            return state.current
        if not state.refusal:
            raise _loading(f"release {name!r} is", field)
        raise NotReady(
            f"release {name!r} cannot be served: {state.refusal}",
            field=field,
            remedy="publish one that can.",
        )

    def version(self, name: str, version: str, *, field: str = "release_version") -> Served[T]:
        """The given version of ``name``, current or previous.

        Raises:
            NotReady: it is not loaded; the message says which is, and why.
            NotFound, Unavailable: as `current`.
        """
        state = self.state(name)
        for served in (state.current, state.previous):
            if served is not None and served.release.version == version:
                return served
        refusal = state.refuses(version)
        if state.newest is not None and state.newest.version == version and not refusal:
            raise _loading(f"version {version} of release {name!r} is", field)
        because = f": {refusal}" if refusal else "."
        loaded = state.current.release.version if state.current else "none"
        raise NotReady(
            f"version {version} of release {name!r} is not served{because}",
            field=field,
            remedy=f"the version that is served is {loaded}.",
        )

    async def refresh(self) -> None:
        """Read the newest versions now and load what changed.

        Raises:
            RecLensError: they cannot be listed; what is loaded goes on serving.
        """
        async with self._polling:
            heads = await asyncio.to_thread(self._read)
            for name in self._states.keys() - heads.keys():
                logger.info("release withdrawn", release=name)
                del self._states[name]
            for name, head in heads.items():
                state = self._states.get(name) or ReleaseState(name)
                if isinstance(head, Release):
                    self._states[name] = await self._follow(state, head)
                else:
                    self._states[name] = _unreadable(state, head)
            self._polled = True
        await self._changed(any(state.current for state in self._states.values()))

    async def _follow(self, state: ReleaseState[T], newest: Release) -> ReleaseState[T]:
        current = state.current
        if current is not None and current.release.version == newest.version:
            return replace(state, newest=newest, refusal="")
        if state.newest == newest and state.refusal:
            return state
        state = replace(state, newest=newest, refusal="")
        # Visible while it loads, so that requests are told so.
        self._states[state.name] = state
        log = logger.bind(release=state.name, version=newest.version)
        try:
            previous = state.previous
            if previous is not None and previous.release.version == newest.version:
                loaded = previous.loaded
            else:
                loaded = await self._load(newest, current.loaded if current else None)
        except Unavailable as error:
            log.warning("release not loaded yet", error=error.sentence)
            return state
        except RecLensError as error:
            log.error("release refused", error=error.sentence)
            return replace(state, refusal=error.sentence)
        except Exception as error:
            # Whatever a release holds, it must not stop the one that is served.
            log.exception("release refused")
            return replace(state, refusal=f"it cannot be loaded ({type(error).__name__}).")
        log.info("release loaded")
        return replace(state, current=Served(newest, loaded), previous=current)


def _unreadable(state: ReleaseState[T], error: RecLensError) -> ReleaseState[T]:
    """The state of a release whose newest version cannot be read; what is loaded stays."""
    if isinstance(error, Unavailable):
        return state
    if state.refusal != error.sentence:
        logger.error("release cannot be read", release=state.name, error=error.sentence)
    return replace(state, newest=None, refusal=error.sentence)


def _loading(what: str, field: str = "") -> Unavailable:
    return Unavailable(f"{what} being loaded.", field=field, remedy="try again in a moment.")
