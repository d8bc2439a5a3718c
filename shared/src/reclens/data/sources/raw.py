"""What every reader returns: external ids, nothing filtered, nothing indexed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from reclens.data.sources.columns import SourceTable
from reclens.data.sources.items import ItemText

Order = Literal["time", "sequence", "none"]
"""What ``timestamps`` mean: points in time (or rows in order of time), places within each user's
sequence, or nothing."""


@dataclass(frozen=True, eq=False)
class RawData:
    """Interactions in order of the source, with external ids, and what is known of both sides."""

    user_ids: pa.StringArray
    """[n] never empty."""
    item_ids: pa.StringArray
    """[n] never empty."""
    timestamps: npt.NDArray[np.int64]
    """[n] seconds; where the source has no time, the place in its order."""
    ratings: npt.NDArray[np.float32] | None = None
    """[n] finite; None where the source has none."""
    items: dict[str, ItemText] = field(default_factory=dict)
    """By item id; items may be missing or superfluous."""
    users: dict[str, dict[str, str]] = field(default_factory=dict)
    """Attributes by user id; users may be missing or superfluous."""
    order: Order = "time"
    """What is known of the order of interactions."""

    def __len__(self) -> int:
        return len(self.user_ids)


def rows_as_time(table: SourceTable) -> npt.NDArray[np.int64]:
    """Row numbers [n] from 0, for a source without times: rows are taken to be in order of time."""
    return np.arange(len(table), dtype=np.int64)
