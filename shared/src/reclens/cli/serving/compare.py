"""``compare``: several edits for one user, side by side."""

from __future__ import annotations

from itertools import zip_longest
from typing import Annotated

import typer

from reclens.api.steering.v1 import steering_pb2 as pb
from reclens.cli.connection import steering_client
from reclens.cli.output import Json, print_json, print_table
from reclens.cli.serving.messages import as_json, effect_lines, movement
from reclens.cli.serving.steering_options import (
    Exclude,
    History,
    Limit,
    Release,
    TopK,
    User,
    history_of,
    item_ids,
    signed_pushes,
    tag_limits,
)
from reclens.client.requests import policy_ref

app = typer.Typer()


@app.command()
def compare(
    variants: Annotated[
        list[str],
        typer.Argument(
            help="NAME=CONCEPT[:STRENGTH],... each; negative strengths for less, @POLICY for a "
            "stored policy.",
            show_default=False,
        ),
    ],
    *,
    user: User = None,
    history: History = None,
    exclude: Exclude = None,
    limit: Limit = None,
    top_k: TopK = 10,
    release: Release = "default",
    json: Json = False,
) -> None:
    """Compare edits: an answer to each beside the untouched one, and what each did."""
    items = history_of(user, history)
    asked = [_variant(text) for text in variants]
    with steering_client() as client:
        answer = client.compare(
            asked,
            user_id=user,
            history=items,
            exclude=item_ids(exclude),
            limits=tag_limits(limit),
            top_k=top_k,
            release=release,
        )
    if json:
        print_json(as_json(answer))
        return
    answered = [outcome for outcome in answer.outcomes if outcome.HasField("answer")]
    columns = [
        [item.title or item.item_id for item in answer.baseline],
        *(
            [f"{movement(item):>4} {item.title or item.item_id}" for item in outcome.answer.items]
            for outcome in answered
        ),
    ]
    rows = [
        [rank, *cells] for rank, cells in enumerate(zip_longest(*columns, fillvalue=""), start=1)
    ]
    names = [outcome.name for outcome in answered]
    print_table(["rank", "untouched", *names], rows, right=("rank",))
    for outcome in answer.outcomes:
        if outcome.HasField("failure"):
            print(f"{outcome.name}: refused: {outcome.failure.field}: {outcome.failure.message}")
            continue
        for line in effect_lines(outcome.answer.effect, steered=True, top_k=top_k):
            print(f"{outcome.name}: {line}")


def _variant(text: str) -> pb.Variant:
    name, equals, edits = text.partition("=")
    if not equals or not name:
        raise typer.BadParameter(f"{text!r} is not NAME=CONCEPT[:STRENGTH],...")
    if edits.startswith("@"):
        policy = policy_ref(edits[1:])
        if policy is None:
            raise typer.BadParameter(f"{text!r} names no policy")
        return pb.Variant(name=name, policy=policy)
    return pb.Variant(name=name, edits=signed_pushes(edits))
