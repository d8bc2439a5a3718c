"""What concepts push is found once, for all who ask, and no failure is taken for an answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest
from served_by_hand import RELEASE, SERVED

from reclens.api.inference.v1 import inference_pb2 as inference
from reclens.api.steering.v1 import steering_pb2 as pb
from reclens.concepts.catalog.carriers import ConceptCarriers
from reclens.concepts.catalog.concepts import ConceptIndex
from reclens.contracts.tables.concepts import LatentLabel
from reclens.errors import DeadlineExceeded, InvalidInput, RecLensError, Unavailable
from reclens.steering.pushes import ConceptPushes

INDEX = ConceptIndex(
    [
        LatentLabel(0, "noir", "Noir", keywords=("Film-Noir",), evidence_items=("2",)),
        LatentLabel(1, "comedy", "Comedy", keywords=("Comedy",), trusted=True),
        LatentLabel(2),
        LatentLabel(3, "nobody", "Nobody", keywords=("Western",), evidence_items=("gone",)),
    ]
)
ANSWER = inference.ProposeResponse(latents=[1, 0], shares=[0.8, -0.6], weights=[1, -0.5])
Reply = Callable[[], Awaitable[inference.ProposeResponse]]


class Service:
    """Answers proposals as it is told to, and keeps what it was asked."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply
        self.asked: list[inference.ProposeRequest] = []

    async def propose(
        self, request: inference.ProposeRequest, seconds: float
    ) -> inference.ProposeResponse:
        self.asked.append(request)
        return await self.reply()


async def answers() -> inference.ProposeResponse:
    return ANSWER


def failing(error: RecLensError) -> Reply:
    async def reply() -> inference.ProposeResponse:
        raise error

    return reply


def pushes() -> ConceptPushes:
    return ConceptPushes(RELEASE, INDEX, ConceptCarriers(SERVED.items, INDEX), 4)


def load(
    of: ConceptPushes, service: Service, *names: str, seconds: float = 30.0
) -> Coroutine[Any, Any, None]:
    deadline = asyncio.get_running_loop().time() + seconds
    return of.load(names, service.propose, deadline, 30)


async def test_push_is_proposed_for_the_items_that_carry_the_concept() -> None:
    service, of = Service(answers), pushes()
    await load(of, service, "noir")
    (request,) = service.asked
    # Even items are noir; its own latent and the trusted one may be used.
    assert sorted(request.items) == [0, 2, 4, 6, 8, 10]
    assert set(request.weights) == {1.0}
    assert (list(request.latents), request.max_latents) == ([0, 1], 16)
    assert (request.release, request.release_version) == (RELEASE.name, RELEASE.version)
    push = of.get("noir")
    assert (push.group.latents, push.group.weights, push.shares) == ((1, 0), (1, -0.5), (0.8, -0.6))


async def test_it_is_asked_for_once_however_many_wait() -> None:
    go = asyncio.Event()

    async def later() -> inference.ProposeResponse:
        await go.wait()
        return ANSWER

    service, of = Service(later), pushes()
    waiting = [asyncio.create_task(load(of, service, "noir", "noir")) for _ in range(5)]
    with pytest.raises(DeadlineExceeded):
        await load(of, service, "noir", seconds=0.01)
    waiting[0].cancel()
    go.set()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert results[1:] == [None] * 4
    await load(of, service, "noir")
    assert len(service.asked) == 1


async def test_failure_fails_all_who_wait_and_is_not_kept() -> None:
    service, of = Service(failing(Unavailable("gone"))), pushes()
    told = await asyncio.gather(
        *(load(of, service, "noir") for _ in range(3)), return_exceptions=True
    )
    assert [type(error) for error in told] == [Unavailable] * 3
    service.reply = answers
    await load(of, service, "noir")
    assert of.get("noir").shares


async def finds_nothing() -> inference.ProposeResponse:
    return inference.ProposeResponse()


@pytest.mark.parametrize(
    ("name", "reply"),
    [
        ("nobody", answers),  # no item carries it
        ("noir", failing(InvalidInput("all of them do"))),
        ("comedy", finds_nothing),
    ],
)
async def test_own_latents_are_pushed_where_nothing_is_proposed(name: str, reply: Reply) -> None:
    service, of = Service(reply), pushes()
    await load(of, service, name)
    assert len(service.asked) == (name != "nobody")
    push = of.get(name)
    assert (push.group.latents, push.shares) == (INDEX.get(name, field="").latents, ())


async def test_only_what_is_added_has_to_be_loaded() -> None:
    service, of = Service(answers), pushes()
    parts = [pb.BlendPart(concept_id="comedy", weight=1), pb.BlendPart(latent=1, weight=1)]
    edits = [
        pb.Edit(concept_id="noir", set=1),
        pb.Edit(latent=0, add=1, when=[pb.Condition(concept_id="noir", above=0)]),
        pb.Edit(blend=pb.Blend(parts=parts), add=1),
        pb.Edit(concept_id="nobody", add=1),
        pb.Edit(concept_id="comedy", add=1),
    ]
    assert of.missing(edits) == ["comedy", "nobody"]
    await load(of, service, *of.missing(edits))
    assert of.missing(edits) == []
