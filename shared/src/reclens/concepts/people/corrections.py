"""People's edits, applied to the machine's labels. What people say stands over what it says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from statistics import median
from typing import Any, Final

from reclens.concepts.evidence.text import free_slug
from reclens.concepts.judging.confidence import Confidence
from reclens.concepts.labels.rows import with_concept
from reclens.contracts import ConceptEdit
from reclens.contracts.tables.concepts import LatentLabel
from reclens.errors import InvalidInput

HUMAN: Final = "human"
"""``source`` of what people said."""
CREDIT: Final = "Named by "
"""Begins what is said, after a description that people gave, of who gave the name."""
_LABELS_NAMED: Final = 3

Measure = Callable[[Sequence[LatentLabel]], Confidence | None]
"""Judges the union of some latents by the union of the keywords that the machine gave them: takes
their rows as the machine made them. None where there is nothing to judge by, or too few cases."""


def apply_edits(
    rows: Sequence[LatentLabel], edits: Sequence[ConceptEdit], measure: Measure
) -> list[LatentLabel]:
    """The labels after all edits.

    Of the edits to a latent the last one stands. Latents that one edit named carry one concept,
    whatever the machine says of them; the others keep the machine's. Figures of a latent are
    always those of the machine's label for it. Those of a concept are kept where its latents are
    the machine's own concept, and measured anew where they are not. A name that is not the
    machine's is not trusted, neither for a latent nor for the concept, whatever the figures:
    nobody measured it.

    A name that people gave has the id of that name; where a machine's concept has it, that one
    gets a number.

    Args:
        rows: row j is latent j, as the machine made it.
        edits: in the order they were made.
        measure: called for every concept whose latents no longer are one concept of the machine.

    Raises:
        InvalidInput: an edit is about a latent that there is not.
    """
    standing = _standing(edits, len(rows))
    edited = list(rows)
    named: dict[int, list[LatentLabel]] = {}
    for latent, number in sorted(standing.items()):
        if edits[number].operation == "reject":
            edited[latent] = _rejected(rows[latent], edits[number])
        else:
            named.setdefault(number, []).append(rows[latent])
    machine = _members(rows)
    taken: set[str] = set()
    for number, members in sorted(named.items()):
        concept_id = free_slug(edits[number].name or "", taken)
        taken.add(concept_id)
        for row in _named(members, edits[number], concept_id, machine, measure):
            edited[row.latent] = row
    left = {
        concept_id: [row for row in members if row.latent not in standing]
        for concept_id, members in machine.items()
    }
    kept = {concept_id for concept_id, members in left.items() if members} - taken
    taken |= kept
    for concept_id, members in left.items():
        new_id = concept_id if concept_id in kept else free_slug(concept_id, taken)
        if members:
            taken.add(new_id)
        whole = len(members) == len(machine[concept_id])
        for row in members if whole else _measured(members, measure):
            edited[row.latent] = replace(row, concept_id=new_id)
    return edited


def edited_metrics(
    base: dict[str, Any], rows: Sequence[LatentLabel], edits: Sequence[ConceptEdit]
) -> dict[str, Any]:
    """Metrics of the stage: counts and medians anew, the rest as the machine's labels have it.

    Args:
        base: metrics of the machine's labels.
        rows: after the edits.
        edits: that were applied.
    """
    labelled = [row for row in rows if row.label is not None]
    accuracies = [row.confidence for row in labelled if row.confidence is not None]
    areas = [row.auroc for row in labelled if row.auroc is not None]
    return {
        **base,
        "labelled": len(labelled),
        "judged": len(accuracies),
        "distinct": len({row.concept_id for row in labelled}),
        "trusted": sum(row.trusted for row in labelled),
        "balanced_accuracy_median": median(accuracies) if accuracies else None,
        "auroc_median": median(areas) if areas else None,
        "edits": len(edits),
        "human": len({row.concept_id for row in labelled if row.source == HUMAN}),
        "rejected_latents": sum(row.label is None and row.source == HUMAN for row in rows),
    }


def _standing(edits: Sequence[ConceptEdit], n_latents: int) -> dict[int, int]:
    """The edit that holds for each latent that people decided on."""
    standing: dict[int, int] = {}
    for number, edit in enumerate(edits):
        if edit.latents[-1] >= n_latents:
            raise InvalidInput(
                f"edit {number + 1} is about latent {edit.latents[-1]} of {n_latents}.",
                field="edits",
                remedy="apply a log to labels of its own autoencoder.",
            )
        for latent in edit.latents:
            standing.pop(latent, None)
            if edit.operation != "restore":
                standing[latent] = number
    return standing


def _members(rows: Sequence[LatentLabel]) -> dict[str, list[LatentLabel]]:
    members: dict[str, list[LatentLabel]] = {}
    for row in rows:
        if row.concept_id is not None:
            members.setdefault(row.concept_id, []).append(row)
    return members


def _rejected(row: LatentLabel, edit: ConceptEdit) -> LatentLabel:
    why = f": {edit.reason}" if edit.reason else "."
    return LatentLabel(
        row.latent,
        description=f"Rejected by {edit.author}{why}",
        evidence_items=row.evidence_items,
        source=HUMAN,
    )


def _named(
    members: list[LatentLabel],
    edit: ConceptEdit,
    concept_id: str,
    machine: dict[str, list[LatentLabel]],
    measure: Measure,
) -> list[LatentLabel]:
    whole = machine.get(members[0].concept_id or "") == members
    figured = members if whole else _measured(members, measure)
    # Most telling first, as a concept lists its latents.
    ordered = sorted(members, key=lambda row: -1.0 if row.confidence is None else -row.confidence)
    keywords = tuple(dict.fromkeys(word for row in ordered for word in row.keywords))
    measured = all(row.label == edit.name for row in members)
    return [
        replace(
            row,
            concept_id=concept_id,
            label=edit.name,
            description=_description(edit, ordered),
            keywords=keywords,
            trusted=row.trusted and measured,
            concept_trusted=row.concept_trusted and measured,
            source=HUMAN,
            prompt_version=None,
            model=None,
            evidence_hash=None,
        )
        for row in figured
    ]


def _description(edit: ConceptEdit, members: Sequence[LatentLabel]) -> str:
    labels = list(dict.fromkeys(row.label for row in members if row.label is not None))
    shown = " and ".join(f"'{label}'" for label in labels[:_LABELS_NAMED])
    more = f" and {len(labels) - _LABELS_NAMED} more" if len(labels) > _LABELS_NAMED else ""
    measured = (
        f"figures are those of the machine's {'labels' if len(labels) > 1 else 'label'} "
        f"{shown}{more}"
        if labels
        else "the machine has no label for it, so nothing was measured"
    )
    return f"{edit.description or ''} {CREDIT}{edit.author}; {measured}.".strip()


def _measured(members: Sequence[LatentLabel], measure: Measure) -> list[LatentLabel]:
    """The rows with figures of the concept that they make together."""
    found = measure(members) if any(row.keywords for row in members) else None
    return [with_concept(row, row.concept_id, found) for row in members]
