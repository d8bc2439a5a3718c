"""Proxies of the environment: which one counts, by hand, and all clients through a real one."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from little_proxy import LittleProxy, little_proxy
from running_lookalike import Lookalike

from reclens.api.steering.v1 import steering_pb2 as pb
from reclens.api.steering.v1 import steering_pb2_grpc
from reclens.client import SteeringClient
from reclens.concepts.llm.chat import ChatMessage, ChatRequest
from reclens.errors import InvalidInput, LlmRefused, LlmUnavailable, StoreUnavailable, Unavailable
from reclens.platform.llm.client import HttpLlmClient
from reclens.platform.settings.models import LlmSettings, S3Settings
from reclens.platform.store.objects import S3Store
from reclens.proxies import named, proxy_of_target, proxy_of_url
from reclens.testing.llm import NoWaiting

REQUEST = ChatRequest("m", (ChatMessage("user", "?"),), {}, max_tokens=8, temperature=0.0)


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http", "https", "all", "no", "grpc"):
        monkeypatch.delenv(f"{name}_proxy", raising=False)
        monkeypatch.delenv(f"{name.upper()}_PROXY", raising=False)


@pytest.fixture
def proxy() -> Iterator[LittleProxy]:
    with little_proxy() as running:
        yield running


@pytest.mark.parametrize(
    ("environment", "url", "proxy"),
    [
        ({}, "http://llm.example", ""),
        ({"HTTP_PROXY": "http://p:1"}, "http://llm.example:8080/v1", "http://p:1"),
        ({"http_proxy": "p:1"}, "http://llm.example", "http://p:1"),
        ({"HTTP_PROXY": "http://p:1"}, "https://llm.example", ""),
        ({"HTTPS_PROXY": "http://p:1"}, "https://llm.example", "http://p:1"),
        ({"ALL_PROXY": "http://p:1"}, "https://llm.example", "http://p:1"),
        ({"HTTP_PROXY": "http://p:1", "NO_PROXY": ".example"}, "http://llm.example:80", ""),
        ({"HTTP_PROXY": "http://p:1", "no_proxy": "*"}, "http://llm.example", ""),
        ({"HTTP_PROXY": "http://p:1"}, "http://127.0.0.1:8080", ""),
        ({"HTTP_PROXY": "http://p:1"}, "http://localhost", ""),
        ({"ALL_PROXY": "http://p:1"}, "https://[::1]:8080", ""),
    ],
)
def test_the_proxy_of_an_address(monkeypatch, environment: dict, url: str, proxy: str):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert proxy_of_url(url) == proxy


@pytest.mark.parametrize(
    ("environment", "target", "proxy"),
    [
        ({"HTTP_PROXY": "http://p:1"}, "gateway.example:50051", "http://p:1"),
        ({"http_proxy": "p:1", "HTTPS_PROXY": "http://q:1"}, "gateway.example:1", "http://q:1"),
        ({"grpc_proxy": "http://g:1", "HTTPS_PROXY": "http://q:1"}, "dns:///a.b:1", "http://g:1"),
        ({"HTTPS_PROXY": "https://q:1"}, "gateway.example:1", ""),
        ({"HTTP_PROXY": "http://p:1", "NO_PROXY": "gateway.example"}, "gateway.example:1", ""),
        ({"http_proxy": "http://p:1"}, "127.0.0.1:50051", ""),
        ({"http_proxy": "http://p:1"}, "ipv6:[::1]:50051", ""),
        ({"http_proxy": "http://p:1"}, "unix:/run/gateway", ""),
    ],
)
def test_the_proxy_of_a_channel(monkeypatch, environment: dict, target: str, proxy: str):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert proxy_of_target(target) == proxy


def test_a_proxy_of_another_kind_is_refused_with_its_name_and_without_its_password(monkeypatch):
    monkeypatch.setenv("ALL_PROXY", "socks5://me:s3cret@p:1080")
    with pytest.raises(InvalidInput, match="socks5://p:1080") as caught:
        proxy_of_url("http://store.example")
    assert "s3cret" not in str(caught.value)
    assert "NO_PROXY" in caught.value.remedy


def test_errors_name_a_proxy_without_its_password():
    assert named("") == ""
    assert named("http://me:s3c@ret@p:3128").startswith(" (through the proxy http://p:3128 of")


# --- language models -----------------------------------------------------------------------------


def ask(endpoint: str) -> str:
    client = HttpLlmClient(LlmSettings(endpoint=endpoint, retries=1), stop=NoWaiting())
    try:
        return client.complete(REQUEST).text
    finally:
        client.close()


def test_a_language_model_is_asked_through_the_proxy(monkeypatch, proxy, tgi: Lookalike):
    port = tgi.url.rpartition(":")[2]
    monkeypatch.setenv("HTTP_PROXY", proxy.url.replace("//", "//me:s3cret@"))
    tgi.behave({"text": "{}"}, {"text": "{}"})
    assert ask(f"http://llm.nowhere.example:{port}") == "{}"
    assert proxy.asked == [("POST", f"llm.nowhere.example:{port}")]
    assert proxy.authorization == ["Basic bWU6czNjcmV0"]
    # This machine is reached without one.
    assert ask(tgi.url) == "{}"
    assert len(proxy.asked) == 1


def test_a_language_models_error_names_the_proxy(monkeypatch, proxy):
    monkeypatch.setenv("HTTP_PROXY", proxy.url.replace("//", "//me:s3cret@"))
    proxy.refuses = True
    with pytest.raises(LlmRefused, match=rf"through the proxy {proxy.url} .* answered 403") as one:
        ask("http://llm.nowhere.example")
    assert "s3cret" not in str(one.value)
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    with pytest.raises(LlmUnavailable, match=r"through the proxy http://127\.0\.0\.1:1 .*NO_PROXY"):
        ask("http://llm.nowhere.example")


# --- gRPC ----------------------------------------------------------------------------------------


class _Gateway(steering_pb2_grpc.SteeringServiceServicer):
    def GetRelease(self, request, context):  # noqa: N802
        return pb.GetReleaseResponse(release=pb.Release(name=request.name))


@pytest.fixture
def port() -> Iterator[int]:
    server = grpc.server(ThreadPoolExecutor(2))
    steering_pb2_grpc.add_SteeringServiceServicer_to_server(_Gateway(), server)
    bound = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield bound
    server.stop(grace=None).wait()


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "http_proxy"])
def test_a_gateway_is_called_through_the_proxy(monkeypatch, proxy, port: int, variable: str):
    monkeypatch.setenv(variable, proxy.url)
    with SteeringClient(f"gateway.nowhere.example:{port}", timeout=20) as client:
        assert client.release("main").name == "main"
    assert proxy.asked == [("CONNECT", f"gateway.nowhere.example:{port}")]
    with SteeringClient(f"127.0.0.1:{port}", timeout=20) as client:
        assert client.release("main").name == "main"
    assert len(proxy.asked) == 1


def test_a_gateways_error_names_the_proxy(monkeypatch, proxy):
    monkeypatch.setenv("https_proxy", proxy.url.replace("//", "//me:s3cret@"))
    proxy.refuses = True
    with (
        SteeringClient("gateway.nowhere.example:50051", timeout=20) as client,
        pytest.raises(
            Unavailable, match=f"through the proxy {proxy.url} .* does not ans"
        ) as caught,
    ):
        client.release("main")
    assert "s3cret" not in str(caught.value)


# --- the object store ----------------------------------------------------------------------------


def test_the_stores_error_names_the_proxy(monkeypatch, proxy):
    monkeypatch.setenv("HTTP_PROXY", proxy.url.replace("//", "//me:s3cret@"))
    proxy.refuses = True
    store = S3Store(S3Settings(endpoint="store.nowhere.example:9000", secure=False))
    with pytest.raises(StoreUnavailable, match=f"through the proxy {proxy.url} ") as caught:
        store.get("a")
    assert ("GET", "store.nowhere.example:9000") in proxy.asked
    assert proxy.authorization[0] == "Basic bWU6czNjcmV0"
    assert "s3cret" not in str(caught.value)
    monkeypatch.setenv("NO_PROXY", "store.nowhere.example")
    store = S3Store(S3Settings(endpoint="store.nowhere.example:9000", secure=False))
    assert store._proxy == ""
