"""The dialects that come with RecLens, and one of an outside package."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from outside_package import files_of_page, installed

from reclens.concepts.llm.chat import ChatAnswer
from reclens.errors import InvalidInput, NotFound
from reclens.platform.llm.client import HttpLlmClient
from reclens.platform.llm.dialects import DIALECTS, ChatDialect, ServerError
from reclens.platform.settings.models import LlmSettings
from reclens.testing.llm import REQUEST, SCHEMA, LlmDialectSuite

PAGE = files_of_page("llm-dialect.md")


class TestTgi(LlmDialectSuite):
    @pytest.fixture
    def name(self) -> str:
        return "tgi"


class TestOpenAi(LlmDialectSuite):
    @pytest.fixture
    def name(self) -> str:
        return "openai"


LABEL = '{"name": "Slow crime dramas"}'


def read(message: dict, **parts) -> ChatAnswer:
    """The answer in a body with that message, and no more than it must have."""
    body = {"choices": [{"message": message, **parts}]}
    return DIALECTS.load("openai")().answer(json.dumps(body).encode(), 0.5)


@pytest.mark.parametrize(
    "message",
    [
        {"content": LABEL},
        {"content": "", "reasoning_content": LABEL},
        {"content": None, "reasoning": LABEL},
        {"content": " \n", "reasoning_content": LABEL, "refusal": None},
        {"content": [{"type": "text", "text": LABEL[:9]}, {"type": "text", "text": LABEL[9:]}]},
        {"content": {"name": "Slow crime dramas"}},
    ],
)
def test_an_answer_is_found_where_servers_put_it(message: dict):
    answer = read(message, finish_reason="stop")
    assert (answer.text, answer.finish_reason) == (LABEL, "stop")


def test_a_draft_in_thinking_that_was_cut_is_no_answer():
    assert read({"content": None, "reasoning_content": LABEL}, finish_reason="length").text == ""


@pytest.mark.parametrize(
    "usage",
    [None, {}, {"prompt_tokens": None}, {"prompt_tokens": -1, "completion_tokens": "7"}, 3],
)
def test_tokens_that_are_not_told_count_as_none(usage):
    body = {"usage": usage, "choices": [{"message": {"content": LABEL}}]}
    answer = DIALECTS.load("tgi")().answer(json.dumps(body).encode(), 0.5)
    assert (answer.prompt_tokens, answer.completion_tokens, answer.model) == (0, 0, "")


def test_a_stream_of_events_that_nobody_asked_for_is_read():
    events = [
        {"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}], "model": "m"},
        {"choices": [{"index": 0, "delta": {"reasoning_content": "Films\u2028of"}}]},
        {"choices": [{"index": 0, "delta": {"content": LABEL[:9]}, "finish_reason": None}]},
        {"choices": [{"index": 0, "delta": {"content": LABEL[9:]}, "finish_reason": "stop"}]},
        {"choices": [], "usage": {"prompt_tokens": 500, "completion_tokens": 60}},
    ]
    lines = [f"data: {json.dumps(event, ensure_ascii=False)}\r\n\r\n" for event in events]
    body = ": comment\r\n\r\n" + "".join(lines) + "data: [DONE]\r\n\r\n"
    answer = DIALECTS.load("openai")().answer(body.encode(), 0.5)
    assert (answer.text, answer.model, answer.finish_reason) == (LABEL, "m", "stop")
    assert (answer.prompt_tokens, answer.completion_tokens) == (500, 60)


def test_an_error_within_a_stream_is_the_servers():
    body = b'data: {"choices": []}\n\ndata: {"error": {"message": "busy", "code": 503}}\n\n'
    with pytest.raises(ServerError, match="busy") as caught:
        DIALECTS.load("openai")().answer(body, 0.5)
    assert caught.value.status == 503


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"choices":' * 100_000])
def test_nesting_without_end_is_another_api(body: bytes):
    with pytest.raises(ServerError) as caught:
        DIALECTS.load("openai")().answer(body, 0.5)
    assert caught.value.status == 404


def test_those_that_come_with_reclens_are_declared_as_others_are():
    assert {"tgi", "openai"} <= set(DIALECTS.names())


def test_a_dialect_that_nobody_offers_is_named_with_those_there_are():
    with pytest.raises(NotFound, match=r"(?s)'klingon'.*openai, tgi"):
        HttpLlmClient(LlmSettings(dialect="klingon"))


def test_a_dialect_of_an_outside_package_passes_the_suite(
    tmp_path_factory: pytest.TempPathFactory,
):
    """The page's own test file, run by pytest where the package is installed."""
    with installed(PAGE, tmp_path_factory) as package:
        package.run_tests("test_guided.py")
        dialect = DIALECTS.load("guided")()
        assert isinstance(dialect, ChatDialect)
        assert dialect.body(REQUEST)["guided_json"] == SCHEMA
        assert "response_format" not in dialect.body(REQUEST)


def test_what_is_no_dialect_is_refused(tmp_path_factory: pytest.TempPathFactory):
    module = "guided_dialect/__init__.py"
    wrong = {**PAGE, module: "class GuidedDialect:\n    pass\n"}
    with (
        installed(wrong, tmp_path_factory),
        pytest.raises(InvalidInput, match=r"(?s)not a subclass of .*ChatDialect.*llm-dialect\.md"),
    ):
        DIALECTS.load("guided")


def test_a_dialect_without_a_form_for_the_schema_is_refused(
    tmp_path_factory: pytest.TempPathFactory,
):
    source = (
        "from reclens.platform.llm.dialects import ChatDialect\n"
        "class GuidedDialect(ChatDialect):\n    pass\n"
    )
    wrong = {**PAGE, "guided_dialect/__init__.py": source}
    with (
        installed(wrong, tmp_path_factory),
        pytest.raises(InvalidInput, match="lacks response_format"),
    ):
        DIALECTS.load("guided")


def test_the_page_is_where_the_error_says():
    assert (Path(__file__).parents[4] / "docs/how-to/extend/llm-dialect.md").is_file()
