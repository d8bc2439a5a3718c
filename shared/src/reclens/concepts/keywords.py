"""Keyword labels: the terms that set a latent's answers apart from all answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.stats import false_discovery_control, hypergeom

from reclens.concepts.evidence import Evidence
from reclens.concepts.measures import auroc, ranks
from reclens.concepts.terms import Vocabulary

MIN_GAIN = 0.02
"""A further term must raise the separation of firing from silent cases by this much AUROC."""
MIN_SEPARATION = 0.55
"""AUROC on the users that labels are made from, below which a label says too little."""
DOMINANCE = 0.5
"""Share of a latent's activation on one top item, from which that item may be its meaning."""
SIGNIFICANCE = 0.05
"""False discovery rate over all latents and terms."""

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


@dataclass(frozen=True, eq=False)
class TermStatistics:
    """How often each term occurs in each latent's evidence, against the background.

    Only terms that an evidence item carries are held, latent by latent: with thousands of latents
    and terms most never meet.
    """

    bounds: np.ndarray
    """int64 [n_latents + 1]: entries of latent j are ``bounds[j]:bounds[j + 1]``."""
    terms: np.ndarray
    """int64 [n_entries]: columns of the vocabulary, rising within a latent."""
    share: np.ndarray
    """float64 [n_entries]: share of the evidence answers that carry the term, weighted by
    activation and rank."""
    support: np.ndarray
    """float64 [n_entries]: share of the evidence items that carry the term."""
    significant: np.ndarray
    """bool [n_entries]: the support is more than chance."""
    background: np.ndarray
    """float64 [n_terms]: share of all answers that carry the term, weighted by rank."""
    inverse_frequency: np.ndarray
    """float64 [n_terms]: log(1 + A / background), A the mean number of an item's terms."""

    @property
    def lift(self) -> np.ndarray:
        """float64 [n_entries]: share over background."""
        return self.share / self.background[self.terms]

    @property
    def ctfidf(self) -> np.ndarray:
        """Class-based TF-IDF, float64 [n_entries]: share x inverse frequency.

        Source: M. Grootendorst, arXiv 2203.05794, equation 2; a latent is a class, its evidence
        the class's document, and all answers are the reference that frequencies are taken from.
        """
        return self.share * self.inverse_frequency[self.terms]

    def of(self, latent: int) -> slice:
        """Entries of a latent."""
        return slice(int(self.bounds[latent]), int(self.bounds[latent + 1]))


def term_statistics(evidence: Evidence, vocabulary: Vocabulary) -> TermStatistics:
    """Count terms in the evidence of all latents at once.

    The support is tested against drawing as many items from all that were ever answered
    (hypergeometric), with the false discovery rate controlled over all latents and terms that
    occur (Benjamini-Hochberg).
    """
    carried = vocabulary.membership
    background = np.asarray(evidence.background @ carried).ravel()
    mean_terms = float(background.sum())
    inverse = np.log1p(
        np.divide(mean_terms, background, out=np.zeros_like(background), where=background > 0)
    )

    sizes = np.array([len(items) for items in evidence.items], dtype=np.int64)
    rows = np.repeat(np.arange(len(sizes)), sizes)
    columns = np.concatenate([*evidence.items, np.empty(0, np.int64)])
    chosen = sparse.csr_matrix(
        (np.ones(len(columns)), (rows, columns)), shape=evidence.item_shares.shape
    )
    counts = sparse.csr_matrix(chosen @ carried)
    counts.sort_indices()
    latent = np.repeat(np.arange(len(sizes)), np.diff(counts.indptr))
    term = counts.indices.astype(np.int64)
    share = sparse.csr_matrix(evidence.item_shares @ carried)[latent, term]

    pool = evidence.background > 0
    in_pool = np.asarray(carried[pool].sum(axis=0)).ravel()
    significant = np.zeros(len(term), bool)
    if len(term):
        chance = hypergeom.sf(counts.data - 1, int(pool.sum()), in_pool[term], sizes[latent])
        significant = false_discovery_control(np.clip(chance, 0, 1)) <= SIGNIFICANCE
    return TermStatistics(
        bounds=counts.indptr.astype(np.int64),
        terms=term,
        share=np.asarray(share).ravel(),
        support=counts.data / np.maximum(sizes, 1)[latent],
        significant=significant,
        background=background,
        inverse_frequency=inverse,
    )


def choose_labels(
    activations: sparse.csr_matrix,
    answers: sparse.csr_matrix,
    evidence: Evidence,
    vocabulary: Vocabulary,
    *,
    max_terms: int,
    min_lift: float,
    min_support: float,
    seed: int,
    statistics: TermStatistics | None = None,
    latents: Sequence[int] | None = None,
) -> Iterator[KeywordLabel | None]:
    """Yield the label of each latent in turn, None where nothing can honestly be said.

    The significant terms with enough lift and support compete: candidates are the best by
    class-based TF-IDF, and of them those are taken, one after the other, that together separate
    firing from silent cases best. A latent whose activation falls mostly on one top item is
    labelled by that item, unless terms separate better. All of it sees only the users that labels
    are made from.

    Args:
        activations: [n_cases, n_latents], of these users.
        answers: [n_cases, n_items], their `Cases.item_weights`.
        evidence: of the same cases.
        vocabulary: terms to choose from.
        max_terms: terms of a label at most.
        min_lift: least `TermStatistics.lift`.
        min_support: least `TermStatistics.support`.
        seed: of the draw of silent cases.
        statistics: of the same evidence. None: made here.
        latents: which to label, None: all. A latent's label does not depend on it.
    """
    statistics = statistics or term_statistics(evidence, vocabulary)
    ctfidf = statistics.ctfidf
    allowed = (
        statistics.significant & (statistics.lift >= min_lift) & (statistics.support >= min_support)
    )
    kinds = np.array([term.kind for term in vocabulary.terms], dtype=np.int64)
    by_latent = sparse.csc_matrix(activations)
    columns = sparse.csc_matrix(answers @ vocabulary.membership)
    by_item = sparse.csc_matrix(answers)
    n_cases = len(activations.indptr) - 1
    for latent in range(len(by_latent.indptr) - 1) if latents is None else latents:
        if not evidence.is_enough(latent):
            yield None
            continue
        inside = statistics.of(latent)
        candidates, weight = (
            array[inside][allowed[inside]] for array in (statistics.terms, ctfidf)
        )
        candidates = candidates[np.lexsort((candidates, -weight))[:_MAX_CANDIDATES]]
        firing = by_latent.indices[by_latent.indptr[latent] : by_latent.indptr[latent + 1]]
        rows, positive = _sample(firing, n_cases, np.random.default_rng([seed, latent]))
        scores = columns[:, candidates].toarray()[rows]
        scores *= statistics.inverse_frequency[candidates]
        picked, separation = _forward(scores, positive, kinds[candidates], max_terms)
        single = _single_item(latent, evidence, min_lift)
        if single is not None:
            alone = by_item[:, [single.item]].toarray()[rows, 0]
            if not picked or auroc(ranks(alone), positive) >= separation:
                yield single
                continue
        if picked:
            yield described_label(latent, candidates[picked].tolist(), evidence, vocabulary)
        else:
            yield None


def described_label(
    latent: int, terms: Sequence[int], evidence: Evidence, vocabulary: Vocabulary
) -> KeywordLabel:
    """A label of these terms, with how far the latent's evidence supports it."""
    carries = np.asarray(vocabulary.membership[:, list(terms)].sum(axis=1)).ravel() > 0
    items = evidence.items[latent]
    share = float((evidence.item_shares[latent] @ carries)[0])
    return KeywordLabel(
        terms=tuple(terms),
        support=float(carries[items].mean()),
        lift=share / float(evidence.background @ carries),
    )


def item_label(latent: int, item: int, evidence: Evidence) -> KeywordLabel:
    """A label of one item that is on top in some case, with how far the evidence supports it."""
    share = float(evidence.top_shares[latent, item])
    return KeywordLabel(item=item, support=share, lift=share / evidence.top_background[item])


def label_vector(
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


def _sample(
    firing: np.ndarray, n_cases: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    fires = np.zeros(n_cases, bool)
    fires[firing] = True
    silent = np.nonzero(~fires)[0]
    if len(silent) > _N_SILENT:
        silent = rng.choice(silent, size=_N_SILENT, replace=False)
    rows = np.concatenate([firing, silent])
    return rows, np.arange(len(rows)) < len(firing)


def _forward(
    scores: np.ndarray, positive: np.ndarray, kinds: np.ndarray, max_terms: int
) -> tuple[list[int], float]:
    """Columns of ``scores`` [n_cases, n_candidates] whose sum separates best, taken greedily, and
    the AUROC that they reach."""
    picked: list[int] = []
    total = np.zeros(len(positive))
    reached = 0.5
    while len(picked) < max_terms:
        rest = [index for index in range(scores.shape[1]) if index not in picked]
        if not rest:
            break
        separation = np.array([auroc(ranks(total + scores[:, i]), positive) for i in rest])
        needed = max(reached + MIN_GAIN, MIN_SEPARATION)
        if not separation.max() >= needed:
            break
        close = [
            index
            for index, value in zip(rest, separation, strict=True)
            if value >= max(separation.max() - _TOLERANCE, needed)
        ]
        winner = min(close, key=lambda index: (kinds[index], -separation[rest.index(index)]))
        reached = float(separation[rest.index(winner)])
        total = total + scores[:, winner]
        picked.append(winner)
    return picked, reached


def _single_item(latent: int, evidence: Evidence, min_lift: float) -> KeywordLabel | None:
    item = int(evidence.top_item[latent])
    if item < 0:
        return None
    label = item_label(latent, item, evidence)
    return label if label.support >= DOMINANCE and label.lift >= min_lift else None
