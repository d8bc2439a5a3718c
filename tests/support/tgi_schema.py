"""The facts of TGI's API that RecLens rests on, written down by hand, as JSON schemas.

`test_published.py` holds them against the document that TGI publishes, where that is at hand.
"""

from __future__ import annotations

from typing import Any

COUNT = {"type": "integer", "minimum": 0}

MESSAGE = {
    "type": "object",
    "required": ["role", "content"],
    "properties": {"role": {"type": "string"}, "content": {"type": "string"}},
    "additionalProperties": False,
}

GRAMMAR = {
    "type": "object",
    "required": ["type", "value"],
    "properties": {"type": {"enum": ["json"]}, "value": {"type": "object"}},
    "additionalProperties": False,
}

REQUEST: dict[str, Any] = {
    "type": "object",
    "required": ["messages"],
    "properties": {
        "messages": {"type": "array", "items": MESSAGE},
        "model": {"type": "string"},
        "max_tokens": COUNT,
        "temperature": {"type": "number"},
        "seed": COUNT,
        "stream": {"type": "boolean"},
        "response_format": GRAMMAR,
    },
    "additionalProperties": False,
}
"""Body of a request to ``/v1/chat/completions``: what RecLens sends, and nothing else."""

USAGE = {
    "type": "object",
    "required": ["prompt_tokens", "completion_tokens", "total_tokens"],
    "properties": {
        "prompt_tokens": COUNT,
        "completion_tokens": COUNT,
        "total_tokens": COUNT,
    },
}

CHOICE = {
    "type": "object",
    "required": ["index", "message", "finish_reason"],
    "properties": {
        "index": COUNT,
        "finish_reason": {"type": "string"},
        "message": {
            "type": "object",
            "required": ["role", "content"],
            "properties": {"role": {"type": "string"}, "content": {"type": "string"}},
        },
    },
}

ANSWER: dict[str, Any] = {
    "type": "object",
    "required": ["id", "created", "model", "system_fingerprint", "choices", "usage"],
    "properties": {
        "id": {"type": "string"},
        "created": COUNT,
        "model": {"type": "string"},
        "system_fingerprint": {"type": "string"},
        "choices": {"type": "array", "items": CHOICE, "minItems": 1},
        "usage": USAGE,
    },
}
"""Body of a good answer."""

ERROR: dict[str, Any] = {
    "type": "object",
    "required": ["error", "error_type"],
    "properties": {"error": {"type": "string"}, "error_type": {"type": "string"}},
}
"""Body of any other answer."""

STATUSES = {"200", "422", "424", "429", "500"}
"""Statuses that TGI names for a chat completion."""
