"""What the model makes of users and histories, kept: the same history gives the same vector."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor

from reclens.errors import NotReady
from reclens.probing import ProbeSite
from reclens.recommenders import Recommender, UserBatch
from reclens.steering.engine import Steering
from reclens.steering.readings import Readings

_OVERHEAD_BYTES = 1500
"""What a kept case takes besides its arrays."""


@dataclass(frozen=True, eq=False)
class Subject:
    """Whom to rank for."""

    user_index: int
    """Row of a known user; -1: a history alone."""
    history: npt.NDArray[np.int64]
    """Rows of items, oldest first."""
    key: int | bytes
    """What the representation depends on."""

    def batch(self, device: torch.device) -> UserBatch:
        """The model's input."""
        return UserBatch.of([self.history], [self.user_index]).to(device)


@dataclass(frozen=True, eq=False)
class Case:
    """A subject as the model sees it."""

    history: npt.NDArray[np.int64]
    """Rows of items, oldest first."""
    seen: npt.NDArray[np.int64]
    """The distinct ones, rising."""
    x: Float[Tensor, " d_model"]
    """The representation at the site, where the model is."""
    readings: Readings
    """The same on the host, with the latents that fire."""

    @property
    def nbytes(self) -> int:
        """Bytes that keeping it takes."""
        x = self.x.numel() * self.x.element_size()
        return _OVERHEAD_BYTES + self.history.nbytes + self.seen.nbytes + x + self.readings.nbytes


class Representations:
    """Cases of one model, the most recent ones kept. Used by one thread at a time.

    Args:
        model: in eval mode.
        site: where the representation is read.
        steering: the dictionary of that site.
        max_bytes: what may be kept; 0: nothing.
        together: whether new cases of a batch are encoded in one pass. Faster where there are many
            new ones or the model is on a GPU; then the last bits of a new case depend on which
            others came with it.
    """

    def __init__(
        self,
        model: Recommender,
        site: ProbeSite,
        steering: Steering,
        *,
        max_bytes: int,
        together: bool = False,
    ) -> None:
        self._model = model
        self._site = site
        self._steering = steering
        self._max_bytes = max_bytes
        self.together = together
        """Whether new cases of a batch are encoded in one pass."""
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
        passes = [wanted] if self.together else [[subject] for subject in wanted]
        made: dict[int | bytes, Case] = {}
        for of_pass in passes:
            for subject, case in zip(of_pass, self._compute(of_pass), strict=True):
                made[subject.key] = case
                self._keep(subject.key, case)
        return [case or made[subject.key] for subject, case in zip(subjects, found, strict=True)]

    def _compute(self, subjects: Sequence[Subject]) -> list[Case]:
        histories = [subject.history for subject in subjects]
        batch = UserBatch.of(histories, [subject.user_index for subject in subjects])
        x = represent(self._model, self._site, batch.to(self._model.device))
        cases: list[Case] = []
        for row, subject in enumerate(subjects):
            # Alone and in memory of its own, so that its bits are those of a lone request.
            vector = x[row : row + 1].clone()
            readings = self._steering.read(vector)
            if not (np.isfinite(readings.x).all() and np.isfinite(readings.values).all()):
                raise NotReady(
                    "the recommender gives numbers that are not finite here.",
                    field="subject",
                    remedy="train it again.",
                )
            seen = np.unique(subject.history)
            cases.append(Case(subject.history, seen, vector[0], readings))
        return cases

    def _recall(self, key: int | bytes) -> Case | None:
        case = self._kept.get(key)
        if case is not None:
            self._kept.move_to_end(key)
            self.hits += 1
        return case

    def _keep(self, key: int | bytes, case: Case) -> None:
        size = case.nbytes
        if size > self._max_bytes:
            return
        self._kept[key] = case
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
