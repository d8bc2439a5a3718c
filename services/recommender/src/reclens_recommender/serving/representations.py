"""Representations: what the model makes of users and histories, computed in batches and kept.

The same history gives the same vector, with the bits that it has alone. Which histories come out of
a shared pass with those bits depends on the kernels of this machine, and on the length: products of
few or of oddly many rows are summed in other ways. So batch invariance is tried at load, for each
length by itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor

from reclens.data import Dataset
from reclens.errors import NotReady
from reclens.lru_cache import LruCache
from reclens.probing import ProbeSite
from reclens.recommenders import Recommender, UserBatch
from reclens.recommenders.base import UNKNOWN_USER
from reclens.steering.encoding import EncodedVector
from reclens.steering.engine import Steering
from reclens_recommender.serving.scores import SortedScores

_OVERHEAD_BYTES = 1500
"""What a kept representation takes besides its arrays."""
_TRIED_SIZES = (2, 3, 5, 8, 16, 32)
MAX_INVARIANT_BATCH: Final = max(_TRIED_SIZES)
"""Equally long histories in one pass at most: of more nothing is proved."""

_TRIED_USERS = 8
_TRIED_LENGTHS = 16
"""Lengths of histories, the most frequent ones, that are tried."""
_COUNTED_USERS = 1000
"""Users whose histories tell which lengths are frequent."""


# --- a cache of them -----------------------------------------------------------------------------


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


# --- batch invariance ----------------------------------------------------------------------------


def represent(
    model: Recommender, site: ProbeSite, batch: UserBatch
) -> Float[Tensor, "batch d_model"]:
    """What passes ``site``. At the model's own site that is what `Recommender.represent` gives.

    Raises:
        InvalidInput: see `Recommender.represent`.
    """
    if site == model.site:
        model.check(batch)
        return model.represent(batch.recent(model.max_length))
    with site.capture(model) as captured:
        model(batch)
    return captured.tensor


def invariant_lengths(model: Recommender, site: ProbeSite, dataset: Dataset) -> frozenset[int]:
    """Lengths of histories, as the model sees them, whose passes are batch-invariant.

    Only the frequent lengths of ``dataset`` are tried, and the longest. For a model that looks
    known users up, the one length is 1.
    """
    users = spread_users(dataset, _TRIED_USERS)
    histories = [dataset.history(user) for user in users]
    if not all(map(len, histories)):
        return frozenset()
    return frozenset(
        length
        for length in _frequent_lengths(model, dataset)
        if is_batch_invariant(model, site, users, histories, length)
    )


def is_batch_invariant(
    model: Recommender,
    site: ProbeSite,
    users: Sequence[int],
    histories: Sequence[np.ndarray],
    length: int,
) -> bool:
    """Whether histories of one length come out of one pass with the bits that each has alone.

    Args:
        model: in eval mode.
        site: where the representation is read.
        users: rows of some known users.
        histories: theirs, none empty; cut or repeated to the length.
        length: items of each history, as the model sees them.
    """

    def encode(rows: Sequence[int]) -> Tensor:
        cut = [np.resize(histories[row], length) for row in rows]
        batch = UserBatch.of(cut, [users[row] for row in rows])
        return represent(model, site, batch.to(model.device))

    alone = [encode([row]) for row in range(len(users))]
    for size in _TRIED_SIZES:
        rows = [row % len(users) for row in range(size)]
        if not torch.equal(encode(rows), torch.cat([alone[row] for row in rows])):
            return False
    return True


def spread_users(dataset: Dataset, count: int) -> list[int]:
    """Rows of at most ``count`` users, evenly spread over the data set."""
    return np.unique(np.linspace(0, max(0, dataset.n_users - 1), count).astype(int)).tolist()


def _frequent_lengths(model: Recommender, dataset: Dataset) -> list[int]:
    if not model.reads_history:
        return [1]
    counts = Counter(
        min(len(dataset.history(user)), model.max_length or dataset.n_items)
        for user in spread_users(dataset, _COUNTED_USERS)
    )
    frequent = [length for length, _ in counts.most_common(_TRIED_LENGTHS) if length]
    return sorted({*frequent, model.max_length or frequent[0]})
