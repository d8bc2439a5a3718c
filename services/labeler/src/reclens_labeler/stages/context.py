"""The context of a labelling: read once, shared by the threads that label its shards."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from reclens.platform.store.artifacts import codes_of, scale_of

if TYPE_CHECKING:
    from reclens.concepts.judging.judges import Embed
    from reclens.concepts.labels.labelling import LabellingContext
    from reclens.contracts import ConceptsSpec
    from reclens.platform.store.artifacts import ArtifactStore

_KEPT: Final = 2
UNUSED_SECONDS: Final = 600.0
"""Longer than a job runs at a stretch or waits between tries, so that nobody works on it."""

T = TypeVar("T")


def _in_background(seconds: float, act: Callable[[], None]) -> None:
    timer = threading.Timer(seconds, act)
    timer.daemon = True
    timer.start()


class ExpiringCache(Generic[T]):
    """An LRU cache whose entries expire once nobody has asked for them for a while. Threads that
    want the same entry wait for the one making it.

    Args:
        size: entries kept at most; the one used longest ago goes first.
        seconds: an entry is let go of once it has not been asked for this long.
        now: a clock, in seconds.
        later: calls a function after so many seconds, in a thread of its own.
    """

    def __init__(
        self,
        size: int,
        *,
        seconds: float = UNUSED_SECONDS,
        now: Callable[[], float] = time.monotonic,
        later: Callable[[float, Callable[[], None]], object] = _in_background,
    ) -> None:
        self._size = size
        self._seconds = seconds
        self._now = now
        self._later = later
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, tuple[T, float]] = OrderedDict()
        self._making: dict[str, threading.Lock] = {}
        self._watched = False

    def get(self, key: str, make: Callable[[], T]) -> T:
        """What is kept under ``key``, made where nothing is. A failure is not kept."""
        with self._lock:
            turn = self._making.setdefault(key, threading.Lock())
        with turn:
            with self._lock:
                self._drop_unused()
                found = self._kept.get(key)
                if found is not None:
                    return self._keep(key, found[0])
            made = make()
            with self._lock:
                return self._keep(key, made)

    def forget(self, key: str) -> None:
        """Let go of what is kept under ``key``."""
        with self._lock:
            self._drop(key)

    def _keep(self, key: str, value: T) -> T:
        self._kept[key] = value, self._now()
        self._kept.move_to_end(key)
        while len(self._kept) > self._size:
            self._drop(next(iter(self._kept)))
        self._watch()
        return value

    def _drop(self, key: str) -> None:
        self._kept.pop(key, None)
        self._making.pop(key, None)

    def _drop_unused(self) -> None:
        latest = self._now() - self._seconds
        for key in [key for key, (_, used) in self._kept.items() if used <= latest]:
            self._drop(key)

    def _watch(self) -> None:
        """Look again when the first entry may have to go: nobody may ask for anything by then."""
        if self._kept and not self._watched:
            self._watched = True
            _, used = next(iter(self._kept.values()))
            self._later(used + self._seconds - self._now(), self._look)

    def _look(self) -> None:
        with self._lock:
            self._watched = False
            self._drop_unused()
            self._watch()


_contexts: ExpiringCache[LabellingContext] = ExpiringCache(_KEPT)


def labelling_context(spec: ConceptsSpec, store: ArtifactStore) -> LabellingContext:
    """Read what a labelling takes, unless this process has just done so.

    Raises:
        InvalidInput: a user is among those that labels are made from and judged on.
        MissingData: the codes hold no construct or no verify user.
        MalformedData: codes and data set, or codes and latents, do not fit.
        NotReady: the judge ``embedding`` is asked for and its model is not installed.
    """
    return _contexts.get(spec.artifact_ref(), lambda: _read(spec, store))


def forget_labelling_context(spec: ConceptsSpec) -> None:
    """Free the memory of a labelling that is done."""
    _contexts.forget(spec.artifact_ref())


def _read(spec: ConceptsSpec, store: ArtifactStore) -> LabellingContext:
    from reclens.concepts.evidence.cases import Cases, CaseSplit, read_cases
    from reclens.concepts.labels.labelling import prepare_labelling
    from reclens.data import read_dataset

    items = read_dataset(store.fetch_all(spec.dataset)).items
    scale = scale_of(store, spec.autoencoder)
    codes = codes_of(store, spec.autoencoder)

    def cases(split: CaseSplit) -> Cases:
        return read_cases(
            codes, split, items.ids, len(scale), max_cases=spec.max_cases, seed=spec.seed
        )

    return prepare_labelling(
        cases("construct"), cases("verify"), items, scale, options=spec, embed=_embed(spec)
    )


def _embed(spec: ConceptsSpec) -> Embed | None:
    if "embedding" not in spec.judges:
        return None
    from reclens.platform.llm.sentence_embedding import SentenceEmbedder

    return SentenceEmbedder()
