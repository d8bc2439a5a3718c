"""Tokens as a user makes them, on a real server: who gets in, for what, and until when."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml
from echo_server import Caller, ask, calling, echo_server, refused
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from reclens.cli.main import run
from reclens.errors import InvalidInput, MissingData
from reclens.platform.grpc.auth import AuthSettings, digest, read_tokens
from reclens.platform.grpc.server import GrpcServer, ServerSettings
from reclens.platform.grpc.tls import bearer
from reclens_gateway.settings import GatewaySection
from reclens_recommender.serving.settings import InferenceSection


def create(capsys: pytest.CaptureFixture[str], file: Path, *options: str) -> str:
    """Make a token as on the command line."""
    assert run(["tokens", "create", *options, "--file", str(file)]) == 0
    # What servers of the same test log comes before it.
    return capsys.readouterr().out.split()[-1]


def guarded(file: Path, **more: Any) -> Any:
    return echo_server(auth={"tokens_file": file, "reload_seconds": 0.02, **more})


async def gets_in(caller: Caller, token: str) -> bool:
    call = caller.recommend(ask(), metadata=bearer(token), timeout=30)
    code = await call.code()
    assert code in {grpc.StatusCode.OK, grpc.StatusCode.UNAUTHENTICATED}
    return code == grpc.StatusCode.OK


def test_file_holds_no_token_and_only_its_owner_reads_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "tokens.json"
    token = create(capsys, file, "--client", "shop", "--expires", "90d", "--rate", "100/s")
    text = file.read_text()
    assert token not in text
    assert digest(token) in text
    assert file.stat().st_mode & 0o777 == 0o600
    (entry,) = read_tokens(file)
    assert (entry.client, entry.scopes, entry.rate) == ("shop", {"read", "steer"}, "100/s")
    assert entry.expires is not None
    assert timedelta(days=89) < entry.expires - datetime.now(UTC) <= timedelta(days=90)
    # 256 random bits in base 64.
    assert len(token.removeprefix("reclens_")) == 43


def test_list_and_revoke(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "tokens.yaml"
    first = create(capsys, file, "--client", "shop")
    create(capsys, file, "--client", "shop")
    create(capsys, file, "--client", "ops", "--scope", "admin")
    assert len(yaml.safe_load(file.read_text())["tokens"]) == 3
    assert run(["tokens", "revoke", digest(first)[:12], "--file", str(file)]) == 0
    capsys.readouterr()
    assert run(["tokens", "list", "--file", str(file), "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)["tokens"]
    assert [(row["client"], row["scopes"]) for row in listed] == [
        ("shop", ["read", "steer"]),
        ("ops", ["admin"]),
    ]
    assert run(["tokens", "revoke", "shop", "--file", str(file)]) == 0
    assert [entry.client for entry in read_tokens(file)] == ["ops"]
    assert run(["tokens", "revoke", "shop", "--file", str(file)]) == 3


@pytest.mark.parametrize(
    "options",
    [
        ["--scope", "write"],
        ["--scope", ""],
        ["--rate", "100"],
        ["--rate", "0/s"],
        ["--expires", "soon"],
        ["--client", "a b"],
        ["--client", ""],
    ],
)
def test_bad_options_are_refused_by_name(
    options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "tokens.json"
    given = options if "--client" in options else ["--client", "shop", *options]
    assert run(["tokens", "create", *given, "--file", str(file)]) == 2
    assert options[0] in capsys.readouterr().err
    assert not file.exists()


async def test_scopes_decide_what_a_client_may_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "tokens.json"
    reader = bearer(create(capsys, file, "--client", "reader", "--scope", "read"))
    shop = bearer(create(capsys, file, "--client", "shop", "--scope", "read,steer"))
    ops = bearer(create(capsys, file, "--client", "ops", "--scope", "admin"))
    async with guarded(file) as running, calling(running) as caller:
        assert (await caller.recommend(ask(), metadata=reader)).policy.policy_id == "reader"
        assert (await caller.recommend(ask(edits=1), metadata=shop)).policy.policy_id == "shop"
        assert (await caller.delete(ask(), metadata=ops)).policy.policy_id == "ops"
        for call in (
            caller.recommend(ask(edits=1), metadata=reader),
            caller.delete(ask(), metadata=shop),
            caller.recommend(ask(), metadata=ops),
        ):
            error = await refused(call)
            assert error.code() == grpc.StatusCode.PERMISSION_DENIED
            assert "Remedy" in (error.details() or "")
        session = caller.session(iter([]), metadata=shop)
        assert await session.code() == grpc.StatusCode.OK


@pytest.mark.parametrize(
    "metadata",
    [
        (),
        (("authorization", ""),),
        (("authorization", "Basic c2hvcDpzaG9w"),),
        (("authorization", "Bearer "),),
        (("authorization", "Bearer reclens_" + "A" * 43),),
        (("authorization", "Bearer " + "0" * 4000),),
    ],
)
async def test_without_a_valid_token_nobody_gets_in(
    metadata: tuple[tuple[str, str], ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "tokens.json"
    create(capsys, file, "--client", "shop")
    async with guarded(file) as running, calling(running) as caller:
        for call in (
            caller.recommend(ask(), metadata=metadata),
            caller.raw(b"", metadata=metadata),
        ):
            assert (await refused(call)).code() == grpc.StatusCode.UNAUTHENTICATED
        # The digest in the file is no token.
        stolen = bearer(json.loads(file.read_text())["tokens"][0]["sha256"])
        error = await refused(caller.recommend(ask(), metadata=stolen))
        assert error.code() == grpc.StatusCode.UNAUTHENTICATED
        session = caller.session(iter([]), metadata=metadata)
        assert await session.code() == grpc.StatusCode.UNAUTHENTICATED


async def test_health_is_open_and_reflection_is_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "tokens.json"
    token = bearer(create(capsys, file, "--client", "reader", "--scope", "read"))
    listing = reflection_pb2.ServerReflectionRequest(list_services="")  # pyright: ignore
    async with guarded(file) as running, calling(running) as caller:
        health = health_pb2_grpc.HealthStub(caller.channel)
        answer = await health.Check(health_pb2.HealthCheckRequest())  # pyright: ignore
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
        stub = reflection_pb2_grpc.ServerReflectionStub(caller.channel)
        closed = stub.ServerReflectionInfo(iter([listing]))
        assert await closed.code() == grpc.StatusCode.UNAUTHENTICATED
        opened = stub.ServerReflectionInfo(iter([listing]), metadata=token)
        (services,) = [one async for one in opened]
        assert "test.Echo" in {one.name for one in services.list_services_response.service}
    async with echo_server(reflection=False) as running, calling(running) as caller:
        stub = reflection_pb2_grpc.ServerReflectionStub(caller.channel)
        gone = stub.ServerReflectionInfo(iter([listing]))
        assert await gone.code() == grpc.StatusCode.UNIMPLEMENTED


async def test_rotation_without_a_gap_and_without_a_restart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "tokens.json"
    old = create(capsys, file, "--client", "shop")
    async with guarded(file) as running, calling(running) as caller:
        await caller.recommend(ask(), metadata=bearer(old))
        new = create(capsys, file, "--client", "shop")
        while not await gets_in(caller, new):
            # The new one is taken as soon as the file has been read; the old one all the time.
            assert await gets_in(caller, old)
        assert run(["tokens", "revoke", digest(old)[:12], "--file", str(file)]) == 0
        while await gets_in(caller, old):
            assert await gets_in(caller, new)
        assert await gets_in(caller, new)


async def test_broken_file_keeps_the_tokens_before(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "tokens.json"
    first = create(capsys, file, "--client", "shop")
    good = file.read_text()
    async with guarded(file) as running, calling(running) as caller:
        book = running.server._tokens
        assert book is not None
        for broken in ("{", "[]", '{"tokens": [{"client": "x"}]}', "\x00"):
            file.write_text(broken)
            assert not book.refresh()
            await caller.recommend(ask(), metadata=bearer(first))
        file.unlink()
        assert not book.refresh()
        await caller.recommend(ask(), metadata=bearer(first))
        file.write_text(good.replace("shop", "store"))
        while (await caller.recommend(ask(), metadata=bearer(first))).policy.policy_id != "store":
            pass


async def test_expired_token_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "tokens.json"
    token = create(capsys, file, "--client", "shop", "--expires", "1h")
    content = json.loads(file.read_text())
    content["tokens"][0]["expires"] = "2020-01-01T00:00:00Z"
    file.write_text(json.dumps(content))
    async with guarded(file) as running, calling(running) as caller:
        error = await refused(caller.recommend(ask(), metadata=bearer(token)))
        assert error.code() == grpc.StatusCode.UNAUTHENTICATED
        assert "2020-01-01" in (error.details() or "")


@pytest.mark.parametrize("listen", ["0.0.0.0:0", "[::]:0", "192.0.2.1:50051", "host:50051"])
def test_tokens_do_not_travel_in_plain_text_by_accident(
    listen: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "tokens.json"
    create(capsys, file, "--client", "shop")
    with pytest.raises(InvalidInput, match="plain text"):
        GrpcServer(ServerSettings(listen=listen, auth={"tokens_file": file}))  # pyright: ignore


@pytest.mark.parametrize("listen", ["0.0.0.0:0", "[::]:0", "192.0.2.1:50051", "host:50051", ":0"])
async def test_servers_are_not_open_to_other_machines_by_accident(listen: str) -> None:
    sections: list[type[ServerSettings]] = [GatewaySection, InferenceSection]
    for section in sections:
        with pytest.raises(InvalidInput, match="could call everything") as refused:
            GrpcServer(section(listen=listen))
        assert refused.value.field == "auth.tokens_file"
        assert "allow_anonymous" in refused.value.remedy
        GrpcServer(section(listen=listen, auth=AuthSettings(allow_anonymous=True)))


async def test_on_the_loopback_interface_no_token_is_needed() -> None:
    for listen in ("127.0.0.1:0", "localhost:0", "[::1]:0", "unix:/run/reclens.sock"):
        GrpcServer(ServerSettings(listen=listen))


def test_server_does_not_start_without_its_tokens(tmp_path: Path) -> None:
    file = tmp_path / "tokens.json"
    settings = {"listen": "127.0.0.1:0", "auth": {"tokens_file": file}}
    with pytest.raises(MissingData):
        GrpcServer(ServerSettings(**settings))  # pyright: ignore
    for text in ("{", '{"tokens": [{"client": "a", "sha256": "12", "scopes": ["read"]}]}'):
        file.write_text(text)
        os.utime(file)
        with pytest.raises(InvalidInput):
            GrpcServer(ServerSettings(**settings))  # pyright: ignore
