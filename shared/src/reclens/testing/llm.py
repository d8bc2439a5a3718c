"""What any client and any dialect of language model servers must do.

Inherit `LlmDialectSuite` for a dialect and `LlmClientSuite` for a client of your own, and override
the fixtures. Both ask a `ScriptedServer`, which answers what a test tells it to and notes what it
was sent; for a server whose answers have another form than OpenAI's, override ``completion`` too.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from pydantic import SecretStr

from reclens.concepts.llm.chat import ChatMessage, ChatRequest, LlmClient
from reclens.errors import LlmRefused, LlmUnavailable
from reclens.platform.llm.client import HttpLlmClient
from reclens.platform.llm.dialects import DIALECTS, ChatDialect
from reclens.platform.settings.models import LlmSettings

SCHEMA = {
    "type": "object",
    "properties": {"grade": {"type": "integer", "enum": [1, 2, 3]}},
    "required": ["grade"],
    "additionalProperties": False,
}
"""What the suites ask a model to answer in."""
REQUEST = ChatRequest(
    model="some/model",
    messages=(
        ChatMessage("system", "Be brief."),
        ChatMessage("user", "Which grade?\nOne “line” more."),
    ),
    schema=SCHEMA,
    max_tokens=17,
    temperature=0.25,
    seed=5,
)
"""What the suites ask."""


CompletionMaker = Callable[..., bytes]
"""Makes the body of a server's answer."""


@dataclass(frozen=True)
class Reply:
    """One response of a `ScriptedServer`."""

    body: bytes
    """Its body."""
    status: int = 200
    """Its HTTP status."""


@dataclass(frozen=True)
class Received:
    """One request that a `ScriptedServer` was sent."""

    path: str
    """Its path."""
    headers: dict[str, str]
    """Its headers, names in lower case."""
    body: Any
    """Its body, read as JSON."""


@dataclass
class ScriptedServer:
    """An HTTP server that gives the replies it was told to, then the last one again."""

    url: str = ""
    """Where it listens."""
    replies: list[Reply] = field(default_factory=list)
    """What it will answer."""
    received: list[Received] = field(default_factory=list)
    """What it was sent."""

    def next_reply(self) -> Reply:
        """The reply to the request that came last."""
        return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]


class NoWaiting(threading.Event):
    """An event that is never set and is waited for in no time; it notes how long was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []
        """Seconds of each wait."""

    def wait(self, timeout: float | None = None) -> bool:
        """At once."""
        self.waits.append(0.0 if timeout is None else timeout)
        return False


class _Suite:
    """Fixtures of both suites."""

    @pytest.fixture
    def server(self) -> Iterator[ScriptedServer]:
        """A server in this process, for one test."""
        scripted = ScriptedServer()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                data = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                scripted.received.append(Received(self.path, headers, json.loads(data)))
                reply = scripted.next_reply()
                self.send_response(reply.status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(reply.body)))
                self.end_headers()
                self.wfile.write(reply.body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                """What was sent is in ``received``."""

        listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        scripted.url = f"http://127.0.0.1:{listening.server_address[1]}"
        thread = threading.Thread(target=listening.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield scripted
        listening.shutdown()
        listening.server_close()
        thread.join()

    @pytest.fixture
    def completion(self) -> CompletionMaker:
        """Maker of the body of a server's answer: of what the model said, and why it ended."""

        def make(text: str, finish_reason: str = "stop") -> bytes:
            body = {
                "model": "some/model",
                "choices": [
                    {
                        "index": 0,
                        "message": {"role": "assistant", "content": text},
                        "finish_reason": finish_reason,
                    }
                ],
                "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18},
            }
            return json.dumps(body).encode()

        return make


class LlmClientSuite(_Suite):
    """What labelling relies on in any `LlmClient`."""

    @pytest.fixture
    def client(self, server: ScriptedServer) -> Iterator[LlmClient]:
        """The client, for ``server``; it pauses in no time and tries at least twice."""
        raise NotImplementedError("override the fixture `client`")

    def test_the_answer_is_what_the_model_said(
        self, client: LlmClient, server: ScriptedServer, completion: CompletionMaker
    ):
        server.replies = [Reply(completion('{"grade": 2}'))]
        answer = client.complete(REQUEST)
        assert (answer.text, answer.finish_reason) == ('{"grade": 2}', "stop")
        assert (answer.prompt_tokens, answer.completion_tokens) == (11, 7)
        assert answer.model
        assert answer.seconds >= 0

    def test_an_answer_that_was_cut_off_says_so(
        self, client: LlmClient, server: ScriptedServer, completion: CompletionMaker
    ):
        server.replies = [Reply(completion('{"gra', finish_reason="length"))]
        assert client.complete(REQUEST).finish_reason == "length"

    def test_every_turn_and_the_schema_are_sent(
        self, client: LlmClient, server: ScriptedServer, completion: CompletionMaker
    ):
        server.replies = [Reply(completion("{}"))]
        client.complete(REQUEST)
        (sent,) = server.received
        assert REQUEST.model in list(_parts(sent.body))
        assert SCHEMA in list(_parts(sent.body))
        for message in REQUEST.messages:
            assert any(message.content in part for part in _parts(sent.body) if type(part) is str)

    @pytest.mark.parametrize("status", [429, 500, 503])
    def test_a_fault_that_passes_is_tried_again(
        self, client: LlmClient, server: ScriptedServer, completion: CompletionMaker, status: int
    ):
        server.replies = [Reply(b'{"error": "busy"}', status), Reply(completion("{}"))]
        assert client.complete(REQUEST).text == "{}"
        assert len(server.received) == 2

    def test_a_fault_that_stays_is_unavailable(self, client: LlmClient, server: ScriptedServer):
        server.replies = [Reply(b'{"error": "busy"}', 503)]
        with pytest.raises(LlmUnavailable):
            client.complete(REQUEST)
        assert len(server.received) > 1

    @pytest.mark.parametrize("status", [400, 401, 404, 422])
    def test_a_refusal_is_not_tried_again(
        self, client: LlmClient, server: ScriptedServer, status: int
    ):
        server.replies = [Reply(b'{"error": "no"}', status)]
        with pytest.raises(LlmRefused):
            client.complete(REQUEST)
        assert len(server.received) == 1

    @pytest.mark.parametrize("body", [b"", b"<html>Welcome</html>", b"[]", b"{}", b"null"])
    def test_what_is_no_answer_is_never_taken_for_one(
        self, client: LlmClient, server: ScriptedServer, body: bytes
    ):
        server.replies = [Reply(body)]
        with pytest.raises((LlmUnavailable, LlmRefused)) as caught:
            client.complete(REQUEST)
        assert caught.value.field
        assert caught.value.remedy

    def test_any_text_can_be_kept(
        self, client: LlmClient, server: ScriptedServer, completion: CompletionMaker
    ):
        server.replies = [Reply(completion("half \ud800 of one"))]
        assert client.complete(REQUEST).text.encode()


class LlmDialectSuite(LlmClientSuite):
    """What any dialect must do, alone and in the client that comes with RecLens."""

    @pytest.fixture
    def name(self) -> str:
        """Name of the dialect's entry point."""
        raise NotImplementedError("override the fixture `name`")

    @pytest.fixture
    def client(self, name: str, server: ScriptedServer) -> Iterator[LlmClient]:
        """RecLens's client in this dialect."""
        settings = LlmSettings(
            endpoint=server.url, dialect=name, retries=2, token=SecretStr("s3cret")
        )
        made = HttpLlmClient(settings, stop=NoWaiting(), jitter=lambda: 0.0)
        yield made
        made.close()

    @pytest.fixture
    def dialect(self, name: str) -> ChatDialect:
        """The dialect itself."""
        return DIALECTS.load(name)()

    def test_it_is_installed_under_its_name(self, name: str):
        assert name in DIALECTS.names()

    def test_a_request_is_json_and_the_same_every_time(self, dialect: ChatDialect):
        assert json.dumps(dialect.body(REQUEST)) == json.dumps(dialect.body(REQUEST))

    def test_another_schema_makes_another_request(self, dialect: ChatDialect):
        other = replace(REQUEST, schema={"type": "object", "properties": {}})
        assert dialect.body(other) != dialect.body(REQUEST)

    @pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'{"choices": []}'])
    def test_what_is_no_answer_is_a_value_error(self, dialect: ChatDialect, body: bytes):
        with pytest.raises(ValueError):  # noqa: PT011 - of whatever reads the body
            dialect.answer(body, 0.0)

    def test_the_request_goes_to_its_path_with_the_token(
        self,
        client: LlmClient,
        server: ScriptedServer,
        dialect: ChatDialect,
        completion: CompletionMaker,
    ):
        server.replies = [Reply(completion("{}"))]
        client.complete(REQUEST)
        (sent,) = server.received
        assert sent.path == dialect.path
        assert sent.headers["authorization"] == "Bearer s3cret"
        assert sent.body == dialect.body(REQUEST)


def _parts(value: Any) -> Iterator[Any]:
    """A JSON value and all that is within it."""
    yield value
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            yield from _parts(part)
