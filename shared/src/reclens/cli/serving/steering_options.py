"""Edits and constraints as options of commands."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from reclens.api.steering.v1 import steering_pb2 as pb
from reclens.cli.options import Release
from reclens.client.edits import DEFAULT_STRENGTH, above, add_latent, below, blend, more, when
from reclens.steering.limits import MAX_TOP_K

_CONDITION = re.compile(r"(.+)([<>])(.+)")


@dataclass(frozen=True)
class Subject:
    """Whom to recommend to."""

    user: Annotated[str | None, typer.Option(help="A user of the data set.")] = None
    history: Annotated[
        str | None, typer.Option(help="Item ids, oldest first, with commas: for anybody else.")
    ] = None

    def fields(self) -> dict[str, Any]:
        """As the client takes it.

        Raises:
            BadParameter: both or neither are given.
        """
        if (self.user is None) == (self.history is None):
            raise typer.BadParameter("give either --user or --history")
        history = None if self.history is None else item_ids(self.history)
        return {"user_id": self.user, "history": history}


@dataclass(frozen=True)
class Answer:
    """How much to answer, and from what."""

    top_k: Annotated[int, typer.Option(min=1, max=MAX_TOP_K, help="Items to return.")] = 10
    release: Release = "default"

    def fields(self) -> dict[str, Any]:
        """As the client takes it."""
        return {"top_k": self.top_k, "release": self.release}


@dataclass(frozen=True)
class Limits:
    """What may be in an answer."""

    exclude: Annotated[
        str | None, typer.Option(help="Item ids that must not be in the answer, with commas.")
    ] = None
    limit: Annotated[
        list[str] | None, typer.Option(help="TAG:N, at most N items with that tag. Repeatable.")
    ] = None

    def fields(self) -> dict[str, Any]:
        """As the client takes it.

        Raises:
            BadParameter: an option cannot be read.
        """
        limits: dict[str, int] = {}
        for text in self.limit or ():
            tag, colon, number = text.rpartition(":")
            if not (colon and tag and number.isdecimal()):
                raise typer.BadParameter(f"{text!r} is not TAG:N")
            limits[tag] = int(number)
        return {"exclude": item_ids(self.exclude), "limits": limits}


@dataclass(frozen=True)
class Edits:
    """What to change."""

    more_of: Annotated[
        list[str] | None,
        typer.Option("--more", help="CONCEPT[:STRENGTH]; a number is a latent. Repeatable."),
    ] = None
    less_of: Annotated[
        list[str] | None,
        typer.Option("--less", help="CONCEPT[:STRENGTH]; a number is a latent. Repeatable."),
    ] = None
    blends: Annotated[
        list[str] | None,
        typer.Option(
            "--blend", help="CONCEPT:WEIGHT,...[@STRENGTH]: pushed as one direction. Repeatable."
        ),
    ] = None
    only_when: Annotated[
        list[str] | None,
        typer.Option(
            "--when",
            help="CONCEPT>LEVEL or CONCEPT<LEVEL: the edits apply only where all of these hold.",
        ),
    ] = None

    def messages(self) -> list[pb.Edit]:
        """The edits that the options ask for, all under the same conditions.

        Raises:
            BadParameter: an option cannot be read.
        """
        tests = [condition(text) for text in self.only_when or ()]
        edits = [
            *(push(text, +1) for text in self.more_of or ()),
            *(push(text, -1) for text in self.less_of or ()),
            *(blended(text) for text in self.blends or ()),
        ]
        return [when(edit, *tests) for edit in edits]


def item_ids(text: str | None) -> list[str]:
    """Ids with commas between them."""
    return [item.strip() for item in (text or "").split(",") if item.strip()]


def push(text: str, sign: int) -> pb.Edit:
    """``CONCEPT[:STRENGTH]``, of a sign that the option tells; a number is a latent."""
    target, strength = _weighted(text, DEFAULT_STRENGTH)
    if strength < 0:
        raise typer.BadParameter(
            f"{text!r} is not CONCEPT[:STRENGTH] with a strength of at least 0"
        )
    return _added(target, sign * strength)


def signed_pushes(text: str) -> list[pb.Edit]:
    """``CONCEPT[:STRENGTH],...``, negative strengths for less."""
    return [_added(*_weighted(part, DEFAULT_STRENGTH)) for part in item_ids(text)]


def blended(text: str) -> pb.Edit:
    """``CONCEPT[:WEIGHT],...[@STRENGTH]``."""
    parts, at, number = text.rpartition("@")
    if not at:
        parts, number = text, str(DEFAULT_STRENGTH)
    weights = dict(_weighted(part, 1.0) for part in item_ids(parts))
    if not weights:
        raise typer.BadParameter(f"{text!r} is not CONCEPT:WEIGHT,...[@STRENGTH]")
    return blend(weights, _number(number, text))


def condition(text: str) -> pb.Condition:
    """``CONCEPT>LEVEL`` or ``CONCEPT<LEVEL``."""
    match = _CONDITION.fullmatch(text)
    if match is None:
        raise typer.BadParameter(f"{text!r} is not CONCEPT>LEVEL or CONCEPT<LEVEL")
    name, side, level = (part.strip() for part in match.groups())
    test = above if side == ">" else below
    return test(_target(name), _number(level, text))


def _added(target: int | str, strength: float) -> pb.Edit:
    return add_latent(target, strength) if isinstance(target, int) else more(target, strength)


def _target(name: str) -> int | str:
    return int(name) if name.isdecimal() else name


def _weighted(text: str, default: float) -> tuple[int | str, float]:
    name, colon, number = text.rpartition(":")
    name, value = (name, _number(number, text)) if colon else (text, default)
    if not name:
        raise typer.BadParameter(f"{text!r} names no concept")
    return _target(name), value


def _number(number: str, text: str) -> float:
    try:
        value = float(number)
    except ValueError:
        raise typer.BadParameter(f"{number!r} in {text!r} is not a number") from None
    if not math.isfinite(value):
        raise typer.BadParameter(f"{number!r} in {text!r} is not a finite number")
    return value
