"""``recommend``, ``explain``, ``compare`` and ``propose``: ask the gateway."""

from __future__ import annotations

from itertools import zip_longest
from typing import Annotated

import typer

from reclens.api.steering.v1 import steering_pb2 as pb
from reclens.cli.connection import steering_client
from reclens.cli.options import Release, with_groups
from reclens.cli.output import Json, print_json, print_line, print_table
from reclens.cli.serving.messages import as_json, confidence_text, effect_lines, movement
from reclens.cli.serving.steering_options import (
    Answer,
    Edits,
    Limits,
    Subject,
    item_ids,
    signed_pushes,
)
from reclens.client.requests import policy_ref
from reclens.steering.limits import DEFAULT_PROPOSED_LATENTS, MAX_PROPOSED_LATENTS

app = typer.Typer()


@app.command()
@with_groups
def recommend(
    *,
    subject: Subject,
    edits: Edits,
    policy: Annotated[
        str, typer.Option(help="A stored policy, whose edits come first: NAME or NAME@VERSION.")
    ] = "",
    limits: Limits,
    wanted: Answer,
    json: Json = False,
) -> None:
    """Recommend, with concepts turned up and down, beside the untouched answer."""
    changes = edits.messages()
    with steering_client() as client:
        answer = client.recommend(
            **subject.fields(),
            **limits.fields(),
            **wanted.fields(),
            edits=changes,
            policy=policy,
            include_baseline=True,
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
    for line in effect_lines(answer.effect, steered=bool(changes or policy), top_k=wanted.top_k):
        print_line(line)


@app.command()
@with_groups
def explain(*, subject: Subject, wanted: Answer, json: Json = False) -> None:
    """Show which latents fire, what they mean and what each adds to the first item's score."""
    with steering_client() as client:
        answer = client.explain(**subject.fields(), **wanted.fields())
    if json:
        print_json(as_json(answer))
        return
    print_line(
        "history    " + "; ".join(item.title or item.item_id for item in answer.history[-10:])
    )
    for item in answer.items:
        print_line(f"{item.rank:>4}  {item.score:8.3f}  {item.title or item.item_id}")
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


@app.command()
@with_groups
def compare(
    variants: Annotated[
        list[str],
        typer.Argument(
            help="NAME=CONCEPT[:STRENGTH],... each; negative strengths for less, @POLICY for a "
            "stored policy."
        ),
    ],
    *,
    subject: Subject,
    limits: Limits,
    wanted: Answer,
    json: Json = False,
) -> None:
    """Compare edits: an answer to each beside the untouched one, and what each did."""
    asked = [_variant(text) for text in variants]
    with steering_client() as client:
        answer = client.compare(asked, **subject.fields(), **limits.fields(), **wanted.fields())
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
            print_line(
                f"{outcome.name}: refused: {outcome.failure.field}: {outcome.failure.message}"
            )
            continue
        for line in effect_lines(outcome.answer.effect, steered=True, top_k=wanted.top_k):
            print_line(f"{outcome.name}: {line}")


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


@app.command()
def propose(
    text: Annotated[str | None, typer.Argument(help='Words, e.g. "slow crime dramas".')] = None,
    *,
    like: Annotated[str | None, typer.Option(help="Item ids to move towards, with commas.")] = None,
    dislike: Annotated[
        str | None, typer.Option(help="Item ids to move away from, with commas.")
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
    print_line(f"read as    {items}{' ...' if len(answer.items) > 8 else ''}")
    if answer.unmatched_words:
        print_line(f"not found  {', '.join(answer.unmatched_words)}")
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
    print_line(
        f"does {answer.alignment:.0%} of what moving the representation could do; apply it with"
    )
    parts = ",".join(f"{part.latent}:{part.weight:.3g}" for part in answer.edit.blend.parts)
    print_line(f"  reclens recommend --user USER --blend {parts}@{answer.edit.add:g}")


def _named(entry: pb.ProposedItem) -> str:
    name = entry.item.title or entry.item.item_id
    return f"not {name}" if entry.weight < 0 else name
