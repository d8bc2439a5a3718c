"""What an import tells of itself: what was found in the files, and what was done about it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from reclens.contracts.base import Contract

MAX_TOLD = 160
"""Characters of a cell that an account quotes at most."""


class Finding(Contract):
    """One thing that is odd about the files, with how often, and where it was met first."""

    code: str = Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")
    """Which kind, e.g. ``exact-copies``; docs/how-to/datasets.md has all."""
    level: Literal["note", "warning"]
    """``note``: how the files were understood. ``warning``: what may change what is learnt; with
    ``strict`` it is an error. What certainly changes the meaning is an error at once."""
    count: int = Field(ge=0)
    """How many rows, items or users."""
    message: str
    """In words, with what was done."""
    file: str = ""
    """File of the first; empty where it concerns no file."""
    line: int = Field(default=0, ge=0)
    """Line of the first, from 1, the header included (Parquet: row, from 1); 0: no line."""
    column: str = ""
    """Column of the first."""
    value: str = Field(default="", max_length=MAX_TOLD)
    """What stands there, of a column that the specification or the format names."""
    remedy: str = ""
    """What to do where it is not what was meant."""
