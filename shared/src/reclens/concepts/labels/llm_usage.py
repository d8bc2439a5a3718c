"""What asking a language model cost, per question and per job."""

from __future__ import annotations

import threading
from dataclasses import dataclass, fields
from typing import Any

_PREFIX = "llm_"
_MILLION = 1_000_000


@dataclass(frozen=True)
class Usage:
    """What one or several questions took; add them up with ``+``."""

    questions: int = 0
    """Questions asked, answered from the cache or not."""
    calls: int = 0
    """Requests that a model answered, repairs included."""
    prompt_tokens: int = 0
    """Tokens read by the model."""
    completion_tokens: int = 0
    """Tokens written by the model."""
    cached: int = 0
    """Questions answered from the cache."""
    cached_prompt_tokens: int = 0
    """Tokens read when the cached answers were made: paid for by an earlier run."""
    cached_completion_tokens: int = 0
    """Tokens written then."""
    repaired: int = 0
    """Questions whose first answer was invalid and whose second was valid."""
    abstained: int = 0
    """Questions without a usable answer: the model abstained, or was invalid twice."""
    invalid: int = 0
    """Of these, the ones whose answer was invalid twice."""
    refused: int = 0
    """Questions that the server refused, as too long or otherwise; counted as abstained too."""
    seconds: float = 0.0
    """Time that the model took, summed over calls: more than wall time where calls overlap."""

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            **{
                field.name: getattr(self, field.name) + getattr(other, field.name)
                for field in fields(self)
            }
        )

    def metrics(self) -> dict[str, Any]:
        """As a manifest keeps it: each figure under its name with ``llm_`` before it."""
        return {_PREFIX + field.name: getattr(self, field.name) for field in fields(self)}


class LlmAccount:
    """Adds up the usage of a job and says what it cost. Safe to use from several threads.

    Args:
        prompt_price: of a million tokens read, in any currency.
        completion_price: of a million tokens written, in the same currency.
    """

    def __init__(self, *, prompt_price: float = 0.0, completion_price: float = 0.0) -> None:
        self._prompt_price = prompt_price
        self._completion_price = completion_price
        self._lock = threading.Lock()
        self._total = Usage()

    def add(self, usage: Usage) -> None:
        """Enter what a question, or a whole shard, took."""
        with self._lock:
            self._total += usage

    @property
    def total(self) -> Usage:
        """The sum so far."""
        with self._lock:
            return self._total

    def metrics(self) -> dict[str, Any]:
        """For the manifest: the fields of `Usage`, each with ``llm_`` before it; ``llm_cost``: of
        what was paid for now; ``llm_cached_cost``: of what earlier runs had paid for."""
        total = self.total
        return {
            **total.metrics(),
            "llm_cost": self._cost(total.prompt_tokens, total.completion_tokens),
            "llm_cached_cost": self._cost(
                total.cached_prompt_tokens, total.cached_completion_tokens
            ),
        }

    def _cost(self, prompt_tokens: int, completion_tokens: int) -> float:
        price = prompt_tokens * self._prompt_price + completion_tokens * self._completion_price
        return price / _MILLION
