"""What asking a language model cost, per question and per job."""

from __future__ import annotations

from dataclasses import asdict, dataclass
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
    """Tokens written when the cached answers were made."""
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
        return Usage(**{name: value + getattr(other, name) for name, value in vars(self).items()})

    def metrics(
        self, *, prompt_price: float = 0.0, completion_price: float = 0.0
    ) -> dict[str, Any]:
        """As a manifest keeps it: each figure under its name with ``llm_`` before it, and what it
        cost: ``llm_cost``, of what was paid for now; ``llm_cached_cost``, of what earlier runs had
        paid for.

        Args:
            prompt_price: of a million tokens read, in any currency.
            completion_price: of a million tokens written, in the same currency.
        """

        def cost(prompt_tokens: int, completion_tokens: int) -> float:
            price = prompt_tokens * prompt_price + completion_tokens * completion_price
            return price / _MILLION

        return {
            **{_PREFIX + name: value for name, value in asdict(self).items()},
            "llm_cost": cost(self.prompt_tokens, self.completion_tokens),
            "llm_cached_cost": cost(self.cached_prompt_tokens, self.cached_completion_tokens),
        }
