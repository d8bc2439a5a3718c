"""``recommend`` and ``explain``: ask the gateway."""

from __future__ import annotations

from typing import Annotated

import typer

from reclens.cli.connection import steering_client
from reclens.cli.output import Json, print_json, print_table
from reclens.cli.serving.messages import as_json, confidence_text, effect_lines, movement
from reclens.cli.serving.steering_options import (
    Blends,
    Exclude,
    History,
    LessOf,
    Limit,
    MoreOf,
    OnlyWhen,
    Release,
    TopK,
    User,
    edits_of,
    history_of,
    item_ids,
    tag_limits,
)

app = typer.Typer()


@app.command()
def recommend(
    *,
    user: User = None,
    history: History = None,
    more_of: MoreOf = None,
    less_of: LessOf = None,
    blends: Blends = None,
    only_when: OnlyWhen = None,
    policy: Annotated[
        str, typer.Option(help="A stored policy, whose edits come first: NAME or NAME@VERSION.")
    ] = "",
    exclude: Exclude = None,
    limit: Limit = None,
    top_k: TopK = 10,
    release: Release = "default",
    json: Json = False,
) -> None:
    """Recommend, with concepts turned up and down, beside the untouched answer."""
    items = history_of(user, history)
    edits = edits_of(more_of, less_of, blends, only_when)
    with steering_client() as client:
        answer = client.recommend(
            user_id=user,
            history=items,
            edits=edits,
            policy=policy,
            exclude=item_ids(exclude),
            limits=tag_limits(limit),
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
    for line in effect_lines(answer.effect, steered=bool(edits or policy), top_k=top_k):
        print(line)


@app.command()
def explain(
    user: User = None,
    history: History = None,
    top_k: TopK = 10,
    release: Release = "default",
    json: Json = False,
) -> None:
    """Show which latents fire, what they mean and what each adds to the first item's score."""
    items = history_of(user, history)
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
