"""The workbench of a labelling: read once, shared by the threads that label its shards."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from reclens.adapters.latents import codes_of, scale_of

if TYPE_CHECKING:
    from reclens.adapters.artifacts import ArtifactStore
    from reclens.concepts.labelling import Workbench
    from reclens.concepts.readers import Embed
    from reclens.contracts import ConceptsSpec

_KEPT: Final = 2

T = TypeVar("T")


class Latest(Generic[T]):
    """Keeps what was made last, by key. Threads that want the same wait for the one making it."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, T] = OrderedDict()
        self._making: dict[str, threading.Lock] = {}

    def get(self, key: str, make: Callable[[], T]) -> T:
        """What is kept under ``key``, made where nothing is. A failure is not kept."""
        with self._lock:
            turn = self._making.setdefault(key, threading.Lock())
        with turn:
            with self._lock:
                if key in self._kept:
                    self._kept.move_to_end(key)
                    return self._kept[key]
            made = make()
            with self._lock:
                self._kept[key] = made
                while len(self._kept) > self._size:
                    old, _ = self._kept.popitem(last=False)
                    self._making.pop(old, None)
            return made

    def forget(self, key: str) -> None:
        """Let go of what is kept under ``key``."""
        with self._lock:
            self._kept.pop(key, None)
            self._making.pop(key, None)


_workbenches: Latest[Workbench] = Latest(_KEPT)


def workbench_of(spec: ConceptsSpec, store: ArtifactStore) -> Workbench:
    """Read what a labelling takes, unless this process has just done so.

    Raises:
        InvalidInput: a user is among those that labels are made from and judged on.
        MissingData: the codes hold no construct or no verify user.
        MalformedData: codes and data set, or codes and latents, do not fit.
        NotReady: the judge ``embedding`` is asked for and its model is not installed.
    """
    return _workbenches.get(spec.artifact_ref(), lambda: _read(spec, store))


def forget_workbench(spec: ConceptsSpec) -> None:
    """Free the memory of a labelling that is done."""
    _workbenches.forget(spec.artifact_ref())


def _read(spec: ConceptsSpec, store: ArtifactStore) -> Workbench:
    from reclens.concepts.cases import Cases, CaseSplit, read_cases
    from reclens.concepts.labelling import prepare_workbench
    from reclens.data import read_dataset

    items = read_dataset(store.fetch_all(spec.dataset)).items
    scale = scale_of(store, spec.autoencoder)
    codes = codes_of(store, spec.autoencoder)

    def cases(split: CaseSplit) -> Cases:
        return read_cases(
            codes, split, items.ids, len(scale), max_cases=spec.max_cases, seed=spec.seed
        )

    return prepare_workbench(
        cases("construct"), cases("verify"), items, scale, options=spec, embed=_embed(spec)
    )


def _embed(spec: ConceptsSpec) -> Embed | None:
    if "embedding" not in spec.judges:
        return None
    from reclens.adapters.sentence_embedding import SentenceEmbedder

    return SentenceEmbedder()
