"""Evidence: for each latent, the cases and items that a label may be read from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from reclens.concepts.evidence.cases import Cases

N_LEVELS = 10
"""Equal-frequency levels of a latent's activation, 1 (weakest) to 10."""
MIN_CASES = 5
"""A latent that fired for fewer cases is not labelled: three of a kind are soon found."""
MIN_USERS = 3
"""Likewise for users: two people's taste is not yet a meaning."""
_STRATIFIED_SHARE = 0.5
"""Weaker cases per strongest case."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """What each latent fired for, over the users that labels are made from."""

    cases: sparse.csr_matrix
    """float64 [n_latents, n_cases]: activation in the cases of evidence, 0 elsewhere."""
    item_shares: sparse.csr_matrix
    """float64 [n_latents, n_items]: share of each item in the answers of the evidence, weighted by
    activation and rank; rows sum to 1 (0 for a latent that never fired)."""
    background: np.ndarray
    """float64 [n_items]: share of each item in all answers, weighted by rank; sums to 1."""
    items: list[np.ndarray]
    """Per latent, int64: items whose share most exceeds the background, most first."""
    top_item: np.ndarray
    """int64 [n_latents]: the item that is on top for most of the activation; -1 when silent."""
    top_shares: sparse.csr_matrix
    """float64 [n_latents, n_items]: share of the activation that falls on cases with the item on
    top."""
    top_background: np.ndarray
    """float64 [n_items]: share of all cases with the item on top."""
    n_cases: np.ndarray
    """int64 [n_latents]: firing cases, before any is left out."""
    n_users: np.ndarray
    """int64 [n_latents]: users among them."""

    def is_enough(self, latent: int) -> bool:
        """Whether the latent fired often enough, and for more than one person, to be labelled."""
        return bool(self.n_cases[latent] >= MIN_CASES and self.n_users[latent] >= MIN_USERS)

    def lacking_items(self, latent: int, n: int) -> np.ndarray:
        """Items that are answered less when the latent fires than in general, int64 [at most n],
        those that are lacking most first."""
        lack = self.background - self.item_shares[latent].toarray().ravel()
        order = np.lexsort((np.arange(len(lack)), -lack))[:n]
        return order[lack[order] > 0]


def gather_evidence(cases: Cases, n_items: int, *, n_evidence: int) -> Evidence:
    """Collect the evidence of every latent at once.

    A case stands for the item on top of its answer, and an item brings only the latent's strongest
    case of it: a popular item that is on top in a thousand cases counts once. Of these the
    ``n_evidence`` strongest are taken, and half as many spread evenly over the weaker ones, so
    that a label does not describe the extremes alone.

    Args:
        cases: of the users that labels are made from.
        n_items: items of the data set.
        n_evidence: strongest cases, and items kept per latent.
    """
    entries = cases.activations.tocoo()
    rows, latents = entries.row, entries.col.astype(np.int64)
    values = entries.data.astype(np.float64)
    tops = cases.top_items[:, 0].astype(np.int64)
    top = tops[rows]

    chosen = _strongest_and_stratified(latents, top, values, n_evidence)
    evidence_cases = sparse.csr_matrix(
        (values[chosen], (latents[chosen], rows[chosen])), shape=(cases.n_latents, len(cases))
    )
    answers = cases.item_weights(n_items)
    in_evidence = sparse.csr_matrix(evidence_cases @ answers)
    shares = _shares(in_evidence, np.asarray(in_evidence.sum(axis=1)).ravel())
    background = np.asarray(answers.mean(axis=0)).ravel()
    known = top >= 0
    on_top = sparse.csr_matrix(
        (values[known], (latents[known], top[known])), shape=(cases.n_latents, n_items)
    )
    top_shares = _shares(on_top, np.bincount(latents, weights=values, minlength=cases.n_latents))
    top_item = np.asarray(top_shares.argmax(axis=1)).ravel().astype(np.int64)
    return Evidence(
        cases=evidence_cases,
        item_shares=shares,
        background=background,
        items=_exceeding_items(shares, background, n_evidence),
        top_item=np.where(np.diff(top_shares.indptr) > 0, top_item, -1),
        top_shares=top_shares,
        top_background=np.bincount(tops[tops >= 0], minlength=n_items) / len(cases),
        n_cases=np.bincount(latents, minlength=cases.n_latents),
        n_users=_distinct_users(cases, latents, rows),
    )


def activation_levels(values: np.ndarray) -> np.ndarray:
    """Level 1..10 of each activation within its latent: int64 [n].

    Levels are equal-frequency bins of one latent's own activations: activations of different
    latents are on different scales, so pooling them would make some latents always strong.
    Ties are levelled in order.
    """
    order = np.argsort(values, kind="stable")
    levels = np.empty(len(values), np.int64)
    levels[order] = 1 + np.arange(len(values)) * N_LEVELS // max(len(values), 1)
    return levels


def _strongest_and_stratified(
    latents: np.ndarray, top: np.ndarray, values: np.ndarray, n_evidence: int
) -> np.ndarray:
    """Positions of the chosen entries."""
    by_item = np.lexsort((-values, top, latents))
    first = np.ones(len(by_item), bool)
    first[1:] = (np.diff(latents[by_item]) != 0) | (np.diff(top[by_item]) != 0)
    strongest = by_item[first]
    strongest = strongest[top[strongest] >= 0]
    ordered = strongest[np.lexsort((-values[strongest], latents[strongest]))]
    owner = latents[ordered]
    starts = np.searchsorted(owner, owner)
    rank = np.arange(len(ordered)) - starts
    weaker = np.searchsorted(owner, owner, side="right") - starts - n_evidence
    n_stratified = int(np.ceil(n_evidence * _STRATIFIED_SHARE))
    # The place among the weaker, scaled to the number wanted: a new integer marks a pick.
    place = (rank - n_evidence) * n_stratified
    span = np.maximum(weaker, n_stratified)
    picked = place // span != (place - n_stratified) // span
    return ordered[(rank < n_evidence) | picked]


def _shares(matrix: sparse.csr_matrix, totals: np.ndarray) -> sparse.csr_matrix:
    """Rows divided by their totals, 0 where there is nothing."""
    scale = np.divide(1.0, totals, out=np.zeros(len(totals)), where=totals > 0)
    return sparse.csr_matrix(sparse.diags(scale) @ matrix)


def _exceeding_items(
    shares: sparse.csr_matrix, background: np.ndarray, n_evidence: int
) -> list[np.ndarray]:
    items = []
    for latent in range(len(shares.indptr) - 1):
        inside = slice(shares.indptr[latent], shares.indptr[latent + 1])
        columns = shares.indices[inside].astype(np.int64)
        excess = shares.data[inside] - background[columns]
        order = np.lexsort((columns, -excess))
        items.append(columns[order[excess[order] > 0]][:n_evidence])
    return items


def _distinct_users(cases: Cases, latents: np.ndarray, rows: np.ndarray) -> np.ndarray:
    _, user = np.unique(cases.user_ids.astype(str), return_inverse=True)
    pairs = np.unique(np.stack([latents, user[rows]]), axis=1)
    return np.bincount(pairs[0], minlength=cases.n_latents)
