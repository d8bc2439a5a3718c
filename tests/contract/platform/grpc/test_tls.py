"""TLS and mTLS with certificates of a CA of the test's own."""

from __future__ import annotations

import asyncio
import socket
import ssl
import sys
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme
from echo_server import Caller, Running, ask, echo_server, refused
from pydantic import SecretStr, ValidationError

from reclens.errors import InvalidInput
from reclens.platform.grpc.auth import Scope, TokenEntry, digest, new_token, write_tokens
from reclens.platform.grpc.health_probe import is_serving, main
from reclens.platform.grpc.tls import (
    ChannelTlsSettings,
    TlsSettings,
    bearer,
    open_channel,
    server_credentials,
)


class Authority:
    """A CA with its files."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        self._ca = trustme.CA()
        self.file = folder / "ca.pem"
        self._ca.cert_pem.write_to_path(self.file)

    def server(self, name: str = "127.0.0.1") -> dict[str, Path]:
        """Issue, or issue again, the server's certificate."""
        return self._write("server", self._ca.issue_cert(name))

    def client(self, name: str) -> dict[str, Path]:
        """Issue the certificate of a client."""
        return self._write(name, self._ca.issue_cert("client.invalid", common_name=name))

    def _write(self, name: str, leaf: trustme.LeafCert) -> dict[str, Path]:
        certificate, key = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        certificate.unlink(missing_ok=True)
        for blob in leaf.cert_chain_pems:
            blob.write_to_path(certificate, append=True)
        leaf.private_key_pem.write_to_path(key)
        return {"certificate": certificate, "key": key}


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "ca")


async def answer(running: Running, tls: ChannelTlsSettings, **options: Any) -> str:
    """Who the server says is calling, over a connection of its own."""
    async with open_channel(running.address, 1 << 20, tls) as channel:
        response = await Caller(channel).recommend(ask(), timeout=20, **options)
        return response.policy.policy_id


def serial_of(address: str, ca: Path) -> int:
    """Serial number of the certificate that the server shows."""
    host, _, port = address.rpartition(":")
    context = ssl.create_default_context(cafile=str(ca))
    context.set_alpn_protocols(["h2"])
    with (
        socket.create_connection((host, int(port)), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname=host) as connection,
    ):
        certificate = connection.getpeercert() or {}
    return int(str(certificate["serialNumber"]), 16)


async def test_only_who_trusts_the_ca_gets_an_answer(authority: Authority, tmp_path: Path) -> None:
    other = Authority(tmp_path / "other")
    async with echo_server(tls=authority.server()) as running:
        assert await answer(running, ChannelTlsSettings(ca=authority.file)) == ""
        for tls in (ChannelTlsSettings(), ChannelTlsSettings(ca=other.file)):
            async with open_channel(running.address, 1 << 20, tls) as channel:
                error = await refused(Caller(channel).recommend(ask(), timeout=1))
                assert error.code() in {
                    grpc.StatusCode.UNAVAILABLE,
                    grpc.StatusCode.DEADLINE_EXCEEDED,
                }


async def test_renewed_certificate_is_taken_without_a_restart(authority: Authority) -> None:
    async with echo_server(tls=authority.server()) as running:
        tls = ChannelTlsSettings(ca=authority.file)
        async with open_channel(running.address, 1 << 20, tls) as channel:
            caller = Caller(channel)
            await caller.recommend(ask())
            before = await asyncio.to_thread(serial_of, running.address, authority.file)
            files = authority.server()
            after = await asyncio.to_thread(serial_of, running.address, authority.file)
            assert after != before
            # Half of a renewal: the key does not fit. The pair before goes on.
            good = files["key"].read_bytes()
            files["key"].write_bytes(authority.client("x")["key"].read_bytes())
            assert await asyncio.to_thread(serial_of, running.address, authority.file) == after
            files["key"].write_bytes(good)
            assert await asyncio.to_thread(serial_of, running.address, authority.file) == after
            # A connection that stood all the while was never cut.
            await caller.recommend(ask())


async def test_client_certificate_is_required_and_names_the_caller(
    authority: Authority, tmp_path: Path
) -> None:
    stranger = Authority(tmp_path / "other").client("shop")
    tls = {**authority.server(), "client_ca": authority.file, "require_client_cert": True}
    async with echo_server(tls=tls) as running:
        known = ChannelTlsSettings(ca=authority.file, **authority.client("shop"))
        assert await answer(running, known) == "shop"
        assert await asyncio.to_thread(is_serving, running.address, known)
        for wrong in (
            ChannelTlsSettings(ca=authority.file),
            ChannelTlsSettings(ca=authority.file, **stranger),
        ):
            assert not await asyncio.to_thread(is_serving, running.address, wrong)
            async with open_channel(running.address, 1 << 20, wrong) as channel:
                error = await refused(Caller(channel).recommend(ask(), timeout=1))
                assert error.code() in {
                    grpc.StatusCode.UNAVAILABLE,
                    grpc.StatusCode.DEADLINE_EXCEEDED,
                }


async def test_certificate_stands_for_a_token_where_the_file_says_so(
    authority: Authority, tmp_path: Path
) -> None:
    token, file = new_token(), tmp_path / "tokens.json"
    scopes = frozenset({Scope.READ})
    write_tokens(
        file,
        [
            TokenEntry(client="shop", certificate="shop.example", scopes=scopes),
            TokenEntry(client="app", sha256=digest(token), scopes=scopes),
        ],
    )
    tls = {**authority.server(), "client_ca": authority.file, "require_client_cert": True}
    # With TLS, tokens are taken on any address.
    async with echo_server(listen="0.0.0.0:0", tls=tls, auth={"tokens_file": file}) as running:
        running.address = running.address.replace("0.0.0.0", "127.0.0.1")
        shop = ChannelTlsSettings(ca=authority.file, **authority.client("shop.example"))
        assert await answer(running, shop) == "shop"
        # A token counts before a certificate.
        assert await answer(running, shop, metadata=bearer(SecretStr(token))) == "app"
        other = ChannelTlsSettings(ca=authority.file, **authority.client("other.example"))
        with pytest.raises(grpc.aio.AioRpcError) as unknown:
            await answer(running, other)
        assert unknown.value.code() == grpc.StatusCode.UNAUTHENTICATED


async def test_health_probe_of_containers_speaks_tls(authority: Authority) -> None:
    tls = {**authority.server("gateway.example")}
    async with echo_server(tls=tls) as running:
        named = ["--ca", str(authority.file), "--server-name", "gateway.example"]
        command = [sys.executable, "-m", "reclens.platform.grpc.health_probe", running.address]
        process = await asyncio.create_subprocess_exec(*command, *named)
        assert await process.wait() == 0
        for code, options in ((1, []), (1, named[:2]), (2, ["--ca", "/nowhere.pem"])):
            assert await asyncio.to_thread(main, [running.address, *options]) == code


def test_files_that_do_not_belong_together_are_refused_at_once(authority: Authority) -> None:
    server, client = authority.server(), authority.client("x")
    for files in (
        {"certificate": server["certificate"], "key": client["key"]},
        {"certificate": server["key"], "key": server["key"]},
        {"certificate": server["certificate"], "key": Path("/nowhere")},
    ):
        with pytest.raises(InvalidInput, match=r"tls.certificate"):
            server_credentials(TlsSettings(**files))


@pytest.mark.parametrize(
    "settings",
    [
        {"certificate": "a.pem"},
        {"key": "a.pem"},
        {"certificate": "a.pem", "key": "a.key", "client_ca": "ca.pem"},
        {"certificate": "a.pem", "key": "a.key", "require_client_cert": True},
        {"client_ca": "ca.pem", "require_client_cert": True},
    ],
)
def test_half_of_the_settings_is_an_error(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TlsSettings(**settings)
