"""Answers of language models in the object store, so that none is paid for twice."""

from __future__ import annotations

import structlog
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from reclens.concepts.llm.chat import ChatAnswer
from reclens.errors import CorruptArtifact, NotFound
from reclens.platform.store.objects import ObjectStore

PREFIX = "llm-cache"
"""Beginning of all keys. Safe to delete: what is missing is asked again."""

_log = structlog.get_logger(__name__)


class AnswerStore:
    """`AnswerCache` in a bucket: ``llm-cache/<prompt version>-<dialect>/<hash[:2]>/<hash>.json``.

    The hash covers prompt version, model, sampling and question, so an entry is never out of date;
    two workers that write it at once write answers to the same question, and either may stay.

    Raises (all methods):
        Unavailable, StoreRefused: from the store. An answer that cannot be kept is not used, as a
            later attempt would pay for it again.
    """

    def __init__(self, objects: ObjectStore, dialect: str) -> None:
        self._objects = objects
        self._dialect = dialect

    def get(self, prompt: str, key: str) -> ChatAnswer | None:
        """The kept answer; None where there is none, or one that cannot be read."""
        name = object_name(prompt, self._dialect, key)
        try:
            entry = _Entry.model_validate_json(self._objects.get_document(name))
        except NotFound:
            return None
        except (ValidationError, CorruptArtifact):
            _log.warning("llm_cache_unreadable", object=name)
            return None
        if (entry.prompt, entry.key) != (prompt, key):
            _log.warning("llm_cache_misplaced", object=name)
            return None
        return ChatAnswer(**entry.model_dump(exclude={"prompt", "key"}))

    def put(self, prompt: str, key: str, answer: ChatAnswer) -> None:
        """Keep an answer, in place of an unreadable one too."""
        entry = _Entry(prompt=prompt, key=key, **vars(answer))
        self._objects.put(
            object_name(prompt, self._dialect, key), entry.model_dump_json(indent=1).encode()
        )


def object_name(prompt: str, dialect: str, key: str) -> str:
    """Where the answer to the question of that hash lies."""
    return f"{PREFIX}/{prompt}-{dialect}/{key[:2]}/{key}.json"


class _Entry(BaseModel):
    """An answer as it lies there."""

    model_config = ConfigDict(strict=True, extra="forbid")

    prompt: str
    key: str
    text: str
    prompt_tokens: int = Field(ge=0)
    completion_tokens: int = Field(ge=0)
    model: str
    seconds: float
    finish_reason: str
