"""``propose``: an edit from words or from examples."""

from __future__ import annotations

from typing import Annotated

import typer

from reclens.api.steering.v1 import steering_pb2 as pb
from reclens.cli.connection import steering_client
from reclens.cli.output import Json, print_json, print_table
from reclens.cli.serving.messages import as_json, confidence_text
from reclens.cli.serving.steering_options import Release, item_ids
from reclens.steering.limits import DEFAULT_PROPOSED_LATENTS, MAX_PROPOSED_LATENTS

app = typer.Typer()


@app.command()
def propose(
    text: Annotated[
        str | None, typer.Argument(help='Words, e.g. "slow crime dramas".', show_default=False)
    ] = None,
    *,
    like: Annotated[
        str | None, typer.Option(help="Item ids to move towards, with commas.", show_default=False)
    ] = None,
    dislike: Annotated[
        str | None,
        typer.Option(help="Item ids to move away from, with commas.", show_default=False),
    ] = None,
    max_latents: Annotated[
        int, typer.Option(min=1, max=MAX_PROPOSED_LATENTS, help="Latents that the edit may use.")
    ] = DEFAULT_PROPOSED_LATENTS,
    trusted: Annotated[
        bool, typer.Option("--trusted", help="Use only latents whose label is trusted.")
    ] = False,
    release: Release = "default",
    json: Json = False,
) -> None:
    """Find the edit that moves answers towards a text or examples. Nothing is applied."""
    liked, disliked = item_ids(like), item_ids(dislike)
    if (text is None) == (not liked and not disliked):
        raise typer.BadParameter("give either TEXT, or --like and --dislike")
    with steering_client() as client:
        answer = client.propose_edit(
            text,
            liked=liked,
            disliked=disliked,
            max_latents=max_latents,
            trusted_only=trusted,
            release=release,
        )
    if json:
        print_json(as_json(answer))
        return
    items = "; ".join(_named(entry) for entry in answer.items[:8])
    print(f"read as    {items}{' ...' if len(answer.items) > 8 else ''}")
    if answer.unmatched_words:
        print(f"not found  {', '.join(answer.unmatched_words)}")
    rows = [
        [
            part.latent,
            f"{part.weight:+.2f}",
            part.label or "(unlabelled)",
            part.concept_id,
            confidence_text(part) if part.concept_id else "",
        ]
        for part in answer.parts
    ]
    columns = ["latent", "weight", "label", "concept", "confidence"]
    print_table(columns, rows, right=("latent", "weight", "confidence"))
    print(f"does {answer.alignment:.0%} of what moving the representation could do; apply it with")
    parts = ",".join(f"{part.latent}:{part.weight:.3g}" for part in answer.edit.blend.parts)
    print(f"  reclens recommend --user USER --blend {parts}@{answer.edit.add:g}")


def _named(entry: pb.ProposedItem) -> str:
    name = entry.item.title or entry.item.item_id
    return f"not {name}" if entry.weight < 0 else name
