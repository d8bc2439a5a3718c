"""What the model makes of users and histories, kept: the same history gives the same vector."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor

from reclens.errors import NotReady
from reclens.probing import ProbeSite
from reclens.recommenders import Recommender, UserBatch
from reclens.recommenders.base import UNKNOWN_USER
from reclens.steering.engine import Steering
from reclens.steering.readings import Reading
from reclens_recommender.serving.standings import Standings

_OVERHEAD_BYTES = 1500
"""What a kept case takes besides its arrays."""
_PROOF_GROUPS = (2, 3, 5, 8, 16, 32)
_MOST_ALIKE = max(_PROOF_GROUPS)
"""Equally long histories in one pass at most: of more nothing is proved."""


class Passes(StrEnum):
    """Which new cases are encoded in one pass of the model."""

    ALONE = "alone"
    """None."""
    ALIKE = "alike"
    """Those whose histories have the same length, as the model sees them, of those tried."""
    TOGETHER = "together"
    """All of them: the last bits of a new case then depend on which others came with it."""


@dataclass(frozen=True, eq=False)
class Subject:
    """Whom to rank for."""

    user_index: int
    """Row of a known user; -1: a history alone."""
    history: npt.NDArray[np.int64]
    """Rows of items, oldest first."""
    key: int | bytes
    """What the representation depends on."""

    def length(self, max_length: int | None) -> int:
        """Items of the history that the model sees."""
        return min(len(self.history), max_length or len(self.history))


@dataclass(frozen=True, eq=False)
class Case:
    """A subject as the model sees it."""

    key: int | bytes
    """What it is kept by."""
    history: npt.NDArray[np.int64]
    """Rows of items, oldest first."""
    seen: npt.NDArray[np.int64]
    """The distinct ones, rising."""
    x: Float[Tensor, " d_model"]
    """The representation at the site, where the model is."""
    reading: Reading
    """The same on the host, with the latents that fire."""
    standings: Standings | None = None
    """How all items stand untouched, where that is kept."""

    @property
    def nbytes(self) -> int:
        """Bytes that keeping it takes."""
        size = self.x.numel() * self.x.element_size()
        size += 0 if self.standings is None else self.standings.nbytes
        size += len(self.key) if isinstance(self.key, bytes) else 0
        return _OVERHEAD_BYTES + self.history.nbytes + self.seen.nbytes + self.reading.nbytes + size


class Representations:
    """Cases of one model, the most recent ones kept. Used by one thread at a time.

    Args:
        model: in eval mode.
        site: where the representation is read.
        steering: the dictionary of that site.
        max_bytes: what may be kept; 0: nothing.
        passes: which new cases of a batch are encoded in one pass.
        lengths: of histories, as the model sees them, that go in one pass where they are equally
            long; see `company_changes_nothing`.
        stand: how all items stand for a representation, to be kept with it. None: it is not kept.
    """

    def __init__(
        self,
        model: Recommender,
        site: ProbeSite,
        steering: Steering,
        *,
        max_bytes: int,
        passes: Passes = Passes.ALONE,
        lengths: frozenset[int] = frozenset(),
        stand: Callable[[Tensor], Standings] | None = None,
    ) -> None:
        self._model = model
        self._site = site
        self._steering = steering
        self._max_bytes = max_bytes
        self._stand = stand
        self._lengths = lengths
        self.passes = passes
        """Which new cases of a batch are encoded in one pass."""
        self._kept: OrderedDict[int | bytes, Case] = OrderedDict()
        self._bytes = 0
        self.hits = 0
        """Cases that were kept already."""
        self.misses = 0
        """Cases that took a pass."""

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def nbytes(self) -> int:
        """Bytes kept."""
        return self._bytes

    def history(self, user_index: int) -> npt.NDArray[np.int64] | None:
        """The history of a known user, where it is kept."""
        case = self._kept.get(user_index)
        return None if case is None else case.history

    def of(self, subjects: Sequence[Subject]) -> list[Case]:
        """The cases of ``subjects``, in order.

        Raises:
            InvalidInput: the model cannot represent one of them.
            NotReady: what it gives is not finite.
        """
        found = [self._recall(subject.key) for subject in subjects]
        missing = {
            subject.key: subject
            for subject, case in zip(subjects, found, strict=True)
            if case is None
        }
        if not missing:
            return [case for case in found if case is not None]
        wanted = list(missing.values())
        self.misses += len(wanted)
        made: dict[int | bytes, Case] = {}
        for of_pass in self._divided(wanted):
            for subject, case in zip(of_pass, self._compute(of_pass), strict=True):
                made[subject.key] = case
                self._keep(case)
        return [case or made[subject.key] for subject, case in zip(subjects, found, strict=True)]

    def _divided(self, subjects: list[Subject]) -> list[list[Subject]]:
        match self.passes:
            case Passes.TOGETHER:
                return [subjects]
            case Passes.ALONE:
                return [[subject] for subject in subjects]
            case Passes.ALIKE:
                alike: dict[object, list[Subject]] = {}
                for subject in subjects:
                    alike.setdefault(self._kind(subject), []).append(subject)
                return [
                    of_kind[start : start + _MOST_ALIKE]
                    for of_kind in alike.values()
                    for start in range(0, len(of_kind), _MOST_ALIKE)
                ]

    def _kind(self, subject: Subject) -> object:
        """Cases of one kind are encoded in one pass."""
        if self._model.reads_history:
            length = subject.length(self._model.max_length)
            return ("long", length) if length in self._lengths else subject.key
        # A learned vector is looked up; that of a history alone takes a computation of its own.
        return "known" if subject.user_index != UNKNOWN_USER else subject.key

    def _compute(self, subjects: Sequence[Subject]) -> list[Case]:
        histories = [subject.history for subject in subjects]
        batch = UserBatch.of(histories, [subject.user_index for subject in subjects])
        x = represent(self._model, self._site, batch.to(self._model.device))
        cases: list[Case] = []
        for row, subject in enumerate(subjects):
            # Alone and in memory of its own, so that its bits are those of a lone request.
            vector = x[row : row + 1].clone()
            (reading,) = self._steering.read(vector)
            if not reading.finite:
                raise NotReady(
                    "the recommender gives numbers that are not finite here.",
                    field="subject",
                    remedy="train it again.",
                )
            seen = np.unique(subject.history)
            standings = None if self._stand is None else self._stand(vector[0])
            cases.append(Case(subject.key, subject.history, seen, vector[0], reading, standings))
        return cases

    def _recall(self, key: int | bytes) -> Case | None:
        case = self._kept.get(key)
        if case is not None:
            self._kept.move_to_end(key)
            self.hits += 1
        return case

    def _keep(self, case: Case) -> None:
        size = case.nbytes
        if size > self._max_bytes:
            return
        self._kept[case.key] = case
        self._bytes += size
        while self._bytes > self._max_bytes:
            _, oldest = self._kept.popitem(last=False)
            self._bytes -= oldest.nbytes


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


def company_changes_nothing(
    model: Recommender,
    site: ProbeSite,
    users: Sequence[int],
    histories: Sequence[np.ndarray],
    length: int,
) -> bool:
    """Whether histories of one length come out of one pass with the bits that each has alone.

    That depends on the kernels of this machine, and on the length: products of few or of oddly many
    rows are summed in other ways. So each length is tried for itself, in groups of several sizes.

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
    for size in _PROOF_GROUPS:
        rows = [row % len(users) for row in range(size)]
        if not torch.equal(encode(rows), torch.cat([alone[row] for row in rows])):
            return False
    return True
