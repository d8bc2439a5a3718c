"""Items that something is said of."""

from __future__ import annotations

import numpy as np

from reclens.data.dataset import Items
from reclens.evaluation.carriers import described_items


def test_a_tag_that_nearly_all_items_carry_says_nothing() -> None:
    tags = [["category 0"] for _ in range(20)]
    tags[3] = ["category 7"]
    items = Items(
        ids=[str(item) for item in range(20)],
        titles=["", " ", "Tea"] + [""] * 17,
        tags=tags,
        years=[None] * 20,
        popularity=np.ones(20, np.int32),
    )
    assert described_items(items) == {"items": 20, "titled": 1, "tagged": 1}
