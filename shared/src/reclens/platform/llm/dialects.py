"""Dialects of language model servers: how a chat request is written and how its answer is read.

Servers agree on most of ``/v1/chat/completions`` and differ in how they are told the JSON schema
that the answer must follow. One that does not know the form it is given may ignore it silently, so
a dialect is chosen, not guessed. Packages add others by the entry points ``reclens.llm_dialects``.
"""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from typing import Any, ClassVar, Final, TypeGuard

from reclens.concepts.evidence.item_text import clean
from reclens.concepts.llm.chat import ChatAnswer, ChatRequest
from reclens.extensions import ExtensionPoint, subclass_of

_MAX_MODEL_NAME = 300
_MAX_COUNT = 1 << 53  # tokens of an answer: what any reader of JSON takes for a whole number
_SHOWN_KEYS, _SHOWN_BYTES = 8, 200  # of a body that is none of a chat


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
            ServerError: the body says that there is no answer.
            ValueError: the body is cut or empty; the request is then sent again.
        """
        said = _completion(content)
        choice = said["choices"][0]
        message, why = choice["message"], choice.get("finish_reason")
        usage = said.get("usage")
        return ChatAnswer(
            # Half a surrogate pair, which JSON can name, could not be kept.
            text=_text(message, why).encode("utf-8", "replace").decode(),
            prompt_tokens=_count(usage, "prompt_tokens"),
            completion_tokens=_count(usage, "completion_tokens"),
            model=clean(_string(said.get("model")), _MAX_MODEL_NAME),
            seconds=seconds,
            finish_reason=clean(_string(why), _MAX_MODEL_NAME),
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


class ServerError(ValueError):
    """A body of status 200 that says what servers else say by another status, and is taken as it.

    Args:
        status: that would say it: 422 where this request is refused, 404 where what answers speaks
            another API, a fault that passes where the server says that it is one.
        words: the server's, or what is wrong.
    """

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status
        self.words = words


def words_of_error(body: Any) -> str:
    """What a server says is wrong, from the JSON body of an error; empty where it says nothing."""
    if not isinstance(body, dict):
        return ""
    error = body.get("error") or body.get("detail") or body.get("message")
    if isinstance(error, dict):
        error = error.get("message") or error
    return error if isinstance(error, str) else json.dumps(error) if error else ""


def status_of_error(body: Any) -> int | None:
    """The status that the JSON body of an error names by number or by kind; None: none."""
    if not isinstance(body, dict):
        return None
    error = body.get("error")
    told = [body.get("error_type"), body.get("code"), body.get("status")]
    if isinstance(error, dict):
        told = [error.get("code"), error.get("status"), error.get("type"), *told]
    for one in told:
        if isinstance(one, str) and one in _KINDS:
            return _KINDS[one]
        number = int(one) if isinstance(one, str) and re.fullmatch("[45][0-9]{2}", one) else one
        if type(number) is int and 400 <= number <= 599:
            return number
    return None


# Kinds of errors: TGI's, then those that OpenAI's dialect has.
_KINDS: Final = {
    "validation": 422,
    "template_error": 422,
    "overloaded": 429,
    "generation": 424,
    "incomplete_generation": 500,
    "content_filter": 422,
    "content_policy_violation": 422,
    "context_length_exceeded": 422,
    "rate_limit_exceeded": 429,
    "overloaded_error": 529,
    "server_error": 500,
    "invalid_api_key": 401,
    "model_not_found": 404,
}


def _completion(content: bytes) -> dict[str, Any]:
    """The chat completion that a body is, with a message in its first choice."""
    said = _parsed(content)
    if isinstance(said, dict) and (said.get("error") or said.get("object") == "error"):
        raise ServerError(status_of_error(said) or 422, words_of_error(said))
    if not isinstance(said, dict) or not isinstance(said.get("choices"), list):
        keys = f" with {', '.join(map(repr, list(said)[:_SHOWN_KEYS]))}" if _is_map(said) else ""
        raise ServerError(404, f"JSON that is no chat completion{keys}")
    choice = said["choices"][0] if said["choices"] else None
    if not isinstance(choice, dict):
        raise ServerError(422, "a chat completion without choices")
    if choice.get("error"):
        raise ServerError(status_of_error(choice) or 422, words_of_error(choice))
    if "text" in choice and "message" not in choice:
        raise ServerError(404, "a completion of text, not of a chat")
    message = choice.get("message")
    if not isinstance(message, dict):
        raise ServerError(422, "a chat completion without a message")
    if choice.get("finish_reason") == "content_filter":
        raise ServerError(422, "the content filter stopped the answer")
    if message.get("refusal") and not message.get("content"):
        raise ServerError(422, _string(message["refusal"]) or "a refusal")
    return said


def _parsed(content: bytes) -> Any:
    """The JSON of a body; of a stream of events, which some servers send unasked, what they make.

    Raises:
        ServerError: it is text of another kind.
        ValueError: it is empty or cut.
    """
    start = content.lstrip(b"\xef\xbb\xbf \t\r\n")[:6]
    try:
        if start.startswith((b"data:", b"event:", b"id:", b":")):
            return _assembled(content)
        return json.loads(content)
    except RecursionError:
        raise ServerError(404, "JSON that is no chat completion") from None
    except ValueError:
        if start[:1] in b"{[:dei":
            raise
        said = clean(content[:_SHOWN_BYTES].decode("utf-8", "replace"), _SHOWN_KEYS * 10)
        raise ServerError(404, f"text that is no JSON: {said}") from None


def _assembled(content: bytes) -> Any:
    """The chat completion of which a stream of events brings the parts, or the one that is none."""
    data = [line[5:].strip() for line in content.splitlines() if line.startswith(b"data:")]
    whole: dict[str, Any] = {"choices": [{"message": {}}]}
    (choice,) = whole["choices"]
    message = choice["message"]
    for part in (json.loads(one) for one in data if one != b"[DONE]"):
        if not _is_map(part) or part.get("error") or not isinstance(part.get("choices"), list):
            return part
        whole |= {key: part[key] for key in ("model", "usage") if part.get(key)}
        for of_choice in filter(_is_map, part["choices"]):
            delta = of_choice.get("delta")
            for key, text in delta.items() if _is_map(delta) else ():
                if isinstance(text, str):
                    message[key] = message.get(key, "") + text
            choice["finish_reason"] = of_choice.get("finish_reason") or choice.get("finish_reason")
    if not choice.get("finish_reason") and b"[DONE]" not in data:
        raise ValueError("a stream that was cut")
    return whole


def _text(message: dict[str, Any], why: Any) -> str:
    """What a message says. Where it says nothing, what the model is told to have thought: servers
    that take thinking apart put answers there. Thinking that was cut has no answer, but drafts."""
    content = message.get("content")
    if isinstance(content, list):
        content = "".join(_string(part.get("text")) for part in content if _is_map(part))
    elif isinstance(content, dict):
        content = json.dumps(content)
    text = _string(content)
    if text.strip() or why == "length":
        return text
    return _string(message.get("reasoning_content")) or _string(message.get("reasoning"))


def _count(usage: Any, name: str) -> int:
    """Tokens that the server has counted; 0 where it tells none."""
    count = usage.get(name) if _is_map(usage) else None
    return count if type(count) is int and 0 <= count < _MAX_COUNT else 0


def _string(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _is_map(value: Any) -> TypeGuard[dict[str, Any]]:
    return isinstance(value, dict)
