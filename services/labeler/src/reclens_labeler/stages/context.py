"""The context of a labelling: read once, shared by the threads that label its shards."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from reclens.concepts.evidence.cases import Cases, CaseSplit, read_cases
from reclens.concepts.labels.labelling import LabellingContext, prepare_labelling
from reclens.contracts import ConceptsSpec
from reclens.data import read_dataset
from reclens.platform.llm.sentence_embedding import SentenceEmbedder
from reclens.platform.store.artifacts import ArtifactStore, codes_of, scale_of

_KEPT: Final = 2
UNUSED_SECONDS: Final = 600.0
"""Longer than a job runs at a stretch or waits between tries, so that nobody works on it."""

T = TypeVar("T")


class ExpiringCache(Generic[T]):
    """An LRU cache whose entries expire once nobody has asked for them for a while. Threads that
    want the same entry wait for the one making it.

    Args:
        size: entries kept at most; the one used longest ago goes first.
        seconds: an entry is let go of once it has not been asked for this long.
        timer: calls a function after so many seconds, in a thread of its own, unless cancelled.
    """

    def __init__(
        self,
        size: int,
        *,
        seconds: float = UNUSED_SECONDS,
        timer: Callable[[float, Callable[[], None]], threading.Timer] = threading.Timer,
    ) -> None:
        self._size = size
        self._seconds = seconds
        self._timer = timer
        self._lock = threading.RLock()
        self._kept: OrderedDict[str, tuple[T, threading.Timer]] = OrderedDict()
        self._making: dict[str, threading.Lock] = {}

    def get(self, key: str, make: Callable[[], T]) -> T:
        """What is kept under ``key``, made where nothing is. A failure is not kept."""
        with self._lock:
            turn = self._making.setdefault(key, threading.Lock())
        with turn:
            with self._lock:
                kept = self._kept.get(key)
            value = make() if kept is None else kept[0]
            with self._lock:
                self._keep(key, value)
            return value

    def forget(self, key: str) -> None:
        """Let go of what is kept under ``key``."""
        with self._lock:
            if key in self._kept:
                self._kept.pop(key)[1].cancel()
            self._making.pop(key, None)

    def _keep(self, key: str, value: T) -> None:
        self.forget(key)
        timer = self._timer(self._seconds, lambda: self._expire(key, timer))
        timer.daemon = True
        timer.start()
        self._kept[key] = value, timer
        while len(self._kept) > self._size:
            self.forget(next(iter(self._kept)))

    def _expire(self, key: str, timer: threading.Timer) -> None:
        with self._lock:
            # It may have been asked for at the last moment, and has a later timer then.
            if key in self._kept and self._kept[key][1] is timer:
                self.forget(key)


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
    items = read_dataset(store.fetch_all(spec.dataset)).items
    scale = scale_of(store, spec.autoencoder)
    codes = codes_of(store, spec.autoencoder)

    def cases(split: CaseSplit) -> Cases:
        return read_cases(
            codes, split, items.ids, len(scale), max_cases=spec.max_cases, seed=spec.seed
        )

    embed = SentenceEmbedder() if "embedding" in spec.judges else None
    return prepare_labelling(
        cases("construct"), cases("verify"), items, scale, options=spec, embed=embed
    )
