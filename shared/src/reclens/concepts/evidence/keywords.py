"""Keyword labels: the terms that set a latent's answers apart from all answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.stats import rankdata

from reclens.concepts.evidence.cases import Cases, firing_cases
from reclens.concepts.evidence.classification_metrics import auroc
from reclens.concepts.evidence.latent_evidence import Evidence
from reclens.concepts.evidence.term_statistics import FALSE_LABELS, UserDraws, term_statistics
from reclens.concepts.evidence.vocabulary import Vocabulary
from reclens.contracts import ConceptsOptions

MIN_GAIN = 0.02
"""A further term must raise the separation of firing from silent cases by this much AUROC."""
MIN_SEPARATION = 0.55
"""AUROC on the users that labels are made from, below which a label says too little."""
DOMINANCE = 0.5
"""Share of a latent's activation on one top item, from which that item may be its meaning."""

_MAX_CANDIDATES = 15
_N_SILENT = 1500
# Within this much AUROC of the best, the simpler term is taken.
_TOLERANCE = 0.005


@dataclass(frozen=True)
class KeywordLabel:
    """A label of one latent."""

    terms: tuple[int, ...] = ()
    """Columns of the vocabulary, most telling first; empty for a single item."""
    item: int | None = None
    """The one item that the latent stands for, instead of terms."""
    support: float = 0.0
    """Share of the evidence items that carry one of the terms; for a single item its share of the
    activation."""
    lift: float = 0.0
    """How many times more of the answers carry them when the latent fires than in general."""


class KeywordSelector:
    """Finds the label of any latent, or none where nothing can honestly be said.

    The significant terms with enough lift and support compete: candidates are the best by
    class-based TF-IDF, and of them those are taken, one after the other, that together separate
    firing from silent cases best. A latent whose activation falls mostly on one top item is
    labelled by that item, unless terms separate better. All of it sees only the users that labels
    are made from. Safe to share between threads.

    Args:
        cases: of these users.
        evidence: of the same cases.
        vocabulary: terms to choose from.
        options: how to label.
    """

    def __init__(
        self, cases: Cases, evidence: Evidence, vocabulary: Vocabulary, options: ConceptsOptions
    ) -> None:
        self._evidence = evidence
        self._vocabulary = vocabulary
        self._options = options
        answers = cases.item_weights(len(evidence.background))
        self._by_latent = cases.by_latent
        self._by_term = sparse.csc_matrix(answers @ vocabulary.membership)
        self._by_item = sparse.csc_matrix(answers)
        self._kinds = np.array([term.kind for term in vocabulary.terms], dtype=np.int64)
        draws = UserDraws(cases)
        self.statistics = term_statistics(
            evidence,
            vocabulary,
            draws=draws,
            answer_terms=self._by_term,
            min_support=options.min_support,
        )
        self._allowed = self.statistics.significant & (self.statistics.lift >= options.min_lift)
        self._ctfidf = self.statistics.ctfidf
        self._single = self._single_items(cases, draws)

    def offered(self, latent: int) -> np.ndarray:
        """Terms that may name a latent, int64, the best by class-based TF-IDF first."""
        inside = self.statistics.of(latent)
        allowed = self._allowed[inside]
        terms, weights = self.statistics.terms[inside][allowed], self._ctfidf[inside][allowed]
        return terms[np.lexsort((terms, -weights))]

    def choose(self, latent: int) -> KeywordLabel | None:
        """The label of a latent."""
        if not self._evidence.is_enough(latent):
            return None
        candidates = self.offered(latent)[:_MAX_CANDIDATES]
        rows, positive = self._sample(latent)
        scores = self._by_term[:, candidates].toarray()[rows]
        scores *= self.statistics.inverse_frequency[candidates]
        picked, separation = _forward(
            scores, positive, self._kinds[candidates], self._options.max_terms
        )
        single = self._single.get(latent)
        if single is not None:
            alone = self._by_item[:, [single.item]].toarray()[rows, 0]
            if not picked or auroc(rankdata(alone), positive) >= separation:
                return single
        if not picked:
            return None
        return self.label_of_terms(latent, candidates[picked].tolist())

    def label_of_terms(self, latent: int, terms: Sequence[int]) -> KeywordLabel:
        """A label of these terms, with how far the latent's evidence supports it."""
        carries = np.asarray(self._vocabulary.membership[:, list(terms)].sum(axis=1)).ravel() > 0
        share = float((self._evidence.item_shares[latent] @ carries)[0])
        return KeywordLabel(
            terms=tuple(terms),
            support=float(carries[self._evidence.items[latent]].mean()),
            lift=share / float(self._evidence.background @ carries),
        )

    def label_of_item(self, latent: int, item: int) -> KeywordLabel:
        """A label of one item that is on top in some case, with how far the evidence supports
        it."""
        share = float(self._evidence.top_shares[latent, item])
        lift = share / self._evidence.top_background[item]
        return KeywordLabel(item=item, support=share, lift=lift)

    def supported(self, latent: int, label: KeywordLabel) -> KeywordLabel:
        """The same label for another latent, with how far that one's evidence supports it."""
        if label.item is None:
            return self.label_of_terms(latent, label.terms)
        return self.label_of_item(latent, label.item)

    def _single_items(self, cases: Cases, draws: UserDraws) -> dict[int, KeywordLabel]:
        """Labels of latents that one item on top may be all of."""
        labels: dict[int, KeywordLabel] = {}
        for latent in np.nonzero(self._evidence.top_item >= 0)[0].tolist():
            label = self.label_of_item(latent, int(self._evidence.top_item[latent]))
            if label.support >= DOMINANCE and label.lift >= self._options.min_lift:
                labels[latent] = label
        latents = np.array(list(labels), dtype=np.int64)
        items = self._evidence.top_item[latents]
        top = cases.top_items[:, 0]
        rows = np.nonzero(top >= 0)[0]
        on_top = sparse.csc_matrix(
            (np.ones(len(rows)), (rows, top[rows])), shape=self._by_item.get_shape()
        )
        # The item was chosen as the most frequent of all that were on top.
        n_choices = np.diff(self._evidence.top_shares.indptr)[latents]
        chances = draws.chances(on_top, latents, items) * n_choices
        return {one: labels[one] for one in latents[chances <= FALSE_LABELS].tolist()}

    def _sample(self, latent: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows of the firing and of some silent cases, and which of them fire."""
        firing, _ = firing_cases(self._by_latent, latent)
        fires = np.zeros(self._by_latent.get_shape()[0], bool)
        fires[firing] = True
        silent = np.nonzero(~fires)[0]
        if len(silent) > _N_SILENT:
            rng = np.random.default_rng([self._options.seed, latent])
            silent = rng.choice(silent, size=_N_SILENT, replace=False)
        rows = np.concatenate([firing, silent])
        return rows, np.arange(len(rows)) < len(firing)


def keyword_item_scores(
    label: KeywordLabel, vocabulary: Vocabulary, inverse_frequency: np.ndarray
) -> np.ndarray:
    """What each item says for the label, float64 [n_items]: the keyword matcher's whole knowledge.

    The sum of the inverse frequencies of the label's terms that the item carries; for a single
    item 1 at that item. It depends on nothing but the label, so the same label judges alike.
    """
    if label.item is not None:
        vector = np.zeros(len(vocabulary.membership.indptr) - 1)
        vector[label.item] = 1.0
        return vector
    terms = list(label.terms)
    return np.asarray(vocabulary.membership[:, terms] @ inverse_frequency[terms]).ravel()


def _forward(
    scores: np.ndarray, positive: np.ndarray, kinds: np.ndarray, max_terms: int
) -> tuple[list[int], float]:
    """Columns of ``scores`` [n_cases, n_candidates] whose sum separates best, taken greedily, and
    the AUROC that they reach."""
    picked: list[int] = []
    total = np.zeros(len(positive))
    reached = 0.5
    while len(picked) < max_terms:
        separation = np.array(
            [
                -np.inf if index in picked else auroc(rankdata(total + column), positive)
                for index, column in enumerate(scores.T)
            ]
        )
        best, needed = separation.max(initial=-np.inf), max(reached + MIN_GAIN, MIN_SEPARATION)
        if not best >= needed:
            break
        close = np.flatnonzero(separation >= max(best - _TOLERANCE, needed)).tolist()
        winner = min(close, key=lambda index: (kinds[index], -separation[index]))
        reached = float(separation[winner])
        total = total + scores[:, winner]
        picked.append(winner)
    return picked, reached
