"""Options that say what to change: ``--more CONCEPT[:STRENGTH]`` and ``--less``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated

import typer

from reclens.api.steering.v1 import steering_pb2 as pb
from reclens.client import add_latent, less, more

DEFAULT_STRENGTH = 0.4
"""A clear push, see ``Edit.add`` in the API."""

MoreOf = Annotated[
    list[str] | None,
    typer.Option("--more", help="CONCEPT[:STRENGTH]; a number is a latent. Repeatable."),
]
LessOf = Annotated[
    list[str] | None,
    typer.Option("--less", help="CONCEPT[:STRENGTH]; a number is a latent. Repeatable."),
]


def edits_of(more_of: Sequence[str] | None, less_of: Sequence[str] | None) -> list[pb.Edit]:
    """The edits that the options ask for.

    Raises:
        typer.BadParameter: one is not CONCEPT[:STRENGTH].
    """
    return [_edit(text, +1) for text in more_of or ()] + [_edit(text, -1) for text in less_of or ()]


def _edit(text: str, sign: int) -> pb.Edit:
    target, colon, number = text.rpartition(":")
    if not colon:
        target, strength = text, DEFAULT_STRENGTH
    else:
        try:
            strength = float(number)
        except ValueError:
            raise typer.BadParameter(f"{number!r} in {text!r} is not a number") from None
    if not target or not math.isfinite(strength) or strength < 0:
        raise typer.BadParameter(
            f"{text!r} is not CONCEPT[:STRENGTH] with a strength of at least 0"
        )
    if target.isdecimal():
        return add_latent(int(target), sign * strength)
    return more(target, strength) if sign > 0 else less(target, strength)
