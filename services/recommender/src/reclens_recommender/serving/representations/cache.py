"""A cache of representations: the same history gives the same vector."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from jaxtyping import Float
from torch import Tensor

from reclens.errors import NotReady
from reclens.lru_cache import LruCache
from reclens.probing import ProbeSite
from reclens.recommenders import Recommender, UserBatch
from reclens.recommenders.base import UNKNOWN_USER
from reclens.steering.encoding import EncodedVector
from reclens.steering.engine import Steering
from reclens_recommender.serving.representations.batch_invariance import (
    MAX_INVARIANT_BATCH,
    represent,
)
from reclens_recommender.serving.representations.scores import SortedScores

_OVERHEAD_BYTES = 1500
"""What a kept representation takes besides its arrays."""


@dataclass(frozen=True, eq=False)
class Subject:
    """The user, or the history alone, that items are ranked for."""

    user_index: int
    """Row of a known user in the data set; -1: a history alone."""
    history: npt.NDArray[np.int64]
    """Rows of items, oldest first."""
    key: int | bytes
    """What the representation depends on, and is kept by."""

    def length(self, max_length: int | None) -> int:
        """Items of the history that the model sees."""
        return min(len(self.history), max_length or len(self.history))


@dataclass(frozen=True, eq=False)
class Representation:
    """A subject as the model sees it."""

    subject: Subject
    """The user or history that it represents."""
    seen: npt.NDArray[np.int64]
    """The distinct items of the history, rising."""
    x: Float[Tensor, " d_model"]
    """The vector at the site, where the model is."""
    encoded: EncodedVector
    """The same on the host, with the latents that fire."""
    scores: SortedScores | None = None
    """The untouched scores of all items, where they are kept."""

    @property
    def nbytes(self) -> int:
        """Bytes that keeping it takes."""
        key, history = self.subject.key, self.subject.history
        size = self.x.numel() * self.x.element_size()
        size += 0 if self.scores is None else self.scores.nbytes
        size += len(key) if isinstance(key, bytes) else 0
        return _OVERHEAD_BYTES + history.nbytes + self.seen.nbytes + self.encoded.nbytes + size


class RepresentationCache:
    """An LRU cache of one model's representations. Used by one thread at a time.

    Args:
        model: in eval mode.
        site: where the representation is read.
        steering: the dictionary of that site.
        max_bytes: what may be kept; 0: nothing.
        lengths: of histories, as the model sees them, that share a pass where they are equally
            long, see `invariant_lengths`. None: all new subjects of a batch share a pass; the last
            bits of a representation then depend on which others came with it.
        score: gives the untouched scores of all items, to be kept too. None: they are not.
    """

    def __init__(
        self,
        model: Recommender,
        site: ProbeSite,
        steering: Steering,
        *,
        max_bytes: int,
        lengths: frozenset[int] | None = frozenset(),
        score: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        self._model = model
        self._site = site
        self._steering = steering
        self._lengths = lengths
        self._score = score
        self.kept: LruCache[int | bytes, Representation] = LruCache(
            max_bytes, lambda one: one.nbytes
        )
        """By the keys of their subjects."""

    def history(self, user_index: int) -> npt.NDArray[np.int64] | None:
        """The history of a known user, where it is kept."""
        kept = self.kept.get(user_index)
        return None if kept is None else kept.subject.history

    def of(self, subjects: Sequence[Subject]) -> list[Representation]:
        """The representations of ``subjects``, in order.

        Raises:
            InvalidInput: the model cannot represent one of them.
            NotReady: what it gives is not finite.
        """
        found = [self.kept.get(subject.key) for subject in subjects]
        missing = {
            subject.key: subject
            for subject, kept in zip(subjects, found, strict=True)
            if kept is None
        }
        made: dict[int | bytes, Representation] = {}
        for of_pass in self._passes(list(missing.values())):
            for one in self._compute(of_pass):
                made[one.subject.key] = one
                self.kept.keep(one.subject.key, one)
        return [kept or made[subject.key] for subject, kept in zip(subjects, found, strict=True)]

    def _passes(self, subjects: list[Subject]) -> list[list[Subject]]:
        """Which subjects are encoded in one pass."""
        if self._lengths is None:
            return [subjects] if subjects else []
        alike: dict[object, list[Subject]] = {}
        for subject in subjects:
            length = self._length(subject)
            kind = ("length", length) if length in self._lengths else subject.key
            alike.setdefault(kind, []).append(subject)
        return [
            some[start : start + MAX_INVARIANT_BATCH]
            for some in alike.values()
            for start in range(0, len(some), MAX_INVARIANT_BATCH)
        ]

    def _length(self, subject: Subject) -> int:
        if self._model.reads_history:
            return subject.length(self._model.max_length)
        # A learned vector is looked up; that of a history alone takes a computation of its own.
        return 0 if subject.user_index == UNKNOWN_USER else 1

    def _compute(self, subjects: Sequence[Subject]) -> list[Representation]:
        histories = [subject.history for subject in subjects]
        batch = UserBatch.of(histories, [subject.user_index for subject in subjects])
        x = represent(self._model, self._site, batch.to(self._model.device))
        made: list[Representation] = []
        for row, subject in enumerate(subjects):
            # Alone and in memory of its own, so that its bits are those of a lone request.
            vector = x[row : row + 1].clone()
            (encoded,) = self._steering.encode(vector)
            if not encoded.finite:
                raise NotReady(
                    "the recommender gives numbers that are not finite here.",
                    field="subject",
                    remedy="train it again.",
                )
            seen = np.unique(subject.history)
            scores = None if self._score is None else SortedScores(self._score(vector[0]))
            made.append(Representation(subject, seen, vector[0], encoded, scores))
        return made
