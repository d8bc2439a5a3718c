"""Measures a concept that people made of several, as the machine measures its own."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from reclens.concepts.evidence.item_text import item_names
from reclens.concepts.evidence.keywords import KeywordLabel, label_vector
from reclens.concepts.judging.confidence import Confidence
from reclens.concepts.judging.judges import Statement
from reclens.concepts.judging.verdicts import Judge
from reclens.concepts.labels.labelling import Workbench
from reclens.concepts.people.corrections import Measure
from reclens.contracts import JudgeName
from reclens.contracts.tables.concepts import LatentLabel


def keyword_measure(workbench: Workbench) -> Measure:
    """The keyword matcher as a judge of the union of latents, by the union of their keywords.

    A machine's own concept measured by it gets the figures that the matcher gave it.
    """
    items, background = workbench.items, workbench.evidence.background
    vocabulary, inverse = workbench.vocabulary, workbench.keywords.statistics.inverse_frequency
    mean_terms = float(np.asarray(background @ vocabulary.membership).sum())
    terms = vocabulary.columns
    names = item_names(items)

    def item_scores(rows: Sequence[LatentLabel]) -> np.ndarray | None:
        words = list(dict.fromkeys(word for row in rows for word in row.keywords))
        known = tuple(terms[word] for word in words if word in terms)
        found = label_vector(KeywordLabel(terms=known), vocabulary, inverse)
        for word in words:
            if word in terms:
                continue
            # A label that names one item: of those with its name the one most recommended.
            named = [item for item, name in enumerate(names) if name == word]
            share, item = max(((background[i], i) for i in named), default=(0.0, -1))
            if share > 0:
                found[item] += math.log1p(mean_terms / share)
        return found if found.any() else None

    def measure(rows: Sequence[LatentLabel]) -> Confidence | None:
        reader = _Known(item_scores(rows))
        judge = Judge(reader, workbench.held_out, n_judged=workbench.options.n_judged)
        return judge.of_concept([row.latent for row in rows], Statement(""))

    return measure


class _Known:
    """A reader that was told what each item says."""

    name: JudgeName = "keywords"

    def __init__(self, item_scores: np.ndarray | None) -> None:
        self._item_scores = item_scores

    def item_scores(self, statement: Statement) -> np.ndarray | None:
        return self._item_scores
