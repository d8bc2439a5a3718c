"""What is looked for in a catalogue, and what was found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt
from jaxtyping import Float
from torch import Tensor

from reclens_recommender.serving.representations import Case, Subject
from reclens_recommender.serving.standings import NOTHING, Ranked

UNKNOWN_PLACE: Final = 0
"""Place of an item that is further down than was looked."""


@dataclass(frozen=True, eq=False)
class Wanted:
    """What is to be found."""

    subject: Subject
    """For whom."""
    case: Case
    """What the model makes of them."""
    edited: Float[Tensor, " d_model"] | None
    """The edited representation, in memory of its own: kernels may compute otherwise where a vector
    is not aligned. None: nothing was edited."""
    top_k: int
    """Items to find."""
    excluded: npt.NDArray[np.int64]
    """Items that are no candidates, rising."""
    limits: Mapping[str, int]
    """Most items that may carry a tag."""


@dataclass(frozen=True, eq=False)
class Found:
    """What was found."""

    untouched: Ranked
    """Best items by the untouched scores."""
    places: npt.NDArray[np.int64]
    """Their places, from 1: limits pass items over."""
    edited: Ranked | None = None
    """Best items by the edited scores; None: nothing was edited."""
    places_before: npt.NDArray[np.int64] = field(default_factory=lambda: NOTHING.items)
    """Places by the untouched scores of the items of ``edited``, from 1, or `UNKNOWN_PLACE`."""
    scores_before: npt.NDArray[np.float32] = field(default_factory=lambda: NOTHING.scores)
    """Their untouched scores."""
