"""What single values of an answer look like on a terminal."""

from __future__ import annotations

import pytest

from reclens.api.steering.v1 import steering_pb2 as pb
from reclens.cli.serving.messages import movement


@pytest.mark.parametrize(
    ("before", "shown"), [(15, "↑12"), (1, "↓2"), (3, "="), pytest.param(0, "", id="not known")]
)
def test_movement(before: int, shown: str) -> None:
    assert movement(pb.Recommendation(rank=3, baseline_rank=before)) == shown
