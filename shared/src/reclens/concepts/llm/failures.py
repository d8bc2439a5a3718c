"""When a language model gives (nearly) no valid answer, a labelling ends with why."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

from reclens.concepts.labels.llm_usage import Usage
from reclens.concepts.llm.chat import OUT_OF_TOKENS, Outcome
from reclens.errors import LlmRefused

NEARLY_ALL: Final = 0.9
"""Share of questions without an answer from which a labelling fails."""
_ENOUGH: Final = {"refused": 3, "thinking": 3, "invalid": 10}
# Field, what happened, remedy. The same words wherever it happens: a job says them once.
_PROBLEMS: Final = {
    "refused": (
        "llm",
        "the language model's server refused (nearly) every question",
        "check RECLENS_LLM__DIALECT, and that the model takes prompts this long (the job's "
        "llm.n_examples, llm.n_judged).",
    ),
    "thinking": (
        "llm.max_tokens",
        "the language model gave no answer to (nearly) any question",
        "raise the job's llm.max_tokens, of which a model that thinks may take thousands, or "
        "switch its thinking off where it is served.",
    ),
    "invalid": (
        "llm",
        "the language model gave no valid answer to (nearly) any question",
        "check RECLENS_LLM__DIALECT, as a server may ignore the schema of another; raise the job's "
        "llm.max_tokens where answers are cut off; or ask a larger model.",
    ),
}


@dataclass
class AnswerCount:
    """Questions of one kind, and how many of them have no valid answer, by why."""

    questions: int = 0
    """Asked so far."""
    failed: Counter[str] = field(default_factory=Counter)
    """By reason: ``refused``, ``thinking`` or ``invalid``."""
    last: str = ""
    """What was wrong with the last of these, in words."""

    def add(self, outcome: Outcome[Any]) -> None:
        """Count a question."""
        self.questions += outcome.usage.questions
        if outcome.reason:
            why = "thinking" if outcome.reason == OUT_OF_TOKENS else "invalid"
            self.failed["refused" if outcome.usage.refused else why] += 1
            self.last = outcome.reason

    def problem(self) -> LlmRefused | None:
        """The error of a labelling that has failed; None while it may go well."""
        for why, count in self.failed.items():
            if count >= _ENOUGH[why] and count >= NEARLY_ALL * self.questions:
                return failure(why, count, self.questions, self.last)
        return None


def check_usage(usage: Usage) -> None:
    """Refuse a finished range of latents for which (nearly) no question has a valid answer.

    Raises:
        LlmRefused: that is so.
    """
    for why, count in (("refused", usage.refused), ("invalid", usage.invalid)):
        if count >= _ENOUGH["refused"] and count >= NEARLY_ALL * usage.questions:
            raise failure(why, count, usage.questions, "")


def failure(why: str, count: int, questions: int, last: str) -> LlmRefused:
    """The error of a labelling in which so many of all questions failed."""
    name, problem, remedy = _PROBLEMS[why]
    words = f", the last one so: {last}" if last else "."
    return LlmRefused(f"{problem}, {count} of {questions}{words}", field=name, remedy=remedy)
