"""Both clients store, read, change and delete policies."""

from __future__ import annotations

import pytest

from reclens.api.steering.v1 import steering_pb2 as pb
from reclens.client import AsyncSteeringClient, SteeringClient, less, more, policy_message
from reclens.errors import AlreadyExists, InvalidInput, NotFound, StalePolicy


@pytest.fixture
def client(sasrec):
    with SteeringClient(sasrec.gateway.address) as client:
        yield client


def test_a_policy_from_its_making_to_its_end(client) -> None:
    first = client.create_policy(
        "client-made",
        edits=[more("film-noir"), less("comedy", 0.2)],
        exclude=["item-1"],
        limits={"Drama": 3},
        mode="residual",
        description="dark",
        comment="first",
    )
    assert (first.version, first.comment, first.mode) == (1, "first", pb.STEERING_MODE_RESIDUAL)
    assert client.policy("client-made") == first
    first.edits[0].add = 0.8
    second = client.update_policy(first, comment="darker")
    assert (second.version, second.comment, second.edits[0].add) == (2, "darker", 0.8)
    with pytest.raises(StalePolicy) as stale:
        client.update_policy(first)
    assert stale.value.field == "policy.version"
    with pytest.raises(AlreadyExists):
        client.create_policy(policy_message("client-made"))
    answer = client.recommend(user_id="user-0", policy="client-made@1")
    assert answer.policy == pb.PolicyRef(policy_id="client-made", version=1)
    assert "client-made" in [policy.policy_id for policy in client.policies()]
    assert client.delete_policy("client-made", version=2, comment="done").deleted
    assert [one.version for one in client.policy_versions("client-made")] == [3, 2, 1]
    with pytest.raises(NotFound, match="deleted"):
        client.recommend(user_id="user-0", policy="client-made")
    assert client.policy("client-made", version=2) == second


def test_lists_go_on_over_pages(client, monkeypatch) -> None:
    monkeypatch.setattr("reclens_gateway.calls.policies.MAX_PAGE_BYTES", 100)
    for name in ("page-a", "page-b", "page-c"):
        client.create_policy(name, description="x" * 90)
    made = client.policy("page-a")
    for _ in range(3):
        made = client.update_policy(made)
    found = [one.policy_id for one in client.policies() if one.policy_id.startswith("page-")]
    assert found == ["page-a", "page-b", "page-c"]
    assert [one.version for one in client.policy_versions("page-a")] == [4, 3, 2, 1]


def test_options_beside_a_whole_policy_are_refused_before_the_wire(client) -> None:
    with pytest.raises(InvalidInput, match="beside a whole policy"):
        client.create_policy(policy_message("whole"), edits=[more("comedy")])
    with pytest.raises(InvalidInput, match="no mode"):
        client.create_policy("whole", mode="both")


def test_async_client_does_alike(client, sasrec) -> None:
    async def ask() -> list[int]:
        async with AsyncSteeringClient(sasrec.gateway.address) as one:
            made = await one.create_policy("async-made", edits=[more("comedy")])
            assert made == await one.policy("async-made", version=1)
            made = await one.update_policy(made, comment="again")
            assert made.policy_id in [policy.policy_id async for policy in one.policies()]
            await one.delete_policy("async-made", comment="done")
            with pytest.raises(NotFound):
                await one.policy("async-made")
            return [policy.version async for policy in one.policy_versions("async-made")]

    assert sasrec.stack.loop.run(ask()) == [3, 2, 1]
    assert list(client.policy_versions("async-made"))[1].comment == "again"
