"""Sessions: changes are answered as they come, the newest first, and a refusal ends nothing."""

from __future__ import annotations

import threading

import grpc
import pytest

from reclens.api.steering.v1 import steering_pb2 as pb
from reclens.client import AsyncSteeringClient, SteeringClient, less, more
from reclens.errors import InvalidInput, NotFound

USER = pb.Subject(user_id="user-0")


@pytest.fixture
def client(sasrec):
    with SteeringClient(sasrec.gateway.address) as client:
        yield client


def start(sequence: int, **fields) -> pb.StreamRecommendRequest:
    request = pb.RecommendRequest(**{"subject": USER, "top_k": 5, **fields})
    return pb.StreamRecommendRequest(sequence=sequence, start=request)


def update(sequence: int, **fields) -> pb.StreamRecommendRequest:
    return pb.StreamRecommendRequest(sequence=sequence, update=pb.SessionUpdate(**fields))


def ids(answer: pb.RecommendResponse) -> list[str]:
    return [item.item_id for item in answer.items]


def test_each_change_is_answered_as_a_request_of_its_own_would_be(client) -> None:
    edits = [more("comedy", 1.0)]
    with client.session(user_id="user-0", top_k=5, request_id="one") as session:
        first = next(session)
        assert (first.sequence, first.superseded) == (1, 0)
        assert first.result() == client.recommend(user_id="user-0", top_k=5, request_id="one")
        assert session.ask(edits=edits) == client.recommend(
            user_id="user-0", top_k=5, edits=edits, request_id="one"
        )
        # What is not named stays.
        assert session.ask(top_k=3) == client.recommend(
            user_id="user-0", top_k=3, edits=edits, request_id="one"
        )
        assert ids(session.ask(edits=[], top_k=5)) == ids(first.result())


def test_refused_step_leaves_what_was_asked_before(client) -> None:
    edits = [more("comedy", 1.0)]
    with client.session(user_id="user-0", top_k=5, edits=edits) as session:
        before = next(session).result()
        with pytest.raises(NotFound) as caught:
            session.ask(edits=[more("comdy")])
        assert caught.value.field == "edits[0].concept_id"
        with pytest.raises(InvalidInput, match="top_k"):
            session.ask(top_k=5000)
        assert ids(session.ask(top_k=4)) == ids(before)[:4]


def test_updates_before_a_start_and_empty_steps_are_refused_and_the_session_goes_on(
    sasrec,
) -> None:
    go_on = threading.Event()

    def steps():
        for step in (update(7, top_k=3), pb.StreamRecommendRequest(sequence=8), start(9)):
            yield step
            assert go_on.wait(30)
            go_on.clear()

    fields = []
    for answer in sasrec.steering.StreamRecommend(steps(), timeout=30):
        fields.append((answer.sequence, answer.failure.field, len(answer.response.items)))
        go_on.set()
    assert fields == [(7, "update", 0), (8, "step", 0), (9, "", 5)]


def test_half_close_comes_after_the_last_answer(sasrec) -> None:
    answers = list(sasrec.steering.StreamRecommend(iter([start(1)]), timeout=30))
    assert [len(answer.response.items) for answer in answers] == [5]
    assert list(sasrec.steering.StreamRecommend(iter([]), timeout=30)) == []


def test_newest_change_wins_while_one_is_answered(stack, hold_model) -> None:
    stack.publisher.world()
    server = stack.start_inference()
    gateway = stack.start_gateway(server.address)
    stack.refresh(server, gateway)
    hold = hold_model(server)
    sent = threading.Event()

    def steps():
        yield start(1)
        assert hold.entered.wait(30)
        for sequence in range(2, 50):
            yield update(sequence, top_k=sequence)
        yield update(50, edits=pb.EditList(edits=[less("comedy", 1.0)]))
        sent.set()

    call = stack.steering(gateway).StreamRecommend(steps(), timeout=60)
    assert sent.wait(30)
    # The steps are on their way; the first answer is not.
    hold.go.set()
    answers = list(call)
    assert answers[0].sequence == 1
    assert answers[-1].sequence == 50
    assert sum(1 + answer.superseded for answer in answers) == 50
    assert len(answers) < 50
    with SteeringClient(gateway.address) as client:
        own = client.recommend(user_id="user-0", top_k=49, edits=[less("comedy", 1.0)])
    assert ids(answers[-1].response) == ids(own)


def test_session_that_is_idle_is_closed(stack) -> None:
    stack.publisher.world()
    server = stack.start_inference()
    gateway = stack.start_gateway(server.address, session_idle_seconds=0.2)
    stack.refresh(server, gateway)
    call = stack.steering(gateway).StreamRecommend(_hang(start(1)), timeout=30)
    assert len(next(call).response.items) == 5
    with pytest.raises(grpc.RpcError) as caught:
        next(call)
    assert caught.value.code() is grpc.StatusCode.CANCELLED


def _hang(*steps):
    yield from steps
    threading.Event().wait(5)


def test_session_follows_the_release_and_each_answer_is_of_one_version(stack) -> None:
    old = stack.publisher.world(seed=0)
    server = stack.start_inference()
    gateway = stack.start_gateway(server.address)
    stack.refresh(server, gateway)
    with (
        SteeringClient(gateway.address) as client,
        client.session(user_id="user-0", top_k=5) as session,
    ):
        assert next(session).result().versions.release_version == old.release.version
        new = stack.publisher.world(seed=1)
        stack.refresh(gateway)
        answer = session.ask(edits=[more("comedy")])
        assert answer.versions.release_version == new.release.version
        # Compared as a whole: items, scores, effect and versions are all the new one's.
        own = client.recommend(user_id="user-0", top_k=5, edits=[more("comedy")])
        own.request_id = answer.request_id
        assert answer == own


def test_async_session_answers_alike(sasrec, client) -> None:
    async def ask():
        async with (
            AsyncSteeringClient(sasrec.gateway.address) as one,
            one.session(user_id="user-0", top_k=5, request_id="a") as session,
        ):
            first = (await anext(session)).result()
            second = await session.ask(edits=[more("comedy", 1.0)])
            with pytest.raises(NotFound):
                await session.ask(edits=[more("nope")])
            await session.end()
            rest = [answer async for answer in session]
            return first, second, rest

    first, second, rest = sasrec.stack.loop.run(ask())
    assert first == client.recommend(user_id="user-0", top_k=5, request_id="a")
    edits = [more("comedy", 1.0)]
    assert second == client.recommend(user_id="user-0", top_k=5, edits=edits, request_id="a")
    assert rest == []
