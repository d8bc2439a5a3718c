"""A chat with a language model: messages, the client, and one question with at most one repair."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final, Generic, Literal, Protocol, TypeVar

from reclens.concepts.evidence.item_text import clean
from reclens.concepts.labels.llm_usage import Usage
from reclens.concepts.llm.answers import (
    InvalidAnswer,
    LabelAnswer,
    abstention,
    read_grades,
    read_label,
)
from reclens.concepts.llm.questions import (
    JudgeQuestion,
    LabelQuestion,
    Question,
    escaped,
    evidence_hash,
    load_prompt,
)
from reclens.contracts import LlmOptions
from reclens.errors import LlmRefused


@dataclass(frozen=True)
class ChatMessage:
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    """Whose turn it is."""
    content: str
    """Text of the turn."""


@dataclass(frozen=True)
class ChatRequest:
    """One request to a language model."""

    model: str
    """Model, as its server names it."""
    messages: tuple[ChatMessage, ...]
    """Conversation so far; the last turn is the user's."""
    schema: dict[str, Any]
    """JSON schema that the server is asked to hold the answer to."""
    max_tokens: int
    """Length of the answer at most."""
    temperature: float
    """Of sampling; 0 takes the likeliest token."""
    seed: int = 0
    """Seed of the sampling, where the server knows one."""


@dataclass(frozen=True)
class ChatAnswer:
    """What a language model said, not yet validated, and what that took."""

    text: str
    """Text of the model's message."""
    prompt_tokens: int
    """Tokens that the model read."""
    completion_tokens: int
    """Tokens that the model wrote."""
    model: str
    """Model, as the server calls it."""
    seconds: float
    """From sending the request to having the answer, waiting for a place excluded."""
    finish_reason: str = "stop"
    """Why it ended; ``length``: it was cut off at ``max_tokens``."""


class LlmClient(Protocol):
    """A language model that can be reached."""

    def complete(self, request: ChatRequest) -> ChatAnswer:
        """Answer one request; safe to call from several threads.

        Raises:
            LlmUnavailable: no answer, though asked repeatedly.
            LlmRefused: the server says no and would again.
        """
        ...


class AnswerCache(Protocol):
    """Valid answers of earlier runs."""

    def get(self, prompt: str, key: str) -> ChatAnswer | None:
        """The answer to the question of that hash, under that version of the prompt."""
        ...

    def put(self, prompt: str, key: str, answer: ChatAnswer) -> None:
        """Keep a valid answer; it is durable when this returns."""
        ...


REPAIR_PROMPT: Final = "repair-1"
"""Version of the prompt that asks for a valid answer in place of an invalid one."""

OUT_OF_TOKENS: Final = "thinking used up max_tokens, and there is no answer after it."
"""What makes an answer invalid that ends where the model still thinks: to ask again is in vain."""

_MAX_REPEATED = 1000  # characters of an invalid answer that the model is shown again

T = TypeVar("T")


@dataclass(frozen=True)
class Outcome(Generic[T]):
    """What came of one question."""

    answer: T
    """What the model said; for grades None where it was invalid twice, or refused."""
    reason: str
    """What made the answer invalid; empty where it is valid."""
    evidence_hash: str
    """Hash of the question, as kept beside the label."""
    usage: Usage
    """What the question took."""


def ask_label(
    client: LlmClient,
    question: LabelQuestion,
    options: LlmOptions,
    *,
    cache: AnswerCache | None = None,
) -> Outcome[LabelAnswer]:
    """Let a language model name a latent. Where the answer abstains, its ``reason`` says why: the
    model's words, or what made it invalid.

    Args:
        client: the model.
        question: evidence; more than the options ask for is not shown.
        options: how to ask.
        cache: answers of earlier runs. A new one is kept before this returns.

    Raises:
        InvalidInput: the question has no evidence.
        LlmUnavailable, LlmRefused: from the client.
    """
    asked = _ask(client, question, options, cache, lambda text: read_label(text, question))
    answer = asked.answer or abstention(f"invalid answer: {asked.reason}")
    usage = replace(asked.usage, abstained=int(answer.abstain))
    return Outcome(answer, asked.reason, asked.evidence_hash, usage)


def ask_judge(
    client: LlmClient,
    question: JudgeQuestion,
    options: LlmOptions,
    *,
    cache: AnswerCache | None = None,
) -> Outcome[tuple[int, ...] | None]:
    """Let a language model grade how well a label fits each case, 0 to 10, in their order.

    Raises:
        InvalidInput: the question has no case, or too many.
        LlmUnavailable, LlmRefused: from the client.
    """
    asked = _ask(
        client, question, options, cache, lambda text: tuple(read_grades(text, question).grades)
    )
    return replace(asked, usage=replace(asked.usage, abstained=int(asked.answer is None)))


def _ask(
    client: LlmClient,
    question: Question,
    options: LlmOptions,
    cache: AnswerCache | None,
    read: Callable[[str], T],
) -> Outcome[T | None]:
    key = evidence_hash(question, options)
    kept = cache.get(question.prompt, key) if cache is not None else None
    if kept is not None:
        usage = Usage(
            questions=1,
            cached=1,
            cached_prompt_tokens=kept.prompt_tokens,
            cached_completion_tokens=kept.completion_tokens,
        )
        outcome = _outcome(kept, key, usage, read)
        if not outcome.reason:
            return outcome

    request = _request(question, options)
    try:
        answer = client.complete(request)
        usage = _usage_of_call(answer, questions=1)
        outcome = _outcome(answer, key, usage, read)
        if outcome.reason and outcome.reason != OUT_OF_TOKENS:
            answer = client.complete(_repair(request, answer.text, outcome.reason))
            usage += _usage_of_call(answer)
            outcome = _outcome(answer, key, usage, read, repaired=1)
    except LlmRefused as error:
        if not error.of_this_request:
            raise
        # Too long, most likely. Others may pass, and asked again it would be refused again.
        return Outcome(None, error.message, key, Usage(questions=1, refused=1))
    # One that is invalid is not kept: a server that is set right is to be heard.
    if cache is not None and not outcome.reason:
        # With what all calls for it took: that is what the cache saves.
        paid = replace(
            answer,
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            seconds=usage.seconds,
        )
        cache.put(question.prompt, key, paid)
    return outcome


def _outcome(
    answer: ChatAnswer, key: str, usage: Usage, read: Callable[[str], T], *, repaired: int = 0
) -> Outcome[T | None]:
    """What comes of an answer if it is the last one: where it is invalid, it would be again."""
    try:
        return Outcome(read(answer.text), "", key, replace(usage, repaired=repaired))
    except InvalidAnswer as error:
        problem = str(error)
        if answer.finish_reason == "length" and _is_thinking(answer.text):
            problem = OUT_OF_TOKENS
        elif answer.finish_reason == "length":
            problem = f"it was cut off after {answer.completion_tokens} tokens, so be brief."
        return Outcome(None, problem, key, replace(usage, invalid=1))


def _is_thinking(text: str) -> bool:
    """Whether a text that was cut has come to no answer: there is nothing, or nothing after what
    a model thinks."""
    _, thinks, thought = text.rpartition("<think>")
    return not text.strip() or (bool(thinks) and not thought.partition("</think>")[2].strip())


def _request(question: Question, options: LlmOptions) -> ChatRequest:
    prompt = load_prompt(question.prompt)
    return ChatRequest(
        model=options.model,
        messages=(
            ChatMessage("system", prompt.system),
            ChatMessage("user", prompt.ask(**question.places(options))),
        ),
        schema=question.schema(),
        max_tokens=options.max_tokens,
        temperature=options.temperature,
    )


def _repair(request: ChatRequest, said: str, problem: str) -> ChatRequest:
    # The model may have copied what strangers wrote.
    repeated = escaped(clean(said, _MAX_REPEATED)) or "(nothing)"
    turns = (
        ChatMessage("assistant", repeated),
        ChatMessage("user", load_prompt(REPAIR_PROMPT).ask(problem=escaped(problem))),
    )
    return replace(request, messages=(*request.messages, *turns))


def _usage_of_call(answer: ChatAnswer, *, questions: int = 0) -> Usage:
    return Usage(
        questions=questions,
        calls=1,
        prompt_tokens=answer.prompt_tokens,
        completion_tokens=answer.completion_tokens,
        seconds=answer.seconds,
    )
