"""Edits and constraints as options of commands."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Annotated

import typer

from reclens.api.steering.v1 import steering_pb2 as pb
from reclens.client.edits import above, add_latent, below, blend, less, more, when
from reclens.steering.limits import MAX_TOP_K

DEFAULT_STRENGTH = 0.2
"""A clear push, see ``Edit.add`` in the API."""

User = Annotated[str | None, typer.Option(help="A user of the data set.", show_default=False)]
History = Annotated[
    str | None,
    typer.Option(help="Item ids, oldest first, with commas: for anybody else.", show_default=False),
]
TopK = Annotated[int, typer.Option(min=1, max=MAX_TOP_K, help="Items to return.")]
Release = Annotated[str, typer.Option(help="Name of the release.")]
Exclude = Annotated[
    str | None,
    typer.Option(help="Item ids that must not be in the answer, with commas.", show_default=False),
]
Limit = Annotated[
    list[str] | None,
    typer.Option(help="TAG:N, at most N items with that tag. Repeatable.", show_default=False),
]

MoreOf = Annotated[
    list[str] | None,
    typer.Option("--more", help="CONCEPT[:STRENGTH]; a number is a latent. Repeatable."),
]
LessOf = Annotated[
    list[str] | None,
    typer.Option("--less", help="CONCEPT[:STRENGTH]; a number is a latent. Repeatable."),
]
Blends = Annotated[
    list[str] | None,
    typer.Option(
        "--blend",
        help="CONCEPT:WEIGHT,...[@STRENGTH]: pushed as one direction. Repeatable.",
    ),
]
OnlyWhen = Annotated[
    list[str] | None,
    typer.Option(
        "--when",
        help="CONCEPT>LEVEL or CONCEPT<LEVEL: the edits apply only where all of these hold.",
    ),
]

_CONDITION = re.compile(r"(.+)([<>])(.+)")


def item_ids(text: str | None) -> list[str]:
    """Ids with commas between them."""
    return [item.strip() for item in (text or "").split(",") if item.strip()]


def history_of(user: str | None, history: str | None) -> list[str] | None:
    """The history, where it is that and no user that was given.

    Raises:
        BadParameter: both or neither were.
    """
    if (user is None) == (history is None):
        raise typer.BadParameter("give either --user or --history")
    return None if history is None else item_ids(history)


def edits_of(
    more_of: Sequence[str] | None,
    less_of: Sequence[str] | None,
    blends: Sequence[str] | None,
    only_when: Sequence[str] | None,
) -> list[pb.Edit]:
    """The edits that the options ask for, all under the same conditions.

    Raises:
        BadParameter: an option cannot be read.
    """
    edits = [
        *(push(text, +1) for text in more_of or ()),
        *(push(text, -1) for text in less_of or ()),
        *(blended(text) for text in blends or ()),
    ]
    tests = conditions(only_when)
    return [when(edit, *tests) for edit in edits] if tests else edits


def push(text: str, sign: int) -> pb.Edit:
    """``CONCEPT[:STRENGTH]``, of a sign that the option tells; a number is a latent."""
    target, strength = _weighted(text, DEFAULT_STRENGTH)
    if strength < 0:
        raise typer.BadParameter(
            f"{text!r} is not CONCEPT[:STRENGTH] with a strength of at least 0"
        )
    if isinstance(target, int):
        return add_latent(target, sign * strength)
    return more(target, strength) if sign > 0 else less(target, strength)


def signed_pushes(text: str) -> list[pb.Edit]:
    """``CONCEPT[:STRENGTH],...``, negative strengths for less."""
    parts = [_weighted(part, DEFAULT_STRENGTH) for part in item_ids(text)]
    return [
        add_latent(target, strength) if isinstance(target, int) else more(target, strength)
        for target, strength in parts
    ]


def blended(text: str) -> pb.Edit:
    """``CONCEPT[:WEIGHT],...[@STRENGTH]``."""
    parts, at, number = text.rpartition("@")
    if not at:
        parts, number = text, str(DEFAULT_STRENGTH)
    weights = dict(_weighted(part, 1.0) for part in item_ids(parts))
    if not weights:
        raise typer.BadParameter(f"{text!r} is not CONCEPT:WEIGHT,...[@STRENGTH]")
    return blend(weights, _number(number, text))


def conditions(texts: Sequence[str] | None) -> list[pb.Condition]:
    """``CONCEPT>LEVEL`` or ``CONCEPT<LEVEL`` each."""
    found: list[pb.Condition] = []
    for text in texts or ():
        match = _CONDITION.fullmatch(text)
        if match is None:
            raise typer.BadParameter(f"{text!r} is not CONCEPT>LEVEL or CONCEPT<LEVEL")
        name, side, level = (part.strip() for part in match.groups())
        target = int(name) if name.isdecimal() else name
        test = above if side == ">" else below
        found.append(test(target, _number(level, text)))
    return found


def tag_limits(texts: Sequence[str] | None) -> dict[str, int]:
    """``TAG:N`` each."""
    limits: dict[str, int] = {}
    for text in texts or ():
        tag, colon, number = text.rpartition(":")
        if not (colon and tag and number.isdecimal()):
            raise typer.BadParameter(f"{text!r} is not TAG:N")
        limits[tag] = int(number)
    return limits


def _weighted(text: str, default: float) -> tuple[int | str, float]:
    target, colon, number = text.rpartition(":")
    if not colon:
        target, value = text, default
    else:
        value = _number(number, text)
    if not target:
        raise typer.BadParameter(f"{text!r} names no concept")
    return (int(target) if target.isdecimal() else target), value


def _number(number: str, text: str) -> float:
    try:
        value = float(number)
    except ValueError:
        raise typer.BadParameter(f"{number!r} in {text!r} is not a number") from None
    if not math.isfinite(value):
        raise typer.BadParameter(f"{number!r} in {text!r} is not a finite number")
    return value
