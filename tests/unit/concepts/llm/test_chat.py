"""One question, at most one repair, then an abstention: against a server, over HTTP."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from running_lookalike import Lookalike

from reclens.concepts.llm.chat import ChatAnswer, ask_judge, ask_label
from reclens.concepts.llm.questions import JudgeQuestion, LabelQuestion, evidence_hash
from reclens.contracts import LlmOptions
from reclens.errors import LlmRefused, LlmUnavailable

OPTIONS = LlmOptions(model="some/model", temperature=0.25, max_tokens=77)


class Kept:
    """Answers in memory."""

    def __init__(self) -> None:
        self.answers: dict[tuple[str, str], ChatAnswer] = {}

    def get(self, prompt: str, key: str) -> ChatAnswer | None:
        return self.answers.get((prompt, key))

    def put(self, prompt: str, key: str, answer: ChatAnswer) -> None:
        self.answers[prompt, key] = answer


def words(request: dict) -> int:
    """Tokens, as the look-alike counts them."""
    return sum(len(message["content"].split()) for message in request["body"]["messages"])


def test_a_label_is_asked_for_once(tgi: Lookalike, make_client, noir: LabelQuestion):
    outcome = ask_label(make_client(tgi), noir, OPTIONS)
    assert (outcome.answer.name, outcome.answer.keywords) == ("Film-Noir", ["Film-Noir"])
    assert outcome.evidence_hash == evidence_hash(noir, OPTIONS)
    (request,) = tgi.requests
    body = request["body"]
    assert [message["role"] for message in body["messages"]] == ["system", "user"]
    assert (body["model"], body["temperature"], body["max_tokens"]) == ("some/model", 0.25, 77)
    usage = outcome.usage
    assert (usage.questions, usage.calls, usage.prompt_tokens) == (1, 1, words(request))
    assert (usage.repaired, usage.abstained, usage.cached, usage.invalid) == (0, 0, 0, 0)
    assert usage.completion_tokens > 0
    assert usage.seconds > 0


def test_grades_follow_the_cases(tgi: Lookalike, make_client, noir_cases: JudgeQuestion):
    outcome = ask_judge(make_client(tgi), noir_cases, OPTIONS)
    assert outcome.answer == (1, 9, 9, 1)
    assert (outcome.reason, outcome.usage.abstained) == ("", 0)


def test_a_model_may_abstain(tgi: Lookalike, make_client, noir: LabelQuestion):
    mute = LabelQuestion((), noir.evidence)
    outcome = ask_label(make_client(tgi), mute, OPTIONS)
    assert (outcome.answer.abstain, outcome.answer.reason) == (True, "no keyword was offered")
    assert (outcome.usage.calls, outcome.usage.abstained, outcome.usage.invalid) == (1, 1, 0)


def test_an_invalid_answer_is_repaired_once(tgi: Lookalike, make_client, noir: LabelQuestion):
    tgi.behave({"text": '{"label": "Good films"}'})
    outcome = ask_label(make_client(tgi), noir, OPTIONS)
    assert outcome.answer.name == "Film-Noir"
    first, second = tgi.requests
    assert second["body"]["messages"][:2] == first["body"]["messages"]
    wrong, repair = second["body"]["messages"][2:]
    assert (wrong["role"], wrong["content"]) == ("assistant", '{"label": "Good films"}')
    assert repair["role"] == "user"
    assert "reason: Field required" in repair["content"]
    assert "label: Extra inputs are not permitted" in repair["content"]
    usage = outcome.usage
    assert (usage.questions, usage.calls, usage.repaired, usage.abstained) == (1, 2, 1, 0)
    assert usage.prompt_tokens == words(first) + words(second)


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        ({"broken_json": True}, "invalid answer: there is no complete JSON object in it."),
        ({"text": ""}, "invalid answer: there is no complete JSON object in it."),
        (
            {"broken_json": True, "finish_reason": "length"},
            "invalid answer: it was cut off after 20 tokens, so be brief.",
        ),
    ],
)
def test_an_answer_that_is_invalid_twice_is_an_abstention(
    tgi: Lookalike, make_client, noir: LabelQuestion, behaviour: dict, reason: str
):
    tgi.behave(behaviour, behaviour)
    outcome = ask_label(make_client(tgi), noir, OPTIONS)
    assert (outcome.answer.abstain, outcome.answer.name) == (True, "")
    assert outcome.answer.reason == reason
    usage = outcome.usage
    assert (usage.calls, usage.repaired, usage.abstained, usage.invalid) == (2, 0, 1, 1)


def test_grades_that_are_invalid_twice_are_none(
    tgi: Lookalike, make_client, noir_cases: JudgeQuestion
):
    tgi.always(text='{"grades": [1, 2]}')
    outcome = ask_judge(make_client(tgi), noir_cases, OPTIONS)
    assert outcome.answer is None
    assert outcome.reason == '"grades" has 2 numbers, 4 are needed.'
    assert (outcome.usage.abstained, outcome.usage.invalid, outcome.usage.calls) == (1, 1, 2)


def test_prose_and_fences_around_the_answer_are_no_error(
    tgi: Lookalike, make_client, noir: LabelQuestion
):
    tgi.behave({"wrapped": True})
    outcome = ask_label(make_client(tgi), noir, OPTIONS)
    assert (outcome.answer.name, outcome.usage.calls) == ("Film-Noir", 1)


def test_a_huge_invalid_answer_is_repeated_in_part(
    tgi: Lookalike, make_client, noir: LabelQuestion
):
    tgi.behave({"text": "blah\n<|im_end|>" * 50_000})
    ask_label(make_client(tgi), noir, OPTIONS)
    wrong = tgi.requests[1]["body"]["messages"][2]["content"]
    assert "\n" not in wrong
    # No control token of a chat template goes back to the model as itself.
    assert "<" not in wrong
    assert len(wrong.replace("\\u003c", "<").replace("\\u003e", ">")) == 1000


def test_a_kept_answer_costs_no_request(tgi: Lookalike, make_client, noir: LabelQuestion):
    kept = Kept()
    first = ask_label(make_client(tgi), noir, OPTIONS, cache=kept)
    again = ask_label(make_client(tgi), noir, OPTIONS, cache=kept)
    assert len(tgi.requests) == 1
    assert (again.answer, again.evidence_hash) == (first.answer, first.evidence_hash)
    usage = again.usage
    assert (usage.questions, usage.calls, usage.prompt_tokens, usage.cached) == (1, 0, 0, 1)
    assert usage.cached_prompt_tokens == first.usage.prompt_tokens
    assert usage.cached_completion_tokens == first.usage.completion_tokens


def test_a_repaired_answer_is_kept_with_what_both_calls_took(
    tgi: Lookalike, make_client, noir_cases: JudgeQuestion
):
    kept = Kept()
    tgi.behave({"broken_json": True})
    first = ask_judge(make_client(tgi), noir_cases, OPTIONS, cache=kept)
    again = ask_judge(make_client(tgi), noir_cases, OPTIONS, cache=kept)
    assert len(tgi.requests) == 2
    assert again.answer == first.answer == (1, 9, 9, 1)
    assert again.usage.cached_prompt_tokens == first.usage.prompt_tokens


def test_a_models_own_abstention_is_kept(tgi: Lookalike, make_client, noir: LabelQuestion):
    kept = Kept()
    mute = LabelQuestion((), noir.evidence)
    for _ in range(2):
        outcome = ask_label(make_client(tgi), mute, OPTIONS, cache=kept)
        assert (outcome.answer.abstain, outcome.usage.abstained) == (True, 1)
    assert len(tgi.requests) == 1


def test_what_was_invalid_twice_is_asked_again_as_the_server_may_be_mended(
    tgi: Lookalike, make_client, noir: LabelQuestion
):
    kept = Kept()
    tgi.behave({"broken_json": True}, {"broken_json": True})
    first = ask_label(make_client(tgi), noir, OPTIONS, cache=kept)
    assert (first.usage.calls, first.usage.invalid) == (2, 1)
    assert kept.answers == {}
    again = ask_label(make_client(tgi), noir, OPTIONS, cache=kept)
    assert (again.answer.name, again.usage.calls, again.usage.invalid) == ("Film-Noir", 1, 0)


def test_an_invalid_answer_that_an_earlier_version_kept_is_asked_for_again(
    tgi: Lookalike, make_client, noir: LabelQuestion
):
    kept = Kept()
    ask_label(make_client(tgi), noir, OPTIONS, cache=kept)
    (key,) = kept.answers
    kept.answers[key] = replace(kept.answers[key], text="no JSON")
    again = ask_label(make_client(tgi), noir, OPTIONS, cache=kept)
    assert (again.answer.name, again.usage.calls, again.usage.cached) == ("Film-Noir", 1, 0)


@pytest.mark.parametrize(
    "message",
    [
        {"content": None, "reasoning_content": "Let me look at the items. The first"},
        {"content": "<think>Let me look at {this}"},
        {"content": "<think>What is it?</think>\n"},
        {"content": None},
    ],
    ids=["apart", "tags", "closed", "hidden"],
)
def test_thinking_that_used_up_max_tokens_is_told_and_not_asked_again(
    tgi: Lookalike, make_client, noir: LabelQuestion, message: dict
):
    choice = {"index": 0, "message": message, "finish_reason": "length"}
    tgi.always(body=json.dumps({"model": "m", "choices": [choice]}))
    outcome = ask_label(make_client(tgi), noir, OPTIONS)
    assert "thinking used up max_tokens" in outcome.answer.reason
    assert (outcome.usage.calls, outcome.usage.invalid, len(tgi.requests)) == (1, 1, 1)


def test_a_content_filter_abstains_of_one_latent(tgi: Lookalike, make_client, noir: LabelQuestion):
    choice = {"index": 0, "message": {"content": ""}, "finish_reason": "content_filter"}
    tgi.behave({"body": json.dumps({"model": "m", "choices": [choice]})})
    outcome = ask_label(make_client(tgi), noir, OPTIONS)
    assert (outcome.usage.refused, outcome.usage.abstained) == (1, 1)
    assert "content filter" in outcome.answer.reason
    assert ask_label(make_client(tgi), noir, OPTIONS).answer.name == "Film-Noir"


def test_a_question_that_the_server_refuses_is_an_abstention(
    tgi: Lookalike, make_client, noir: LabelQuestion
):
    kept = Kept()
    tgi.behave({"status": 413, "error": "prompt too long"})
    outcome = ask_label(make_client(tgi), noir, OPTIONS, cache=kept)
    assert outcome.answer.abstain
    assert "prompt too long" in outcome.answer.reason
    assert (outcome.usage.questions, outcome.usage.calls, outcome.usage.refused) == (1, 0, 1)
    # Not kept: another server may take it.
    assert kept.answers == {}


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_server_that_refuses_everybody_is_an_error(
    tgi: Lookalike, make_client, noir: LabelQuestion, status: int
):
    tgi.always(status=status)
    with pytest.raises(LlmRefused):
        ask_label(make_client(tgi), noir, OPTIONS)


def test_the_same_question_is_the_same_prompt(tgi: Lookalike, make_client, noir: LabelQuestion):
    for _ in range(2):
        ask_label(make_client(tgi), noir, OPTIONS)
    one, two = tgi.requests
    assert one["body"] == two["body"]


def test_a_server_that_is_gone_is_told_to_the_caller(
    tgi: Lookalike, make_client, noir: LabelQuestion
):
    tgi.always(status=503)
    with pytest.raises(LlmUnavailable):
        ask_label(make_client(tgi, retries=1), noir, OPTIONS)
    assert len(tgi.requests) == 2
