"""Corrections: what people change of the machine's labels, and what comes of it.

What people say stands over what the machine says.

`make_correction` checks what a person asks for and words it as an entry of the log;
`apply_corrections` applies the log to the machine's labels; `measure_by_keywords` measures a
concept that people made of several, as the machine measures its own.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import replace
from statistics import median
from typing import Any, Final

import numpy as np

from reclens.concepts.evidence.item_text import (
    MAX_TITLE,
    clean,
    free_slug,
    item_names,
    meaning_of,
    slug,
)
from reclens.concepts.evidence.keywords import KeywordLabel, keyword_item_scores
from reclens.concepts.judging.judges import Judge, Statement
from reclens.concepts.labels.concepts import Concept, rows_by_concept
from reclens.concepts.labels.labelling import LabellingContext
from reclens.concepts.labels.rows import with_concept
from reclens.contracts import ConceptCorrection
from reclens.contracts.specs.corrections import CorrectionOperation
from reclens.contracts.tables.concepts import Judgement, LatentLabel
from reclens.errors import InvalidInput, NotFound

_MAX_SENTENCE = 400


def make_correction(
    concept_id: str,
    concepts: Sequence[Concept],
    log: Sequence[ConceptCorrection],
    *,
    author: str,
    at: str,
    rename: str | None = None,
    description: str | None = None,
    merge: Sequence[str] = (),
    reject: bool = False,
    restore: bool = False,
    reason: str = "",
) -> ConceptCorrection:
    """Check what a person asks for against the concepts as they are, and word it as a correction.

    A merge without a name keeps the name of ``concept_id``. ``restore`` also finds a concept that
    is no longer there, because it was rejected or renamed, in the log.

    Args:
        concept_id: concept to correct.
        concepts: of the release, corrections included.
        log: corrections that the release has applied.
        author: who asks.
        at: when, UTC, ISO 8601.
        rename: name to give it.
        description: sentence to give with the name.
        merge: other concepts to join to it.
        reject: take the label away.
        restore: give back what the machine says.
        reason: why the person asks for it; kept in the log.

    Raises:
        InvalidInput: not exactly one thing is asked for, or a name that another concept has.
        NotFound: there is no such concept.
    """
    named = rename is not None or description is not None
    wanted: dict[CorrectionOperation, bool] = {
        "merge": bool(merge),
        "rename": named and not merge,
        "reject": reject,
        "restore": restore,
    }
    asked: list[CorrectionOperation] = [
        operation for operation, is_wanted in wanted.items() if is_wanted
    ]
    if len(asked) != 1:
        raise InvalidInput(
            "exactly one thing can be done at a time.",
            field="edit",
            remedy="give --rename (with --description), --merge (with --rename), --reject or "
            "--restore.",
        )
    operation = asked[0]
    by_id = {concept.concept_id: concept for concept in concepts}
    logged = next((one for one in reversed(log) if one.concept_id == concept_id), None)
    if restore and concept_id not in by_id and logged is not None:
        was, latents = logged.was, set(logged.latents)
    else:
        concept = _found(concept_id, by_id, "concept_id")
        others = [_found(other, by_id, "merge") for other in merge]
        if concept in others:
            raise InvalidInput(
                f"{concept_id!r} cannot be merged with itself.",
                field="merge",
                remedy="name other concepts.",
            )
        was = concept.label
        latents = {latent for one in (concept, *others) for latent in one.latents}
    name = None
    if operation in {"rename", "merge"}:
        name = clean(was if rename is None else rename, MAX_TITLE)
        _check_name(name, [one for one in concepts if one.concept_id not in {concept_id, *merge}])
    return ConceptCorrection(
        operation=operation,
        concept_id=concept_id,
        was=was,
        latents=tuple(sorted(latents)),
        name=name,
        description=clean(description or "", _MAX_SENTENCE) or None,
        author=clean(author, MAX_TITLE) or "unknown",
        reason=clean(reason, _MAX_SENTENCE),
        at=at,
    )


def _check_name(name: str, others: Sequence[Concept]) -> None:
    """Refuse a name that nobody can read, or that another concept has."""
    if not name:
        raise InvalidInput(
            "a concept needs a name that can be read.", field="rename", remedy="give a word or two."
        )
    for other in others:
        if _spelt(other.label) == _spelt(name) or other.concept_id == slug(name):
            raise InvalidInput(
                f"{other.concept_id!r} is called {other.label!r} already.",
                field="rename",
                remedy=f"choose another name, or join them with --merge {other.concept_id}.",
            )


def _spelt(name: str) -> str:
    """What a name means, without accents where its letters are Latin: who reads ``Drama`` and
    ``dráma`` takes them for one."""
    meaning = meaning_of(name)
    apart = unicodedata.normalize("NFKD", meaning)
    plain = "".join(sign for sign in apart if not unicodedata.combining(sign))
    return plain if plain.isascii() else meaning


def _found(concept_id: str, by_id: dict[str, Concept], field: str) -> Concept:
    if concept_id in by_id:
        return by_id[concept_id]
    message, otherwise = f"there is no concept {concept_id!r}.", "see `reclens concepts list`."
    raise NotFound.named(message, concept_id, by_id, field=field, otherwise=otherwise)


HUMAN: Final = "human"
"""``source`` of what people said."""
CREDIT: Final = "Named by "
"""Begins what is said, after a description that people gave, of who gave the name."""
_LABELS_NAMED: Final = 3

Measure = Callable[[Sequence[LatentLabel]], Judgement | None]
"""Judges the union of some latents by the union of the keywords that the machine gave them: takes
their rows as the machine made them. None where there is nothing to judge by, or too few cases."""


def apply_corrections(
    rows: Sequence[LatentLabel], corrections: Sequence[ConceptCorrection], measure: Measure
) -> list[LatentLabel]:
    """The labels after all corrections.

    Of the corrections to a latent the last one stands. Latents that one correction named carry one
    concept, whatever the machine says of them; the others keep the machine's. Figures of a latent
    are always those of the machine's label for it. Those of a concept are kept where its latents
    are the machine's own concept, and measured anew where they are not. A name that is not the
    machine's is not trusted, neither for a latent nor for the concept, whatever the figures: nobody
    measured it.

    A name that people gave has the id of that name; where a machine's concept has it, that one
    gets a number.

    Args:
        rows: row j is latent j, as the machine made it.
        corrections: in the order they were made.
        measure: called for every concept whose latents no longer are one concept of the machine.

    Raises:
        InvalidInput: a correction is about a latent that there is not.
    """
    standing = _standing(corrections, len(rows))
    edited = list(rows)
    named: dict[int, list[LatentLabel]] = {}
    for latent, number in sorted(standing.items()):
        if corrections[number].operation == "reject":
            edited[latent] = _rejected(rows[latent], corrections[number])
        else:
            named.setdefault(number, []).append(rows[latent])
    machine = rows_by_concept(rows)
    taken: set[str] = set()
    for number, members in sorted(named.items()):
        concept_id = free_slug(corrections[number].name or "", taken)
        taken.add(concept_id)
        for row in _named(members, corrections[number], concept_id, machine, measure):
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


def corrected_metrics(
    base: dict[str, Any], rows: Sequence[LatentLabel], corrections: Sequence[ConceptCorrection]
) -> dict[str, Any]:
    """Metrics of the stage: counts and medians anew, the rest as the machine's labels have it.

    Args:
        base: metrics of the machine's labels.
        rows: after the corrections.
        corrections: that were applied.
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
        "edits": len(corrections),
        "human": len({row.concept_id for row in labelled if row.source == HUMAN}),
        "rejected_latents": sum(row.label is None and row.source == HUMAN for row in rows),
    }


def _standing(corrections: Sequence[ConceptCorrection], n_latents: int) -> dict[int, int]:
    """The correction that holds for each latent that people decided on."""
    standing: dict[int, int] = {}
    for number, correction in enumerate(corrections):
        if correction.latents[-1] >= n_latents:
            raise InvalidInput(
                f"edit {number + 1} is about latent {correction.latents[-1]} of {n_latents}.",
                field="edits",
                remedy="apply a log to labels of its own autoencoder.",
            )
        for latent in correction.latents:
            standing.pop(latent, None)
            if correction.operation != "restore":
                standing[latent] = number
    return standing


def _rejected(row: LatentLabel, correction: ConceptCorrection) -> LatentLabel:
    why = f": {correction.reason}" if correction.reason else "."
    return LatentLabel(
        row.latent,
        description=f"Rejected by {correction.author}{why}",
        evidence_items=row.evidence_items,
        source=HUMAN,
    )


def _named(
    members: list[LatentLabel],
    correction: ConceptCorrection,
    concept_id: str,
    machine: dict[str, list[LatentLabel]],
    measure: Measure,
) -> list[LatentLabel]:
    whole = machine.get(members[0].concept_id or "") == members
    figured = members if whole else _measured(members, measure)
    # Most telling first, as a concept lists its latents.
    ordered = sorted(members, key=lambda row: -1.0 if row.confidence is None else -row.confidence)
    keywords = tuple(dict.fromkeys(word for row in ordered for word in row.keywords))
    measured = all(row.label == correction.name for row in members)
    return [
        replace(
            row,
            concept_id=concept_id,
            label=correction.name,
            description=_description(correction, ordered),
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


def _description(correction: ConceptCorrection, members: Sequence[LatentLabel]) -> str:
    labels = list(dict.fromkeys(row.label for row in members if row.label is not None))
    shown = " and ".join(f"'{label}'" for label in labels[:_LABELS_NAMED])
    more = f" and {len(labels) - _LABELS_NAMED} more" if len(labels) > _LABELS_NAMED else ""
    measured = (
        f"figures are those of the machine's {'labels' if len(labels) > 1 else 'label'} "
        f"{shown}{more}"
        if labels
        else "the machine has no label for it, so nothing was measured"
    )
    return f"{correction.description or ''} {CREDIT}{correction.author}; {measured}.".strip()


def _measured(members: Sequence[LatentLabel], measure: Measure) -> list[LatentLabel]:
    """The rows with figures of the concept that they make together."""
    found = measure(members) if any(row.keywords for row in members) else None
    return [with_concept(row, row.concept_id, found) for row in members]


def measure_by_keywords(context: LabellingContext) -> Measure:
    """The keyword matcher as a judge of the union of latents, by the union of their keywords.

    A machine's own concept measured by it gets the figures that the matcher gave it.
    """
    items, background = context.items, context.evidence.background
    vocabulary, inverse = context.vocabulary, context.keywords.statistics.inverse_frequency
    mean_terms = float(np.asarray(background @ vocabulary.membership).sum())
    terms = vocabulary.columns
    names = item_names(items)

    def item_scores(rows: Sequence[LatentLabel]) -> np.ndarray | None:
        words = list(dict.fromkeys(word for row in rows for word in row.keywords))
        known = tuple(terms[word] for word in words if word in terms)
        found = keyword_item_scores(KeywordLabel(terms=known), vocabulary, inverse)
        for word in words:
            if word in terms:
                continue
            # A label that names one item: of those with its name the one most recommended.
            named = [item for item, name in enumerate(names) if name == word]
            share, item = max(((background[i], i) for i in named), default=(0.0, -1))
            if share > 0:
                found[item] += math.log1p(mean_terms / share)
        return found if found.any() else None

    def measure(rows: Sequence[LatentLabel]) -> Judgement | None:
        scores, n_judged = item_scores(rows), context.options.n_judged
        judge = Judge("keywords", lambda _: scores, context.held_out, n_judged=n_judged)
        return judge.judge_concept([row.latent for row in rows], Statement(""))

    return measure
