"""What the labels of a dictionary are worth in sum, judge by judge."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from reclens.concepts.labels.rows import names_one_item
from reclens.contracts import JudgeName
from reclens.contracts.tables.concepts import Judgement, LatentLabel

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
