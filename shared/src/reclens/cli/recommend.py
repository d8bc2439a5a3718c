"""``recommend`` and ``explain``: ask the gateway."""

from __future__ import annotations

import math
from typing import Annotated

import typer

from reclens.api.steering.v1 import steering_pb2 as pb
from reclens.cli.gateway import steering_client
from reclens.cli.messages import as_json, confidence_text, movement
from reclens.cli.output import Json, print_json, print_table
from reclens.client import add_latent, less, more

app = typer.Typer()

DEFAULT_STRENGTH = 0.4
"""A clear push, see ``Edit.add`` in the API."""

User = Annotated[str | None, typer.Option(help="A user of the data set.", show_default=False)]
History = Annotated[
    str | None,
    typer.Option(help="Item ids, oldest first, with commas: for anybody else.", show_default=False),
]
TopK = Annotated[int, typer.Option(min=1, max=1000, help="Items to return.")]
Release = Annotated[str, typer.Option(help="Name of the release.")]


@app.command()
def recommend(
    *,
    user: User = None,
    history: History = None,
    more_of: Annotated[
        list[str] | None,
        typer.Option("--more", help="CONCEPT[:STRENGTH]; a number is a latent. Repeatable."),
    ] = None,
    less_of: Annotated[
        list[str] | None,
        typer.Option("--less", help="CONCEPT[:STRENGTH]; a number is a latent. Repeatable."),
    ] = None,
    top_k: TopK = 10,
    release: Release = "default",
    json: Json = False,
) -> None:
    """Recommend, with concepts turned up and down, beside the untouched answer."""
    items = _history(user, history)
    edits = [_edit(text, +1) for text in more_of or []] + [
        _edit(text, -1) for text in less_of or []
    ]
    with steering_client() as client:
        answer = client.recommend(
            user_id=user,
            history=items,
            edits=edits,
            top_k=top_k,
            include_baseline=True,
            release=release,
        )
    if json:
        print_json(as_json(answer))
        return
    rows = [
        [
            item.rank,
            movement(item),
            item.title or item.item_id,
            ", ".join(item.tags),
            f"{item.score:.3f}",
        ]
        for item in answer.items
    ]
    print_table(["rank", "moved", "item", "tags", "score"], rows, right=("rank", "moved", "score"))
    if edits:
        effect = answer.effect
        print(
            f"{effect.overlap:.0%} of the untouched top {top_k} kept; the representation moved by "
            f"{effect.relative_shift:.0%} of its norm, over {effect.edited_latents} latents"
        )
        for idle in effect.idle_edits:
            print(f"edit {idle.index + 1} changed nothing: {idle.reason}")


@app.command()
def explain(
    user: User = None,
    history: History = None,
    top_k: TopK = 10,
    release: Release = "default",
    json: Json = False,
) -> None:
    """Show which latents fire, what they mean and what each adds to the first item's score."""
    items = _history(user, history)
    with steering_client() as client:
        answer = client.explain(user_id=user, history=items, top_k=top_k, release=release)
    if json:
        print_json(as_json(answer))
        return
    print("history    " + "; ".join(item.title or item.item_id for item in answer.history[-10:]))
    for item in answer.items:
        print(f"{item.rank:>4}  {item.score:8.3f}  {item.title or item.item_id}")
    rows = [
        [
            one.latent,
            one.label or "(unlabelled)",
            one.concept_id,
            confidence_text(one) if one.concept_id else "",
            f"{one.activation:.2f}",
            f"{one.contributions[0]:+.3f}" if one.contributions else "",
        ]
        for one in answer.explanation.latents
    ]
    columns = ["latent", "label", "concept", "confidence", "activation", "adds to 1st"]
    print_table(columns, rows, right=("latent", "confidence", "activation", "adds to 1st"))


def _history(user: str | None, history: str | None) -> list[str] | None:
    if (user is None) == (history is None):
        raise typer.BadParameter("give either --user or --history")
    if history is None:
        return None
    return [item.strip() for item in history.split(",") if item.strip()]


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
