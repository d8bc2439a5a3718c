"""The client against a server that misbehaves on demand."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError
from running_lookalike import Lookalike

from reclens.concepts.llm.chat import ChatMessage, ChatRequest
from reclens.errors import LlmInterrupted, LlmRefused, LlmUnavailable
from reclens.ops.local.servers import free_ports
from reclens.platform.llm.client import HttpLlmClient
from reclens.platform.settings.models import LlmSettings, WorkerSettings

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
REQUEST = ChatRequest(
    model="m",
    messages=(ChatMessage("system", "be brief"), ChatMessage("user", "how many?")),
    schema=SCHEMA,
    max_tokens=8,
    temperature=0.0,
)
SAYS = {"text": '{"a": 1}'}
NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize("path", ["", "/", "/v1", "/v1/chat/completions"])
def test_an_answer_comes_back_from_any_form_of_the_address(tgi: Lookalike, make_client, path: str):
    tgi.behave(SAYS)
    answer = make_client(tgi, endpoint=tgi.url + path).complete(REQUEST)
    assert (answer.text, answer.model, answer.finish_reason) == (
        '{"a": 1}',
        "lookalike/none",
        "stop",
    )
    assert (answer.prompt_tokens, answer.completion_tokens) == (4, 2)


def test_tgi_is_told_the_schema_in_its_own_form(tgi: Lookalike, make_client):
    tgi.behave(SAYS)
    make_client(tgi).complete(REQUEST)
    body = tgi.requests[0]["body"]
    assert body["response_format"] == {"type": "json", "value": SCHEMA}
    assert body["messages"] == [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "how many?"},
    ]
    assert {key: body[key] for key in ("model", "max_tokens", "temperature", "seed", "stream")} == {
        "model": "m",
        "max_tokens": 8,
        "temperature": 0.0,
        "seed": 0,
        "stream": False,
    }


def test_other_servers_are_told_it_in_openais_form(openai_server: Lookalike, make_client):
    openai_server.behave(SAYS)
    make_client(openai_server).complete(REQUEST)
    assert openai_server.requests[0]["body"]["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "answer", "strict": True, "schema": SCHEMA},
    }


def test_the_wrong_dialect_is_refused_by_tgi_and_named_in_the_remedy(tgi: Lookalike, make_client):
    with pytest.raises(LlmRefused, match=r"(?s)422 response_format.*RECLENS_LLM__DIALECT"):
        make_client(tgi, dialect="openai").complete(REQUEST)


@pytest.mark.parametrize("status", [408, 424, 425, 429, 500, 502, 503, 504, 522, 529])
def test_faults_that_pass_are_waited_out(tgi: Lookalike, make_client, waiting, status: int):
    tgi.behave({"status": status}, {"status": status}, SAYS)
    assert make_client(tgi).complete(REQUEST).text == '{"a": 1}'
    assert waiting.waits == [0.5, 1.0]
    assert len(tgi.requests) == 3


@pytest.mark.parametrize(
    "fault",
    [
        {"cut": True},
        {**SAYS, "cut_body": True},
        {"slow": 1.0, **SAYS},
        {"body": ""},
        {"body": '{"error": {"message": "busy", "code": 429}}'},
        {"body": '{"error": "Model is overloaded", "error_type": "overloaded"}'},
        {"body": 'data: {"choices": [{"delta": {"content": "{"}}]}\n\n'},
    ],
    ids=["cut", "cut body", "slow", "empty", "code", "kind", "cut stream"],
)
def test_broken_transport_is_tried_again(tgi: Lookalike, make_client, waiting, fault: dict):
    tgi.behave(fault, SAYS)
    client = make_client(tgi, timeout_seconds=0.5)
    assert client.complete(REQUEST).text == '{"a": 1}'
    assert waiting.waits == [0.5]


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        ({"body": "<html>Welcome to nginx</html>"}, "200 with text that is no JSON: <html>Welcome"),
        ({"body": "Ollama is running"}, "200 with text that is no JSON: Ollama is running"),
        ({"body": '{"generated_text": "a"}'}, "no chat completion with 'generated_text'"),
        ({"body": '[{"generated_text": "a"}]'}, "200 with JSON that is no chat completion"),
        ({"body": '{"model": "m", "message": {"content": "a"}, "done": true}'}, "'done'"),
        ({"body": '{"choices": [{"text": "a"}]}'}, "a completion of text, not of a chat"),
        ({"body": "{}"}, "200 with JSON that is no chat completion"),
        ({"body": "[]"}, "200 with JSON that is no chat completion"),
        ({"body": '{"detail": "Not Found"}', "status": 404}, "404 Not Found."),
        ({"body": '{"error": "model \\"m\\" not found"}', "status": 404}, '404 model "m" not'),
        ({"body": '{"detail": "Method Not Allowed"}', "status": 405}, "405 Method Not Allowed."),
        ({"body": "", "status": 501}, "answered 501."),
    ],
)
def test_another_api_is_named_at_the_first_call(
    tgi: Lookalike, make_client, waiting, behaviour: dict, words: str
):
    tgi.always(**behaviour)
    with pytest.raises(LlmRefused) as caught:
        make_client(tgi).complete(REQUEST)
    assert words in caught.value.message
    assert (caught.value.field, caught.value.of_this_request) == ("llm.endpoint", False)
    assert "RECLENS_LLM__ENDPOINT, which must speak /v1/chat/completions" in caught.value.remedy
    assert (len(tgi.requests), waiting.waits) == (1, [])


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        ({"body": '{"error": "5120 tokens", "error_type": "validation"}'}, "200 with 5120 tokens."),
        ({"body": '{"error": {"message": "too long"}}'}, "200 with too long."),
        ({"body": '{"object": "error", "message": "too long", "code": 40303}'}, "with too long."),
        ({"body": '{"choices": []}'}, "200 with a chat completion without choices."),
        ({"body": '{"choices": [{"message": null}]}'}, "a chat completion without a message."),
        ({"body": '{"choices": [{}], "usage": null}'}, "a chat completion without a message."),
        ({"body": '{"choices": [{"message": {"refusal": "I will not."}}]}'}, "with I will not."),
        (
            {"body": '{"error": {"code": "content_filter", "message": "no"}}', "status": 403},
            "403 no.",
        ),
    ],
)
def test_a_refusal_of_one_request_has_the_servers_words_whatever_the_status(
    tgi: Lookalike, make_client, waiting, behaviour: dict, words: str
):
    tgi.always(**behaviour)
    with pytest.raises(LlmRefused) as caught:
        make_client(tgi).complete(REQUEST)
    assert words in caught.value.message
    assert caught.value.of_this_request
    assert (len(tgi.requests), waiting.waits) == (1, [])


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda parts: st.lists(parts, max_size=3) | st.dictionaries(st.text(max_size=8), parts),
    max_leaves=6,
)
_FIELDS = ("choices", "message", "delta", "content", "error", "code", "error_type", "usage")


def _shaped(parts: st.SearchStrategy) -> st.SearchStrategy:
    return st.lists(parts, max_size=2) | st.dictionaries(
        st.sampled_from([*_FIELDS, "refusal", "finish_reason", "reasoning_content", "model"]), parts
    )


@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    body=st.recursive(_JSON | st.sampled_from(["length", 429]), _shaped, max_leaves=20),
    status=st.sampled_from([200, 200, 200, 201, 400, 403, 404, 418, 422, 451, 500, 503, 529]),
    form=st.sampled_from(["{}", "data: {}\n\ndata: [DONE]\n", "\n : {}"]),
)
def test_whatever_a_server_says_ends_as_an_answer_a_refusal_or_an_error_with_a_remedy(
    replying, body, status: int, form: str
):
    reply, client = replying
    reply[:] = [status, form.replace("{}", json.dumps(body)).encode()]
    try:
        ended = client.complete(REQUEST)
    except (LlmRefused, LlmUnavailable) as error:
        ended = error
    if isinstance(ended, Exception):
        assert all((ended.message, ended.field, ended.remedy))
    else:
        assert ended.text.encode() is not None


@pytest.fixture
def replying(make_client, tgi: Lookalike, monkeypatch: pytest.MonkeyPatch):
    """Status and body of all replies, to be set, and a client that is given them."""
    reply: list = []
    client = make_client(tgi, retries=1)
    transport = httpx2.MockTransport(lambda _: httpx2.Response(reply[0], content=reply[1]))
    monkeypatch.setattr(client, "_http", httpx2.Client(transport=transport))
    return reply, client


def test_half_a_character_in_an_answer_can_still_be_written(tgi: Lookalike, make_client):
    tgi.behave({"text": "half \ud800 of one"})
    assert make_client(tgi).complete(REQUEST).text == "half ? of one"


def test_after_the_last_attempt_the_answer_and_a_remedy_are_named(
    tgi: Lookalike, make_client, waiting
):
    tgi.always(status=429, error="Model is overloaded\x1b[31m")
    with pytest.raises(LlmUnavailable) as caught:
        make_client(tgi, retries=3).complete(REQUEST)
    assert caught.value.sentence == (
        f"llm.endpoint: the language model at {tgi.url} answered 4 times, lastly with "
        "429 Model is overloaded[31m. Remedy: check that it runs, and RECLENS_LLM__ENDPOINT."
    )
    assert (caught.value.retryable, caught.value.reason) == (True, "LLM_UNAVAILABLE")
    assert len(tgi.requests) == 4
    assert waiting.waits == [0.5, 1.0, 2.0]


def test_jitter_lengthens_each_wait(tgi: Lookalike, make_client, waiting):
    tgi.behave({"status": 503}, {"status": 503}, {"status": 503}, SAYS)
    drawn = iter([0.0, 0.5, 0.25])
    make_client(tgi, client={"jitter": lambda: next(drawn)}).complete(REQUEST)
    assert waiting.waits == [0.5, 1.5, 2.5]


def test_retry_after_is_honoured_in_seconds_and_as_a_date(tgi: Lookalike, make_client, waiting):
    tgi.behave(
        {"status": 429, "headers": {"Retry-After": "7"}},
        {"status": 503, "headers": {"Retry-After": "Tue, 24 Nov 2026 12:01:10 GMT"}},
        {"status": 429, "headers": {"Retry-After": "whenever"}},
        SAYS,
    )
    client = make_client(tgi, client={"now": lambda: NOW, "jitter": lambda: 0.25})
    client.complete(REQUEST)
    assert waiting.waits == [7.25, 70.25, 2.5]


def test_a_wait_that_is_too_long_is_left_to_the_job(tgi: Lookalike, make_client, waiting):
    tgi.behave({"status": 429, "headers": {"Retry-After": "3600"}})
    with pytest.raises(LlmUnavailable, match="429 Model is overloaded, and asks to wait 3600 s"):
        make_client(tgi).complete(REQUEST)
    assert waiting.waits == []
    assert len(tgi.requests) == 1


@pytest.mark.parametrize(
    ("status", "remedy"),
    [
        (400, "RECLENS_LLM__DIALECT"),
        (401, "RECLENS_LLM__TOKEN"),
        (403, "RECLENS_LLM__TOKEN"),
        (404, "RECLENS_LLM__ENDPOINT"),
        (413, "llm.n_examples"),
        (422, "llm.n_examples"),
        (307, "RECLENS_LLM__ENDPOINT"),
    ],
)
def test_a_refusal_is_not_tried_again(
    tgi: Lookalike, make_client, waiting, status: int, remedy: str
):
    elsewhere = {"Location": f"{tgi.url}/elsewhere"}
    tgi.behave({"status": status, "error": "no", "headers": elsewhere})
    with pytest.raises(LlmRefused) as caught:
        make_client(tgi).complete(REQUEST)
    assert f"{tgi.url} answered {status} no." in caught.value.message
    assert remedy in caught.value.remedy
    assert not caught.value.retryable
    assert len(tgi.requests) == 1
    assert waiting.waits == []


def test_nobody_listening_is_unavailable(waiting):
    (port,) = free_ports(1)
    settings = LlmSettings(endpoint=f"http://127.0.0.1:{port}", retries=1)
    with pytest.raises(LlmUnavailable, match=r"2 times, lastly with no complete response \(Conn"):
        HttpLlmClient(settings, stop=waiting).complete(REQUEST)


def test_a_stopping_worker_does_not_sit_a_wait_out(tgi: Lookalike, make_client):
    """The wait asked for is 100 s: the test ends because the wait is interrupted."""
    tgi.always(status=429, headers={"Retry-After": "100"})
    stop = threading.Event()
    client = make_client(tgi, client={"stop": stop})
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(client.complete, REQUEST)
        while not tgi.requests:
            pass
        stop.set()
        error = future.exception(timeout=30)
    assert isinstance(error, LlmInterrupted)
    assert (error.retryable, error.reason) == (True, "LLM_INTERRUPTED")
    assert len(tgi.requests) == 1


def test_a_stopping_worker_sends_nothing_more(tgi: Lookalike, make_client):
    stop = threading.Event()
    stop.set()
    with pytest.raises(LlmInterrupted):
        make_client(tgi, client={"stop": stop}).complete(REQUEST)
    assert tgi.requests == []


def test_a_stopping_worker_does_not_wait_for_a_place(tgi: Lookalike, make_client):
    tgi.behave({"hold_until": 2, **SAYS}, SAYS)
    stop = threading.Event()
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(make_client(tgi, concurrency=1).complete, REQUEST)
        while not tgi.requests:
            pass
        second = pool.submit(
            make_client(tgi, concurrency=1, client={"stop": stop}).complete, REQUEST
        )
        stop.set()
        assert isinstance(second.exception(timeout=30), LlmInterrupted)
        make_client(tgi, concurrency=2).complete(REQUEST)  # company for the held one
        assert first.result(timeout=30).text == '{"a": 1}'


@pytest.mark.parametrize("concurrency", [1, 3, 6])
def test_no_more_requests_are_in_flight_than_allowed(tgi: Lookalike, make_client, concurrency: int):
    """Held until so many are in flight, then long enough for any other to come too."""
    tgi.always(hold_until=concurrency, slow=0.15, **SAYS)
    clients = [make_client(tgi, concurrency=concurrency) for _ in range(2)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda n: clients[n % 2].complete(REQUEST), range(6)))
    assert len(tgi.requests) == 6
    assert tgi.peak == concurrency


def test_a_place_is_given_back_after_a_failure(tgi: Lookalike, make_client):
    client = make_client(tgi, concurrency=1, retries=0)
    tgi.behave({"status": 503}, {"status": 401}, SAYS)
    for error in (LlmUnavailable, LlmRefused):
        with pytest.raises(error):
            client.complete(REQUEST)
    assert client.complete(REQUEST).text == '{"a": 1}'


def test_the_token_is_sent_where_there_is_one(tgi: Lookalike, make_client):
    tgi.behave(SAYS)
    make_client(tgi, token=SecretStr("s3cret")).complete(REQUEST)
    assert tgi.requests[0]["headers"]["authorization"] == "Bearer s3cret"


def test_nobodys_hugging_face_token_is_sent_elsewhere(
    tgi: Lookalike, make_client, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HF_TOKEN", "hf_of_somebody")
    tgi.behave(SAYS)
    make_client(tgi).complete(REQUEST)
    headers = tgi.requests[0]["headers"]
    assert "authorization" not in headers
    assert headers["user-agent"].startswith("reclens/")
    assert "hf_of_somebody" not in str(tgi.requests)


def test_secrets_are_in_no_error(tgi: Lookalike, make_client):
    tgi.behave({"status": 401, "error": "bad token"})
    with pytest.raises(LlmRefused) as caught:
        make_client(tgi, token=SecretStr("s3cret")).complete(REQUEST)
    assert "s3cret" not in str(caught.value)


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RECLENS_LLM__ENDPOINT", "https://llm.example:8443/v1/")
    monkeypatch.setenv("RECLENS_LLM__DIALECT", "openai")
    monkeypatch.setenv("RECLENS_LLM__TOKEN", "s3cret")
    monkeypatch.setenv("RECLENS_LLM__PROMPT_PRICE", "0.15")
    llm = WorkerSettings().llm
    assert (llm.endpoint, llm.dialect) == ("https://llm.example:8443/v1", "openai")
    assert llm.token is not None
    assert llm.token.get_secret_value() == "s3cret"
    assert llm.prompt_price == 0.15
    assert "s3cret" not in repr(llm)


@pytest.mark.parametrize(
    ("endpoint", "problem"),
    [
        ("ftp://a", "match pattern"),
        ("http://", r"http\(s\)://host:port"),
        ("http://a:99999", "Port out of range"),
        ("http://user:secret@a", "RECLENS_LLM__TOKEN"),
        ("http://a/?key=1", r"http\(s\)://host:port"),
    ],
)
def test_an_address_that_is_none_is_refused(endpoint: str, problem: str):
    with pytest.raises(ValidationError, match=problem):
        LlmSettings(endpoint=endpoint)
