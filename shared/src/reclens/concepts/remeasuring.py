"""Measures a concept that people made of several, as the machine measures its own."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import sparse

from reclens.concepts.cases import Cases, strongest_activation
from reclens.concepts.confidence import (
    Confidence,
    JudgedCases,
    best_threshold,
    judge,
    sample_cases,
)
from reclens.concepts.edits import Measure
from reclens.concepts.evidence import gather_evidence
from reclens.concepts.grouping import LatentLabel
from reclens.concepts.keywords import KeywordLabel, label_vector, term_statistics
from reclens.concepts.terms import build_vocabulary
from reclens.concepts.text import MAX_TITLE, clean
from reclens.contracts import ConceptsOptions
from reclens.data.dataset import Items

_PAPER, _CONCEPT = 1, 2  # the streams of random numbers that labelling draws a concept's cases from


def keyword_measure(
    construct: Cases,
    verify: Cases,
    items: Items,
    scale: np.ndarray,
    *,
    options: ConceptsOptions,
) -> Measure:
    """The keyword matcher as a judge of the union of latents, by the union of their keywords.

    A machine's own concept measured by it gets the figures that it has.

    Args:
        construct: cases of the users that labels were made from; thresholds are fixed on them.
        verify: cases of the users that labels are judged on.
        items: of the data set.
        scale: float [n_latents], unit of each latent's activation.
        options: how the machine's labels were made.
    """
    evidence = gather_evidence(construct, len(items), n_evidence=options.n_evidence)
    vocabulary = build_vocabulary(items, min_items=options.min_items)
    inverse = term_statistics(evidence, vocabulary).inverse_frequency
    mean_terms = float(np.asarray(evidence.background @ vocabulary.membership).sum())
    terms = {term.text: index for index, term in enumerate(vocabulary.terms)}
    titles = [
        clean(title, MAX_TITLE) or clean(items.ids[i], MAX_TITLE)
        for i, title in enumerate(items.titles)
    ]
    unit = np.where(scale > 0, scale, 1.0)
    sides = [
        (cases.item_weights(len(items)), sparse.csc_matrix(cases.activations))
        for cases in (construct, verify)
    ]

    def vector(rows: Sequence[LatentLabel]) -> np.ndarray | None:
        words = list(dict.fromkeys(word for row in rows for word in row.keywords))
        known = tuple(terms[word] for word in words if word in terms)
        found = label_vector(KeywordLabel(terms=known), vocabulary, inverse)
        for word in words:
            if word in terms:
                continue
            # A label that names one item: of those with its title the one most recommended.
            named = [item for item, title in enumerate(titles) if title == word]
            share, item = max(((evidence.background[i], i) for i in named), default=(0.0, -1))
            if share > 0:
                found[item] += math.log1p(mean_terms / share)
        return found if found.any() else None

    def measure(rows: Sequence[LatentLabel]) -> Confidence | None:
        weights = vector(rows)
        if weights is None:
            return None
        latents = [row.latent for row in rows]
        profile = np.asarray(evidence.item_shares[latents].sum(axis=0)).ravel()

        def asked(side: int) -> tuple[np.ndarray, np.ndarray, JudgedCases]:
            answers, by_latent = sides[side]
            values = strongest_activation(by_latent, latents, unit)
            rng = np.random.default_rng([options.seed, _CONCEPT, *latents, side])
            cases = sample_cases(values, answers @ profile, options.n_judged, rng)
            # Rounded as labelling rounds: equal sums must be equal.
            return np.round(np.asarray(answers @ weights), 9), values, cases

        scores, _, cases = asked(0)
        threshold = best_threshold(scores[cases.rows], cases.fires)
        scores, values, cases = asked(1)
        rng = np.random.default_rng([options.seed, _PAPER, _CONCEPT, *latents])
        return judge(scores, values, threshold, cases, rng)

    return measure
