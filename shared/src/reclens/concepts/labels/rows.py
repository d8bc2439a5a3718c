"""Rows of the concepts table: a latent's figures, those of its concept, and of all of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields, replace
from typing import Any, Final

import numpy as np

from reclens.contracts import JudgeName
from reclens.contracts.tables.concepts import Judgement, LatentLabel

ONE_ITEM: Final = "One item: "
"""Begins a keyword label that is the name of one item."""


def names_one_item(label: str | None, source: str) -> bool:
    """Whether a label was made of one item's name, which then is its only keyword.

    Args:
        label: None where there is none.
        source: who made it. What people or language models say may begin alike and means no item.
    """
    return source == "keywords" and label is not None and label.startswith(ONE_ITEM)


def with_control(judgement: Judgement, found: Judgement) -> Judgement:
    """The judgement beside its control: what the judge achieved with another latent's label."""
    return replace(
        judgement,
        shuffled_confidence=found.confidence,
        shuffled_auroc=found.auroc,
        shuffled_paper_p=found.paper_p,
    )


def with_judgements(
    row: LatentLabel, judgements: Sequence[Judgement], first: JudgeName
) -> LatentLabel:
    """The row with what judges made of it; its own figures are those of the judge ``first``."""
    own = next((one for one in judgements if one.judge == first), None)
    return replace(
        row,
        **_repeated(own),
        balanced_accuracy=None if own is None else own.confidence,
        judgements=tuple(judgements),
    )


def with_concept(row: LatentLabel, concept_id: str | None, found: Judgement | None) -> LatentLabel:
    """The row with its concept's id, and the figures that were found for the whole concept.

    Args:
        row: of a latent that carries it.
        concept_id: its id; None leaves it open.
        found: None where the concept cannot be measured: the row then has no such figures.
    """
    return replace(row, concept_id=concept_id, **_repeated(found, "concept_"))


def _repeated(judgement: Judgement | None, prefix: str = "") -> dict[str, Any]:
    """Columns of a row that repeat a judgement; without one, as they are in a bare row."""
    sources = {prefix + field.name: field.name for field in fields(Judgement)}
    return {
        field.name: field.default if judgement is None else getattr(judgement, sources[field.name])
        for field in fields(LatentLabel)
        if field.name in sources
    }


_INTERPRETABLE = 0.8  # least P of an interpretable latent in the published protocol


def label_metrics(rows: Sequence[LatentLabel], judges: Sequence[JudgeName]) -> dict[str, Any]:
    """Counts of labels; the figures of the first judge; and those of every judge by name.

    Args:
        rows: row j is latent j, judgements and controls filled in.
        judges: as they were named, the one that decides first.
    """
    labelled = [row for row in rows if row.label is not None]
    by_judge = {name: _figures(_by(name, labelled)) for name in judges}
    return {
        "labelled": len(labelled),
        "single_item": sum(names_one_item(row.label, row.source) for row in labelled),
        "distinct": len({row.label for row in labelled}),
        **by_judge[judges[0]],
        "judges": by_judge,
    }


def _by(judge: JudgeName, rows: Iterable[LatentLabel]) -> list[Judgement]:
    return [one for row in rows for one in row.judgements if one.judge == judge]


def _figures(judged: Sequence[Judgement]) -> dict[str, Any]:
    areas = [one.auroc for one in judged]
    return {
        "judged": len(judged),
        "trusted": sum(one.trusted for one in judged),
        "balanced_accuracy_median": _median(one.confidence for one in judged),
        "auroc_median": _median(areas),
        "auroc_share_08": float(np.mean(np.array(areas) >= 0.8)) if areas else None,
        "paper_p_share_08": _share(one.paper_p for one in judged),
        "shuffled_auroc_median": _median(one.shuffled_auroc for one in judged),
        "shuffled_balanced_accuracy_median": _median(one.shuffled_confidence for one in judged),
        "shuffled_paper_p_share_08": _share(one.shuffled_paper_p for one in judged),
    }


def _share(values: Iterable[float | None]) -> float | None:
    """Share of the known P that make a latent interpretable; None without any."""
    known = [value for value in values if value is not None]
    return sum(value >= _INTERPRETABLE for value in known) / len(known) if known else None


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.median(known)) if known else None
