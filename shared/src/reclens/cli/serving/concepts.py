"""``concepts``: what the latents of a release mean, and what people say of it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Annotated

import typer

from reclens.api.steering.v1 import steering_pb2 as pb
from reclens.cli.connection import steering_client
from reclens.cli.jobs.corrections import edit, edits
from reclens.cli.options import Release
from reclens.cli.output import Json, print_json, print_line, print_table
from reclens.cli.serving.messages import (
    CONCEPT_COLUMNS,
    as_json,
    concept_row,
    confidence_text,
    judgement_line,
)

_SHOWN_PARTS = 5

app = typer.Typer(name="concepts", no_args_is_help=True, help="Concepts of a release.")


@app.command("list")
def list_concepts(
    min_confidence: Annotated[float, typer.Option(min=0, max=1, help="Leave out others.")] = 0.0,
    limit: Annotated[int, typer.Option(min=1, help="At most this many.")] = 50,
    release: Release = "default",
    json: Json = False,
) -> None:
    """List concepts, most trusted first."""
    with steering_client() as client:
        found = list(islice(client.concepts(min_confidence=min_confidence, release=release), limit))
    _print_list(found, json)


@app.command()
def search(
    text: Annotated[str | None, typer.Argument(help="Words of a label, keyword or title.")] = None,
    item: Annotated[
        str | None, typer.Option(help="Concepts that this item is evidence of.")
    ] = None,
    user: Annotated[str | None, typer.Option(help="Concepts that fire for this user.")] = None,
    release: Release = "default",
    json: Json = False,
) -> None:
    """Search concepts by text, by item or by user: exactly one of them."""
    if sum(one is not None for one in (text, item, user)) != 1:
        raise typer.BadParameter("give exactly one of TEXT, --item and --user")
    with steering_client() as client:
        found = client.search_concepts(text, item_id=item, user_id=user, release=release)
    _print_list(found, json)


@app.command()
def show(
    concept_id: Annotated[str, typer.Argument(help="Id, e.g. film-noir.")],
    release: Release = "default",
    json: Json = False,
) -> None:
    """Show one concept with its evidence and how far it can be trusted."""
    with steering_client() as client:
        concept = client.concept(concept_id, release=release)
        push = client.concept_push(concept_id, release=release)
    if json:
        print_json(as_json(concept) | {"push": [as_json(part) for part in push]})
        return
    print_line(f"{concept.concept_id}: {concept.label}")
    print_line(f"  {concept.description}")
    print_line(f"  trusted    {'yes' if concept.trusted else 'no'}")
    print_line(f"  confidence {confidence_text(concept)}{_details(concept)}")
    for judgement in concept.judgements:
        print_line(f"  judge      {judgement_line(judgement)}")
    print_line(f"  latents    {', '.join(str(latent) for latent in concept.latents)}")
    print_line(f"  adding it  {_push_text(push)}")
    if concept.parent_concept_id:
        print_line(f"  part of    {concept.parent_concept_id}")
    print_line(f"  labelled by {concept.source} from {', '.join(concept.keywords)}")
    for item in concept.evidence:
        print_line(f"  evidence   {item.item_id}  {item.title}  {', '.join(item.tags)}")


def _print_list(concepts: Sequence[pb.Concept], json: bool) -> None:
    if json:
        print_json([as_json(concept) for concept in concepts])
    else:
        print_table(CONCEPT_COLUMNS, [concept_row(concept) for concept in concepts])


def _push_text(push: Sequence[pb.ProposedPart]) -> str:
    if not push:
        return "pushes its own latents: no others were found that raise its items"
    shown = [f"{part.weight:+.2f} {part.label or part.latent}" for part in push[:_SHOWN_PARTS]]
    more = len(push) - len(shown)
    return f"pushes {', '.join(shown)}" + (f" and {more} more" if more else "")


def _details(concept: pb.Concept) -> str:
    if not concept.measured:
        return ""
    return (
        f" (precision {concept.precision:.2f}, recall {concept.recall:.2f}, AUROC "
        f"{concept.auroc:.2f}) on {concept.n_positive} firing and {concept.n_negative} silent "
        "held-out cases"
    )


app.command()(edit)
app.command()(edits)
