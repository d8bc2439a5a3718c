"""What passes between a question and a language model, and where answers are kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol


@dataclass(frozen=True)
class ChatMessage:
    """One turn."""

    role: Literal["system", "user", "assistant"]
    """Who speaks."""
    content: str
    """What is said."""


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
    """Seed of sampling."""


@dataclass(frozen=True)
class ChatAnswer:
    """What a language model said, not yet validated, and what that took."""

    text: str
    """Content of its message."""
    prompt_tokens: int
    """Tokens read."""
    completion_tokens: int
    """Tokens written."""
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
