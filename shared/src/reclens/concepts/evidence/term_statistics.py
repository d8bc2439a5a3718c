"""How often each term occurs in each latent's evidence, and whether that is more than chance.

Users are the units of chance. Cases of one user are alike, whatever fires: neighbouring prefixes of
one history have nearly the same answer. A latent that fired for thirty cases of two users has seen
two draws, not thirty, and many a term fits two users' answers well. So the null hypothesis deals a
latent's firing cases out to other users, block by block.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy import sparse
from scipy.stats import false_discovery_control, hypergeom, norm, rankdata

from reclens.concepts.evidence.cases import Cases
from reclens.concepts.evidence.latent_evidence import Evidence
from reclens.concepts.evidence.vocabulary import Vocabulary

FALSE_LABELS = 0.05
"""Chance that a latent without a meaning gets a label (false discovery rate over its terms)."""

# Standard deviation of a rank that is uniform on [0, 1]. The ranks of a term that few answers carry
# vary less, but far from normally: with it they seem more surprising than they are.
_RANK_DEVIATION = np.sqrt(1 / 12)
_BLOCK = 256  # terms whose ranks are in memory at once


class UserDraws:
    """How often each latent fires for whom: its draws of users.

    Args:
        cases: of the users that labels are made from.
    """

    def __init__(self, cases: Cases) -> None:
        n_cases = len(cases)
        _, user = np.unique(cases.user_ids.astype(str), return_inverse=True)
        belongs = sparse.csr_matrix((np.ones(n_cases), (user, np.arange(n_cases))))
        per_user = np.asarray(belongs.sum(axis=1)).ravel()
        self._mean_of_user = sparse.csr_matrix(sparse.diags(1 / per_user) @ belongs)
        fires = sparse.csr_matrix(cases.activations.T > 0, dtype=np.float64)
        n_firing = np.maximum(np.diff(fires.indptr), 1)
        self._shares = sparse.csr_matrix(sparse.diags(1 / n_firing) @ fires)
        by_user = sparse.csr_matrix(self._shares @ belongs.T)
        self._concentration = np.asarray(by_user.multiply(by_user).sum(axis=1)).ravel()

    @property
    def effective(self) -> np.ndarray:
        """Number of equally frequent users that would be as many draws, float64 [n_latents].

        0 for a latent that never fires.
        """
        known = self._concentration > 0
        return np.divide(1.0, self._concentration, out=np.zeros(len(known)), where=known)

    def chances(
        self, scores: sparse.csc_matrix, latents: np.ndarray, columns: np.ndarray
    ) -> np.ndarray:
        """The chance of scores as high as a latent's where it fires no matter who, one-sided.

        The mean rank of a column in a latent's firing cases is held against the mean over users, in
        units of what as many draws of random users would vary at most.

        Args:
            scores: float [n_cases, n_columns]; what each answer has of each term.
            latents: int [n_pairs].
            columns: int [n_pairs], of ``scores``.

        Returns:
            float64 [n_pairs]; 1 for latents that never fire.
        """
        chances = np.ones(len(latents))
        effective = self.effective
        by_column = np.argsort(columns, kind="stable")
        wanted, starts = np.unique(columns[by_column], return_index=True)
        ends = np.append(starts[1:], len(columns))
        for block in range(0, len(wanted), _BLOCK):
            inside = slice(block, block + _BLOCK)
            dense = scores[:, wanted[inside]].toarray()
            ranks = rankdata(dense, axis=0) / len(dense)
            expected = np.asarray(self._mean_of_user @ ranks).mean(axis=0)
            found = np.asarray(self._shares @ ranks)
            for place, (start, end) in enumerate(zip(starts[inside], ends[inside], strict=True)):
                pairs = by_column[start:end]
                rows = latents[pairs]
                excess = (found[rows, place] - expected[place]) / _RANK_DEVIATION
                chances[pairs] = norm.sf(excess * np.sqrt(effective[rows]))
        return chances


def significant(chances: np.ndarray, bounds: np.ndarray, tested: np.ndarray) -> np.ndarray:
    """Which tests say more than chance, bool [n_tests]: Benjamini-Hochberg within each family.

    With a latent a family, at most `FALSE_LABELS` of the latents without a meaning get any
    significant term. In one family of all of them, the many that have one would let more of the
    others pass.

    Args:
        chances: float [n_tests], family by family.
        bounds: int [n_families + 1], where each family's tests begin, and the end.
        tested: bool [n_tests], those that count as tests at all; others are not significant.
    """
    found = np.zeros(len(chances), bool)
    for start, end in pairwise(bounds):
        family = start + np.nonzero(tested[start:end])[0]
        if len(family):
            found[family] = false_discovery_control(chances[family]) <= FALSE_LABELS
    return found


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
