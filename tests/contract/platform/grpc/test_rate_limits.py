"""Rates that several gateways count together, in a real Redis."""

from __future__ import annotations

import asyncio
from pathlib import Path

import grpc
import pytest
import redis as redis_client
from echo_server import ask, calling, echo_server, refused

from reclens.errors import InvalidInput, RateLimited, Unavailable
from reclens.ops.local.servers import free_ports
from reclens.platform.grpc.auth import Scope, TokenEntry, digest, new_token, write_tokens
from reclens.platform.grpc.rates import RateLimits
from reclens.platform.grpc.tls import bearer
from reclens.rpc_status import error_of

HOUR = 3600


async def taken(limits: RateLimits, client: str, rate: tuple[int, int], weight: int = 1) -> bool:
    try:
        await limits.take(client, rate, weight)
    except RateLimited:
        return False
    return True


async def delay(limits: RateLimits, client: str, rate: tuple[int, int]) -> float:
    """Seconds to wait; 0: it was counted."""
    try:
        await limits.take(client, rate)
    except RateLimited as error:
        return error.retry_seconds
    return 0.0


async def test_two_gateways_count_together(redis_url: str) -> None:
    one, other = RateLimits(redis_url), RateLimits(redis_url)
    try:
        answers = [await taken(limits, "together", (6, HOUR)) for limits in (one, other) * 5]
        assert answers == [True] * 6 + [False] * 4
        # Refused again within the same moment, it is told the same.
        first = await delay(one, "together", (6, HOUR))
        assert await delay(one, "together", (6, HOUR)) == pytest.approx(first, abs=1)
        assert first >= HOUR / 6 - 1
        # Another client has its own account.
        assert await taken(other, "somebody else", (6, HOUR))
    finally:
        await one.close()
        await other.close()


async def test_refusal_says_when_to_go_on_and_then_it_does(redis_url: str) -> None:
    limits = RateLimits(redis_url)
    try:
        while await taken(limits, "patient", (5, 1)):
            pass
        delays = [await delay(limits, "patient", (5, 1))]
        while delays[-1]:
            await asyncio.sleep(delays[-1])
            delays.append(await delay(limits, "patient", (5, 1)))
        assert max(delays) <= 1
        # All of the window has passed at the latest after two of them.
        assert 0 < sum(delays) <= 2
    finally:
        await limits.close()


async def test_batch_counts_as_its_entries(redis_url: str) -> None:
    limits = RateLimits(redis_url)
    try:
        assert await taken(limits, "batch", (10, HOUR), weight=7)
        assert not await taken(limits, "batch", (10, HOUR), weight=7)
        # What was refused was not counted.
        assert await taken(limits, "batch", (10, HOUR), weight=3)
        # More than the whole rate at once would be had for the price of less.
        for weight in (11, 256):
            with pytest.raises(InvalidInput, match="at most 10 at once"):
                await limits.take("large batch", (10, HOUR), weight)
        assert await taken(limits, "large batch", (10, HOUR), weight=10)
        assert not await taken(limits, "large batch", (10, HOUR))
    finally:
        await limits.close()


async def test_keys_expire_by_themselves(redis_url: str) -> None:
    limits = RateLimits(redis_url)
    try:
        await limits.take("expiring", (5, 60))
    finally:
        await limits.close()
    with redis_client.Redis.from_url(redis_url) as connection:
        keys = list(connection.scan_iter("reclens:rate*expiring*"))
        assert keys
        for key in keys:
            assert 0 < connection.ttl(key) <= 120  # pyright: ignore[reportOperatorIssue]


@pytest.mark.parametrize("fail_open", [True, False])
async def test_without_redis_the_setting_decides(fail_open: bool) -> None:
    (port,) = free_ports(1)
    limits = RateLimits(f"redis://127.0.0.1:{port}/0", fail_open=fail_open)
    try:
        if fail_open:
            for _ in range(3):
                await limits.take("shop", (1, HOUR))
        else:
            with pytest.raises(Unavailable):
                await limits.take("shop", (1, HOUR))
    finally:
        await limits.close()


async def test_server_refuses_a_client_that_sends_too_much_and_no_other(
    redis_url: str, tmp_path: Path
) -> None:
    tokens, file = [new_token(), new_token()], tmp_path / "tokens.json"
    scopes = frozenset({Scope.READ, Scope.STEER})
    write_tokens(
        file,
        [
            TokenEntry(client="limited", sha256=digest(tokens[0]), scopes=scopes, rate="2/h"),
            TokenEntry(client="free", sha256=digest(tokens[1]), scopes=scopes),
        ],
    )
    auth = {"tokens_file": file, "rates_redis": redis_url}
    async with (
        echo_server(auth=auth) as one,
        echo_server(auth=auth) as other,
        calling(one) as first,
        calling(other) as second,
    ):
        await first.recommend(ask(), metadata=bearer(tokens[0]))
        await second.recommend(ask(), metadata=bearer(tokens[0]))
        error = await refused(first.recommend(ask(), metadata=bearer(tokens[0])))
        assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        trailers = [(str(key), value) for key, value in error.trailing_metadata() or ()]
        rebuilt = error_of(error.code(), error.details(), trailers, "the server")
        assert type(rebuilt) is RateLimited
        assert rebuilt.retry_seconds > 0
        for _ in range(5):
            await first.recommend(ask(), metadata=bearer(tokens[1]))
