"""Default recommenders on MovieLens-100K: full ranking, seen items excluded, one seed."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.quality


def test_sasrec_tells_the_next_item(sasrec: Any) -> None:
    assert sasrec.test["hr@10"] >= 0.18
    assert sasrec.test["ndcg@10"] >= 0.088


def test_bprmf_ranks_held_out_items(bprmf: Any) -> None:
    assert bprmf.test["ndcg@10"] >= 0.27


def test_lightgcn_ranks_held_out_items(lightgcn: Any) -> None:
    assert lightgcn.test["ndcg@10"] >= 0.28
