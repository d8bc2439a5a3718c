"""Prompts as files, each with a version: a changed text is a new file, so that answers to the old
one are not taken for answers to the new one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib import resources
from string import Template

from reclens.errors import MissingData

_SECTION = re.compile(r"^# (system|user)$", re.MULTILINE)


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
    file = resources.files(__package__ or __name__) / f"{version}.md"
    if not file.is_file():
        raise MissingData(
            f"there is no prompt {version!r}.",
            field="prompt",
            remedy="install reclens with its package data.",
        )
    _, *parts = _SECTION.split(file.read_text(encoding="utf-8"))
    sections = dict(zip(parts[::2], (part.strip() for part in parts[1::2]), strict=True))
    return Prompt(version, sections.get("system", ""), Template(sections["user"]))
