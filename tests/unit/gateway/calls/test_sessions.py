"""Steps that wait become one, and what they do not name stays as it was."""

from __future__ import annotations

import asyncio

import pytest

from reclens.api.steering.v1 import steering_pb2 as pb
from reclens.errors import Cancelled, InvalidInput
from reclens_gateway.calls.sessions import ConflatedSteps, changed

MORE = pb.Edit(concept_id="noir", add=0.4)
LESS = pb.Edit(concept_id="noir", add=-0.4)
NO_HORROR = pb.Constraints(tag_limits=[pb.TagLimit(tag="Horror", max_items=0)])
START = pb.RecommendRequest(
    subject=pb.Subject(user_id="u"), top_k=5, edits=[MORE], constraints=NO_HORROR
)


def start(sequence: int) -> pb.StreamRecommendRequest:
    return pb.StreamRecommendRequest(sequence=sequence, start=START)


def update(sequence: int, **fields: object) -> pb.StreamRecommendRequest:
    return pb.StreamRecommendRequest(sequence=sequence, update=pb.SessionUpdate(**fields))  # pyright: ignore


def edits(*given: pb.Edit) -> pb.EditList:
    return pb.EditList(edits=given)


def newest(*requests: pb.StreamRecommendRequest):
    steps = ConflatedSteps()
    for request in requests:
        steps.put(request)
    step = asyncio.run(steps.next(1))
    assert step is not None
    return step


def test_update_replaces_what_it_names_and_leaves_the_rest() -> None:
    one = changed(START, pb.SessionUpdate(edits=edits(LESS, LESS)))
    assert list(one.edits) == [LESS, LESS]
    assert (one.top_k, one.constraints) == (5, NO_HORROR)
    assert not changed(START, pb.SessionUpdate(edits=edits())).edits
    two = changed(START, pb.SessionUpdate(constraints=pb.Constraints(), top_k=7))
    assert (list(two.edits), two.top_k, two.constraints) == ([MORE], 7, pb.Constraints())
    assert START.top_k == 5


def test_newest_step_answers_for_all_that_it_overtook() -> None:
    step = newest(update(1, top_k=3), update(2, edits=edits(LESS)), update(3, top_k=9))
    assert (step.request.sequence, step.superseded) == (3, 2)
    asked = step.applied(START)
    assert (list(asked.edits), asked.top_k, asked.constraints) == ([LESS], 9, NO_HORROR)


def test_update_builds_on_a_start_that_it_overtook() -> None:
    step = newest(update(1, top_k=99), start(2), update(3, top_k=2))
    assert step.applied(None).top_k == 2
    assert list(step.applied(None).edits) == [MORE]


def test_start_forgets_what_came_before() -> None:
    step = newest(update(1, top_k=99), start(2))
    assert step.applied(pb.RecommendRequest(top_k=50)) == START


def test_step_that_cannot_be_applied_names_its_field() -> None:
    with pytest.raises(InvalidInput) as nothing:
        newest(pb.StreamRecommendRequest(sequence=1)).applied(START)
    assert nothing.value.field == "step"
    with pytest.raises(InvalidInput) as early:
        newest(update(1, top_k=3)).applied(None)
    assert early.value.field == "update"


def test_end_comes_after_the_step_that_waits() -> None:
    async def coming():
        yield start(1)
        yield update(2, top_k=3)

    async def run() -> None:
        steps = ConflatedSteps()
        await steps.read(coming())
        last = await steps.next(1)
        assert last is not None
        assert (last.request.sequence, last.superseded) == (2, 1)
        assert await steps.next(1) is None

    asyncio.run(run())


def test_patience_ends() -> None:
    with pytest.raises(Cancelled, match="idle"):
        asyncio.run(ConflatedSteps().next(0.01))
