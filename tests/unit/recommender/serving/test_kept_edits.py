"""Edits are read and planned once, but callers cannot fill the memory with long ones."""

from __future__ import annotations

import pytest
from served_models import served_model

from reclens.api.inference.v1 import inference_pb2 as pb
from reclens_recommender.serving.queries import query_of


def asking(n_named: int, strength: float) -> pb.RankRequest:
    """A push of as many latents, named again and again in groups of ten."""
    groups = [pb.LatentGroup(latents=range(10), share=1.0) for _ in range(n_named // 10)]
    edit = pb.LatentEdit(
        groups=groups,
        operation="EDIT_OPERATION_ADD",
        unit="STRENGTH_UNIT_SCORE_SPREAD",
        strength=strength,
    )
    return pb.RankRequest(subject=pb.Subject(user_id="u1"), top_k=3, edits=[edit])


@pytest.mark.parametrize(("n_named", "kept"), [(20, True), (10_000, False)])
def test_short_edits_are_kept_and_long_ones_are_not(n_named: int, kept: bool) -> None:
    served = served_model("bprmf")
    first, again = (query_of(served, asking(n_named, 0.4)).edits for _ in range(2))
    assert first == again
    assert (first[0] is again[0]) is kept
    plan = served.steering._planner.plan
    assert (plan(first) is plan(first)) is kept
