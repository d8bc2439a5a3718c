"""What a language model is shown. Item text comes from strangers: it is cleaned, bounded, and
quoted as JSON inside a block that it cannot close.

Prompts are files, each with a version: a changed text is a new file, so that answers to the old one
are not taken for answers to the new one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from string import Template
from typing import Any, Final

from reclens.concepts.evidence.item_text import MAX_TERM, MAX_TITLE, clean
from reclens.contracts import LlmOptions, canonical_json, sha256_hex
from reclens.contracts.specs.concepts import tokens_of_grades
from reclens.errors import InvalidInput, MissingData

LABEL_PROMPT: Final = "label-1"
"""Version of the prompt that asks for a label."""
JUDGE_PROMPT: Final = "judge-1"
"""Version of the prompt that asks for grades."""

MAX_KEYWORDS = 20
"""Keywords that are offered at most."""
MAX_TAGS = 8
"""Tags of an item that are shown at most."""
MAX_NOTE = 80
"""Characters of the note on an item."""
MAX_LABEL = 120
"""Characters of a label's name that a judge is shown; keyword labels and titles are within it."""
MAX_DESCRIPTION = 300
"""Characters of a description."""
MAX_CASES = 120
"""Cases of one question."""
MAX_CASE_ITEMS = 20
"""Items of a case that are shown at most: the best ones."""
MAX_ITEM_TEXT = 120
"""Characters of an item's text in a case."""


_SECTION = re.compile(r"^# (system|user)$", re.MULTILINE)

# As these characters open the delimiters of the block and the control tokens of chat templates
# (<|im_start|>, <s>, [INST]), none of them leaves the quoted data as itself.
_ESCAPED = str.maketrans({char: f"\\u{ord(char):04x}" for char in "<>[]"})


@dataclass(frozen=True)
class Prompt:
    """A prompt with places to fill."""

    version: str
    """Name of its file, e.g. ``label-1``; part of the key under which an answer is kept."""
    system: str
    """What the model is told to be; empty where the prompt goes on with a conversation."""
    user: Template
    """What is asked, with ``$name`` places."""

    def ask(self, **places: object) -> str:
        """The question with its places filled, once: a ``$`` in what is filled in stays one.

        Raises:
            KeyError: a place is left open.
        """
        return self.user.substitute(places)


@cache
def load_prompt(version: str) -> Prompt:
    """Read the prompt of that version.

    Raises:
        MissingData: there is no such prompt.
    """
    file = resources.files(__package__ or __name__) / "prompts" / f"{version}.md"
    if not file.is_file():
        raise MissingData(
            f"there is no prompt {version!r}.",
            field="prompt",
            remedy="install reclens with its package data.",
        )
    _, *parts = _SECTION.split(file.read_text(encoding="utf-8"))
    sections = dict(zip(parts[::2], (part.strip() for part in parts[1::2]), strict=True))
    return Prompt(version, sections.get("system", ""), Template(sections["user"]))


@dataclass(frozen=True)
class EvidenceItem:
    """An item as evidence for, or against, a label. Text may be anything; it is cleaned later."""

    title: str
    """Title of the item."""
    tags: tuple[str, ...] = ()
    """Tags, the most telling first."""
    year: int | None = None
    """Year of origin."""
    note: str = ""
    """What else speaks, e.g. how popular it is."""

    def shown(self) -> dict[str, Any]:
        """The item as the model sees it, in plain JSON types."""
        entry: dict[str, Any] = {"title": clean(self.title, MAX_TITLE)}
        if tags := _cleaned(self.tags, MAX_TERM, MAX_TAGS):
            entry["tags"] = tags
        if self.year is not None:
            entry["year"] = self.year
        if note := clean(self.note, MAX_NOTE):
            entry["note"] = note
        return entry


@dataclass(frozen=True)
class LabelQuestion:
    """The question what a latent is about, with the evidence that is shown."""

    keywords: tuple[str, ...]
    """Terms that the keyword labeller found, the best first."""
    evidence: tuple[EvidenceItem, ...]
    """Items of the latent, the strongest first; ``n_examples`` of them are shown."""
    counter_examples: tuple[EvidenceItem, ...] = ()
    """Items that are recommended while it is silent; ``n_counter_examples`` are shown."""

    prompt = LABEL_PROMPT

    def offered(self) -> list[str]:
        """Keywords as shown: clean, each once, at most 20."""
        return _cleaned(self.keywords, MAX_TERM, MAX_KEYWORDS)

    def shown(self, options: LlmOptions) -> dict[str, Any]:
        """All data that the model sees, as plain JSON.

        Raises:
            InvalidInput: there is no evidence.
        """
        if not self.evidence:
            raise InvalidInput(
                "a label needs at least one item of evidence.",
                field="evidence",
                remedy="do not ask about latents that never fire.",
            )
        return {
            "keywords": self.offered(),
            "active": [item.shown() for item in self.evidence[: options.n_examples]],
            "silent": [
                item.shown() for item in self.counter_examples[: options.n_counter_examples]
            ],
        }

    def places(self, options: LlmOptions) -> dict[str, object]:
        """What fills the places of the prompt."""
        return {"data": data_block(self.shown(options))}

    def schema(self) -> dict[str, Any]:
        """What the server is asked to hold the answer to: the same for all latents, as servers
        compile a schema before they answer, and keep what they compiled. Lengths are left to our
        own validation: some servers build huge automata of them."""
        return _object(
            reason={"type": "string"},
            abstain={"type": "boolean"},
            name={"type": "string"},
            description={"type": "string"},
            keywords={"type": "array", "items": {"type": "string"}},
        )


@dataclass(frozen=True)
class JudgeQuestion:
    """How well does a label fit these cases? Levels, and which of them fired, are not told."""

    name: str
    """The label's name."""
    description: str
    """Its description; may be empty."""
    cases: tuple[tuple[str, ...], ...]
    """Texts of the items of each answer, the best first. The order of cases must tell nothing:
    shuffle firing and silent ones."""

    prompt = JUDGE_PROMPT

    def shown(self, options: LlmOptions) -> dict[str, Any]:
        """All data that the model sees, as plain JSON.

        Raises:
            InvalidInput: there are no cases, or more than 120, or than the answer has room for.
        """
        if not 1 <= len(self.cases) <= MAX_CASES:
            raise InvalidInput(
                f"a question is about 1 to {MAX_CASES} cases, got {len(self.cases)}.",
                field="cases",
                remedy="split them over several questions.",
            )
        if (needed := tokens_of_grades(len(self.cases))) > options.max_tokens:
            raise InvalidInput(
                f"{len(self.cases)} grades take about {needed} tokens, more than the "
                f"{options.max_tokens} that an answer may have.",
                field="llm.max_tokens",
                remedy="raise it, or lower llm.n_judged.",
            )
        return {
            "label": {
                "name": clean(self.name, MAX_LABEL),
                "description": clean(self.description, MAX_DESCRIPTION),
            },
            "cases": [
                [clean(text, MAX_ITEM_TEXT) for text in case[:MAX_CASE_ITEMS]]
                for case in self.cases
            ],
        }

    def places(self, options: LlmOptions) -> dict[str, object]:
        """What fills the places of the prompt."""
        return {"data": data_block(self.shown(options)), "n_cases": len(self.cases)}

    def schema(self) -> dict[str, Any]:
        """What the server is asked to hold the answer to."""
        n_cases = len(self.cases)
        grades = {
            "type": "array",
            "items": {"type": "integer", "enum": list(range(11))},
            "minItems": n_cases,
            "maxItems": n_cases,
        }
        return _object(grades=grades)


Question = LabelQuestion | JudgeQuestion


def evidence_hash(question: Question, options: LlmOptions) -> str:
    """Key under which the answer is kept: whatever could change the answer changes it.

    SHA-256 of the canonical JSON of the prompt's version, model, temperature, length of the answer,
    and the data exactly as the model sees it.
    """
    return sha256_hex(
        canonical_json(
            {
                "prompt": question.prompt,
                "model": options.model,
                "temperature": options.temperature,
                "max_tokens": options.max_tokens,
                "question": question.shown(options),
            }
        )
    )


def escaped(text: str) -> str:
    """``text`` without the characters that open delimiters and control tokens."""
    return text.translate(_ESCAPED)


def data_block(data: Mapping[str, Any]) -> str:
    """``data`` as JSON, one element of a list per line, without ``<>[]`` inside strings."""
    fields = [f"{json.dumps(key)}: {_value(value)}" for key, value in data.items()]
    return "{" + ",\n".join(fields) + "}"


def _value(value: Any) -> str:
    if isinstance(value, list) and value and not isinstance(value[0], str):
        return "[\n" + ",\n".join(_value(element) for element in value) + "\n]"
    if isinstance(value, list):
        return "[" + ", ".join(_value(element) for element in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)}: {_value(v)}" for k, v in value.items()) + "}"
    if isinstance(value, str):
        return escaped(json.dumps(value, ensure_ascii=False))
    return json.dumps(value)


def _cleaned(texts: Iterable[str], limit: int, count: int) -> list[str]:
    """Texts cleaned, empty ones left out, each once, the first ``count``."""
    kept: dict[str, None] = {}
    for text in texts:
        if len(kept) == count:
            break
        if short := clean(text, limit):
            kept[short] = None
    return list(kept)


def _object(**properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
