"""The client and both questions against a real server and a real model, for transport only."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from huggingface_hub import InferenceClient

from reclens.concepts.llm.chat import ChatAnswer, ChatMessage, ChatRequest, ask_judge, ask_label
from reclens.concepts.llm.questions import EvidenceItem, JudgeQuestion, LabelQuestion
from reclens.contracts import LlmOptions
from reclens.errors import LlmRefused
from reclens.platform.llm.client import HttpLlmClient
from reclens.platform.settings.models import LlmSettings

SEVEN = {
    "type": "object",
    "properties": {"n": {"type": "integer", "enum": [7]}},
    "required": ["n"],
    "additionalProperties": False,
}
"""Nothing but 7 fits, so that a model that is held to it says 7 whatever it is asked."""
HELLO = ChatRequest(
    model="default",
    messages=(ChatMessage("user", "Say hello."),),
    schema=SEVEN,
    max_tokens=60,
    temperature=0.0,
)
NOIR = LabelQuestion(
    keywords=("Film-Noir", "1940s"),
    evidence=(
        EvidenceItem("Big Sleep, The", ("Film-Noir", "Mystery"), 1946),
        EvidenceItem("Laura", ("Film-Noir",), 1944),
    ),
    counter_examples=(EvidenceItem("Toy Story", ("Animation",), 1995),),
)
OPTIONS = LlmOptions(max_tokens=80)


class Listening:
    """A client that notes the answers which pass through it."""

    def __init__(self, client: HttpLlmClient) -> None:
        self.client = client
        self.answers: list[ChatAnswer] = []

    def complete(self, request: ChatRequest) -> ChatAnswer:
        self.answers.append(self.client.complete(request))
        return self.answers[-1]


def test_the_model_is_held_to_the_schema(llama: HttpLlmClient):
    answer = llama.complete(HELLO)
    assert json.loads(answer.text) == {"n": 7}
    assert answer.finish_reason == "stop"
    assert answer.prompt_tokens > 0
    assert 0 < answer.completion_tokens <= 60


def test_the_form_that_hugging_faces_client_sends_is_ignored_silently(llama_url: str):
    asked: Any = {"type": "json_schema", "json_schema": {"name": "answer", "schema": SEVEN}}
    output = InferenceClient(base_url=llama_url, token="none").chat_completion(
        [{"role": "user", "content": "Say hello."}],
        response_format=asked,
        max_tokens=60,
        temperature=0,
    )
    content = output.choices[0].message.content or ""
    assert '"n"' not in content


def test_the_wrong_dialect_is_refused_aloud(llama_url: str):
    client = HttpLlmClient(LlmSettings(endpoint=llama_url, dialect="tgi"))
    with pytest.raises(LlmRefused, match=r"(?s)400 response_format.*RECLENS_LLM__DIALECT"):
        client.complete(HELLO)


def test_an_answer_that_is_cut_off_says_so(llama: HttpLlmClient):
    schema = {"type": "object", "properties": {"a": {"type": "string", "minLength": 400}}}
    request = replace(HELLO, schema={**schema, "required": ["a"]}, max_tokens=16)
    answer = llama.complete(request)
    assert (answer.finish_reason, answer.completion_tokens) == ("length", 16)


def test_a_prompt_beyond_the_context_is_refused_with_a_remedy(llama: HttpLlmClient):
    request = replace(HELLO, messages=(ChatMessage("user", "hello " * 6000),))
    with pytest.raises(LlmRefused, match=r"llm\.n_examples"):
        llama.complete(request)


def test_grades_come_back_one_per_case(llama: HttpLlmClient):
    cases = tuple((f"film {number}; Drama",) for number in range(12))
    outcome = ask_judge(llama, JudgeQuestion("Film-Noir", "Dark crime films.", cases), OPTIONS)
    assert outcome.answer is not None
    assert len(outcome.answer) == 12
    assert all(0 <= grade <= 10 for grade in outcome.answer)
    assert outcome.usage.calls == 1


def test_a_label_is_valid_or_an_abstention_and_its_text_follows_the_schema(llama: HttpLlmClient):
    listening = Listening(llama)
    outcome = ask_label(listening, NOIR, OPTIONS)
    for answer in listening.answers:
        assert answer.text.lstrip()[0] == "{"
        assert answer.text.lstrip()[1:].lstrip().startswith('"reason"')
    assert outcome.usage.calls == len(listening.answers) <= 2
    assert outcome.answer.abstain or 1 <= len(outcome.answer.name.split()) <= 6
    spent = outcome.usage.metrics()
    assert spent["llm_prompt_tokens"] == sum(one.prompt_tokens for one in listening.answers)
    assert spent["llm_completion_tokens"] == sum(one.completion_tokens for one in listening.answers)


def test_several_threads_are_answered(llama: HttpLlmClient):
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(llama.complete, [HELLO] * 6))
    assert [json.loads(answer.text) for answer in answers] == [{"n": 7}] * 6


def test_a_client_that_comes_before_the_server_is_up_waits_for_it(starting_server: str):
    """Connections refused at first, then 503 while the model loads."""
    client = HttpLlmClient(LlmSettings(endpoint=starting_server, dialect="openai", retries=10))
    assert json.loads(client.complete(HELLO).text) == {"n": 7}
