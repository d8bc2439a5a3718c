"""How often each term occurs in each latent's evidence, and whether that is more than chance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.stats import hypergeom

from reclens.concepts.evidence.significance import UserDraws, significant
from reclens.concepts.evidence.strongest import Evidence
from reclens.concepts.evidence.terms import Vocabulary


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
    """bool [n_entries]: the answers carry the term more than chance explains."""
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


def term_statistics(
    evidence: Evidence,
    vocabulary: Vocabulary,
    *,
    draws: UserDraws,
    answer_terms: sparse.csc_matrix,
    min_support: float,
) -> TermStatistics:
    """Count terms in the evidence of all latents at once.

    A term is significant where two things are unlikely: that its latent fired for users no matter
    who (`UserDraws.chances`, false discoveries controlled within each latent), and that its
    evidence items were drawn from all that were ever answered no matter which (hypergeometric,
    controlled over all latents and terms that occur). The one guards against few users, whose cases
    are alike; the other against terms that fit a few items by luck, and then fit them for everybody
    who is answered with them.

    Args:
        evidence: of the cases of the users that labels are made from.
        vocabulary: terms of the data set.
        draws: of the same cases.
        answer_terms: float64 [n_cases, n_terms], share of each answer that carries each term.
        min_support: terms that fewer of a latent's evidence items carry are not tested.
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
    bounds = counts.indptr.astype(np.int64)
    latent = np.repeat(np.arange(len(sizes)), np.diff(bounds))
    term = counts.indices.astype(np.int64)
    share = sparse.csr_matrix(evidence.item_shares @ carried)[latent, term]
    support = counts.data / np.maximum(sizes, 1)[latent]

    tested = support >= min_support
    of_users = np.ones(len(term))
    of_users[tested] = draws.chances(answer_terms, latent[tested], term[tested])
    by_users = significant(of_users, bounds, tested)

    pool = evidence.background > 0
    in_pool = np.asarray(carried[pool].sum(axis=0)).ravel()
    of_items = hypergeom.sf(counts.data - 1, int(pool.sum()), in_pool[term], sizes[latent])
    everywhere = np.array([0, len(term)])
    by_items = significant(np.clip(of_items, 0, 1), everywhere, np.ones(len(term), bool))
    return TermStatistics(
        bounds=bounds,
        terms=term,
        share=np.asarray(share).ravel(),
        support=support,
        significant=by_users & by_items,
        background=background,
        inverse_frequency=inverse,
    )
