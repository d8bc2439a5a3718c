"""Joins labelled latents to concepts: one meaning, one id, with the figures of all its latents."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from reclens.concepts.evidence.item_text import meaning_of, unique_slugs
from reclens.concepts.judging.confidence import CONSTRUCT
from reclens.concepts.judging.judges import Judge
from reclens.concepts.labels.duplicates import (
    NO_PARENT,
    choose_group_label,
    duplicate_groups,
    members,
    nesting,
)
from reclens.concepts.labels.labelling import LabelledLatent, LabellingContext
from reclens.concepts.labels.rows import label_metrics, with_concept, with_control
from reclens.contracts.tables.concepts import LatentLabel
from reclens.errors import InvalidInput


@dataclass(frozen=True)
class Labelling:
    """Labels of all latents, and what they are worth in sum."""

    rows: list[LatentLabel]
    """Row j is latent j."""
    metrics: dict[str, Any]
    """See docs/explanation/concepts.md."""


@dataclass(frozen=True, eq=False)
class Directions:
    """Where the latents point: what copies and parts are told by."""

    W_dec: np.ndarray
    """float32 [n_latents, d_model]."""
    levels: Sequence[int]
    """Nested level of each latent, 0 the first (`AutoencoderConfig.latent_levels`)."""


def join_latents(
    context: LabellingContext,
    latents: Sequence[LabelledLatent],
    *,
    directions: Directions | None = None,
    on_concept: Callable[[int, int], None] = lambda done, total: None,
) -> Labelling:
    """Give latents with the same label one concept id, and measure what only all of them show.

    Args:
        context: that they were labelled on, or one made from the same.
        latents: all of the dictionary, each once, in order.
        directions: of the latents; None: copies and parts are not looked for.
        on_concept: called with the number of concepts measured and of all.

    Raises:
        InvalidInput: entry j is not latent j, one is missing, or the directions are of others.
    """
    if [one.row.latent for one in latents] != list(range(context.n_latents)):
        raise InvalidInput(
            f"to join {context.n_latents} latents takes each of them once, in order.",
            field="latents",
            remedy="give the rows of all ranges, first range first.",
        )
    copies = 0
    if directions is not None:
        latents, copies = _with_copies(context, latents, directions)
        latents = _with_parents(context, latents, directions)
    rows = _with_controls(latents, context.judges)
    rows = _with_concepts(rows, latents, context.judges, on_concept)
    metrics = {
        "construct_cases": len(context.construct),
        "verify_cases": context.n_verify,
        "alive": int((context.evidence.n_cases > 0).sum()),
        "copies": copies,
        "with_parent": sum(row.parent is not None for row in rows),
        **label_metrics(rows, context.options.judges),
    }
    return Labelling(rows, metrics)


def _with_copies(
    context: LabellingContext, latents: Sequence[LabelledLatent], directions: Directions
) -> tuple[list[LabelledLatent], int]:
    """Give latents that are copies of each other one label, and count them."""
    groups = members(duplicate_groups(context.construct.activations, directions.W_dec))
    joined = list(latents)
    for group in groups:
        labelled = [joined[latent] for latent in group if joined[latent].statement is not None]
        winner = _best_label(context, group.tolist(), labelled)
        for latent in group.tolist():
            one = joined[latent]
            if winner is not None and one.row.label != winner.row.label:
                one = _relabelled(context, one, winner)
            row = replace(one.row, duplicate_group=int(group[0]))
            joined[latent] = replace(one, row=row)
    return joined, sum(map(len, groups))


def _best_label(
    context: LabellingContext, group: Sequence[int], labelled: Sequence[LabelledLatent]
) -> LabelledLatent | None:
    """Of the labels of a group the one that tells best, on construct cases, when any fires."""
    if len({one.row.label for one in labelled}) < 2 or not context.judges:
        return labelled[0] if labelled else None
    judge = context.judges[0]
    readable = [
        (one, scores)
        for one in labelled
        if one.statement is not None
        and (scores := judge.case_scores(CONSTRUCT, one.statement)) is not None
    ]
    if not readable:
        return labelled[0]
    fires = context.held_out.values(CONSTRUCT, group) > 0
    return readable[choose_group_label([scores for _, scores in readable], fires)][0]


def _relabelled(
    context: LabellingContext, one: LabelledLatent, winner: LabelledLatent
) -> LabelledLatent:
    """The latent with the label of another, measured anew; what a model said of its own is gone."""
    assert winner.statement is not None
    latent, label = one.row.latent, winner.statement.keywords
    if label is not None:
        label = context.keywords.supported(latent, label)
    if winner.row.source == "keywords":
        row = context.named_by_keywords(latent, label).row
    else:
        row = replace(
            winner.row,
            latent=latent,
            support=label.support if label else None,
            lift=label.lift if label else None,
            evidence_items=one.row.evidence_items,
        )
    judged = context.judged(row, replace(winner.statement, keywords=label))
    return replace(judged, usage=one.usage)


def _with_parents(
    context: LabellingContext, latents: Sequence[LabelledLatent], directions: Directions
) -> list[LabelledLatent]:
    parents = nesting(
        np.asarray(directions.levels), directions.W_dec, context.construct.activations
    )
    return [
        one if parent == NO_PARENT else replace(one, row=replace(one.row, parent=parent))
        for one, parent in zip(latents, parents.tolist(), strict=True)
    ]


def _with_controls(latents: Sequence[LabelledLatent], judges: Sequence[Judge]) -> list[LatentLabel]:
    """Put beside every judgement what the judge achieves with another latent's label."""
    controls = {
        judge.name: judge.shuffled(
            {
                one.row.latent: (one.statement, one.thresholds[judge.name])
                for one in latents
                if one.statement is not None and judge.name in one.thresholds
            }
        )
        for judge in judges
    }
    rows = []
    for one in latents:
        judgements = [
            with_control(judgement, found)
            if (found := controls.get(judgement.judge, {}).get(one.row.latent)) is not None
            else judgement
            for judgement in one.row.judgements
        ]
        rows.append(replace(one.row, judgements=tuple(judgements)))
    return rows


def _with_concepts(
    rows: list[LatentLabel],
    latents: Sequence[LabelledLatent],
    judges: Sequence[Judge],
    on_concept: Callable[[int, int], None],
) -> list[LatentLabel]:
    """Give latents with the same label one concept id, and the figures of that concept.

    They are of the first judge that reads items: a language model is not asked again.
    """
    members: dict[str, list[int]] = {}
    for row in rows:
        if row.label is not None:
            members.setdefault(meaning_of(row.label), []).append(row.latent)
    # Of several spellings the most confident latent's is the concept's, and so is its statement.
    heads = {
        meaning: max(ids, key=lambda latent: (_confidence(rows[latent]), -latent))
        for meaning, ids in members.items()
    }
    slugs = unique_slugs([rows[head].label or "" for head in heads.values()])
    rows = list(rows)
    for done, (meaning, ids) in enumerate(members.items()):
        on_concept(done, len(members))
        head = heads[meaning]
        statement, concept_id = latents[head].statement, slugs[rows[head].label or ""]
        found = judges[0].judge_concept(ids, statement) if judges and statement else None
        for latent in ids:
            rows[latent] = with_concept(rows[latent], concept_id, found)
    return rows


def _confidence(row: LatentLabel) -> float:
    return -1.0 if row.confidence is None else row.confidence
