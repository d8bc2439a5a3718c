"""Dialects of language model servers: how a chat request is written and how its answer is read.

Servers agree on most of ``/v1/chat/completions`` and differ in how they are told the JSON schema
that the answer must follow. One that does not know the form it is given may ignore it silently, so
a dialect is chosen, not guessed. Packages add others by the entry points ``reclens.llm_dialects``.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from reclens.concepts.evidence.item_text import clean
from reclens.concepts.llm.chat import ChatAnswer, ChatRequest
from reclens.extensions import ExtensionPoint, subclass_of

_MAX_MODEL_NAME = 300


class ChatDialect(ABC):
    """What one family of servers is sent, and what it answers with.

    A server that differs in the form of the schema alone needs `response_format` and nothing else.
    A dialect has no state: one object serves all threads.
    """

    path: ClassVar[str] = "/v1/chat/completions"
    """Path below the server's address that requests are posted to."""

    @abstractmethod
    def response_format(self, schema: dict[str, Any]) -> dict[str, Any]:
        """The field ``response_format`` that holds the answer to a JSON schema."""

    def body(self, request: ChatRequest) -> dict[str, Any]:
        """The JSON body of a request."""
        return {
            "model": request.model,
            "messages": [
                {"role": message.role, "content": message.content} for message in request.messages
            ],
            "response_format": self.response_format(request.schema),
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
            "seed": request.seed,
            "stream": False,
        }

    def answer(self, content: bytes, seconds: float) -> ChatAnswer:
        """What the model said, from the body of a response of status 200.

        Args:
            content: the body.
            seconds: that the server took; goes into the answer.

        Raises:
            ValueError: the body is no answer; the request is then sent again.
        """
        said = _Completion.model_validate(json.loads(content))
        choice = said.choices[0]
        return ChatAnswer(
            # Half a surrogate pair, which JSON can name, could not be kept.
            text=(choice.message.content or "").encode("utf-8", "replace").decode(),
            prompt_tokens=said.usage.prompt_tokens,
            completion_tokens=said.usage.completion_tokens,
            model=clean(said.model, _MAX_MODEL_NAME),
            seconds=seconds,
            finish_reason=choice.finish_reason or "",
        )


class TgiDialect(ChatDialect):
    """Hugging Face Text Generation Inference, in the form that its published API names."""

    def response_format(self, schema: dict[str, Any]) -> dict[str, Any]:
        return {"type": "json", "value": schema}


class OpenAiDialect(ChatDialect):
    """OpenAI's structured outputs, which vLLM, SGLang and llama.cpp's server understand too."""

    def response_format(self, schema: dict[str, Any]) -> dict[str, Any]:
        return {
            "type": "json_schema",
            "json_schema": {"name": "answer", "strict": True, "schema": schema},
        }


DIALECTS: ExtensionPoint[type[ChatDialect]] = ExtensionPoint(
    "reclens.llm_dialects",
    noun="dialect of language model servers",
    field="llm.dialect",
    page="docs/how-to/extend/llm-dialect.md",
    flaw=subclass_of(ChatDialect, "reclens.platform.llm.dialects.ChatDialect"),
)
"""Each a subclass of `ChatDialect`, named as the setting ``RECLENS_LLM__DIALECT`` names it."""


class _Lenient(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)


class _Message(_Lenient):
    content: str | None = None


class _Choice(_Lenient):
    message: _Message
    finish_reason: str | None = None


class _Tokens(_Lenient):
    prompt_tokens: int = Field(ge=0)
    completion_tokens: int = Field(ge=0)


class _Completion(_Lenient):
    """What is read of an answer in OpenAI's form."""

    choices: list[_Choice] = Field(min_length=1)
    usage: _Tokens
    model: str
