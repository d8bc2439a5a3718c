"""``recommend`` and ``explain``: ask the gateway."""

from __future__ import annotations

from typing import Annotated

import typer

from reclens.cli.connection import client_settings
from reclens.cli.edit_options import LessOf, MoreOf, edits_of
from reclens.cli.messages import as_json, confidence_text, movement
from reclens.cli.output import Json, print_json, print_table
from reclens.client import SteeringClient

app = typer.Typer()

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
    more_of: MoreOf = None,
    less_of: LessOf = None,
    top_k: TopK = 10,
    release: Release = "default",
    json: Json = False,
) -> None:
    """Recommend, with concepts turned up and down, beside the untouched answer."""
    items = _history(user, history)
    edits = edits_of(more_of, less_of)
    with SteeringClient(client_settings().client.target) as client:
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
    with SteeringClient(client_settings().client.target) as client:
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
