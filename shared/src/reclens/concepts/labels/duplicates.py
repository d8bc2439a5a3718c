"""Latents that are one concept: copies of each other, and parts of a wider one.

A copy points the same way as another latent and fires in the same cases. Both are asked for:
latents that fire together and point elsewhere are parts of one thing, which add up; latents that
point the same way and fire in turn divide it among them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from scipy.stats import rankdata

from reclens.concepts.evidence.classification_metrics import auroc
from reclens.errors import CorruptArtifact, InvalidInput

CONFIG = "config.json"
"""Object of an autoencoder that holds its `AutoencoderConfig`."""
WEIGHTS = "weights.safetensors"
"""Object of an autoencoder that holds its tensors."""
_DECODER = "W_dec"


def read_decoder(path: Path) -> np.ndarray:
    """Directions of all latents, float32 [n_latents, d_model].

    Args:
        path: of the file ``weights.safetensors``.

    Raises:
        CorruptArtifact: it cannot be read, or holds no decoder.
    """
    try:
        with safe_open(path, framework="numpy") as tensors:
            return tensors.get_tensor(_DECODER)
    except (SafetensorError, OSError, ValueError) as error:
        raise CorruptArtifact(
            f"{path.name} has no decoder that can be read ({error}).",
            field=path.name,
            remedy="fetch the artifact again, or train the autoencoder anew.",
        ) from error


MIN_COSINE = 0.5
"""Decoder cosine from which two latents may be copies. No two of 1,024 untrained latents that fire
together have it."""
MIN_COACTIVATION = 0.7
"""Correlation of activations from which they are: the one explains half of the other's variance."""
MIN_CASES = 20
"""A latent that fires in fewer cases is nobody's copy, parent or child: chance would decide."""
PARENT_COSINE = 0.0
"""Least decoder cosine of a latent and its parent: it must not point away. More is not asked, as
closer parents do not share more of the meaning (docs/explanation/concepts.md)."""
PARENT_PROBABILITY = 0.7
"""Least share of the child's firing cases in which the parent fires."""
PARENT_LIFT = 3.0
"""How many times more often than usual the parent must fire when the child does. Latents of the
first level fire so often that most others fire within some of them."""

NO_PARENT = -1
_BLOCK = 1024  # latents whose pairs are in memory at once


def duplicate_groups(
    activations: sparse.csr_matrix,
    W_dec: np.ndarray,
    *,
    min_cosine: float = MIN_COSINE,
    min_coactivation: float = MIN_COACTIVATION,
) -> np.ndarray:
    """Join copies: pairs above both thresholds, and what they connect.

    Co-activation is Pearson's correlation of activations over all cases, silent ones included: the
    phi coefficient of the firing sets, weighted by how strongly they fire.

    Args:
        activations: float [n_cases, n_latents], at least 0.
        W_dec: float [n_latents, d_model], decoder directions; their length does not matter.
        min_cosine: least cosine of the directions.
        min_coactivation: least correlation, above 0.

    Returns:
        Group of each latent, int64 [n_latents]: the lowest latent that belongs to it, itself where
        it has no copy.

    Raises:
        InvalidInput: activations and decoder are not of as many latents.
    """
    columns, counts = _checked(activations, W_dec)
    n_cases, n_latents = activations.get_shape()
    mean = np.asarray(columns.sum(axis=0)).ravel() / n_cases
    square = np.asarray(columns.multiply(columns).sum(axis=0)).ravel() / n_cases
    deviation = np.sqrt(np.maximum(square - mean**2, 0.0))
    often, unit = counts >= MIN_CASES, _unit(W_dec)
    copies = [np.empty((2, 0), np.int64)]
    for i, j, product in _together(columns):
        covariance = product / n_cases - mean[i] * mean[j]
        joined = (i < j) & often[i] & often[j]
        joined &= covariance >= min_coactivation * deviation[i] * deviation[j]
        i, j = i[joined], j[joined]  # noqa: PLW2901
        copies.append(np.stack([i, j])[:, _cosines(unit, i, j) >= min_cosine])
    first, second = np.concatenate(copies, axis=1)
    pairs = sparse.coo_array((np.ones(len(first)), (first, second)), shape=(n_latents, n_latents))
    _, component = connected_components(pairs, directed=False)
    _, lowest = np.unique(component, return_index=True)
    return lowest[component].astype(np.int64)


def members(groups: np.ndarray) -> list[np.ndarray]:
    """Latents of every group of several, rising, from `duplicate_groups`."""
    sizes = np.bincount(groups, minlength=len(groups))
    return [np.nonzero(groups == group)[0] for group in np.nonzero(sizes > 1)[0]]


def choose_group_label(scores: Sequence[np.ndarray], fires: np.ndarray) -> int:
    """Which of several labels a group should have: the one that tells best when it fires.

    Args:
        scores: of each candidate, float [n_cases], its judge's scores of the construct cases.
        fires: bool [n_cases], whether any latent of the group fires.

    Returns:
        Place of the label with the highest AUROC; of equals the first.

    Raises:
        InvalidInput: there is no candidate.
    """
    if not len(scores):
        raise InvalidInput(
            "a group needs a label to choose.",
            field="scores",
            remedy="leave groups without a labelled latent unlabelled.",
        )
    areas = [auroc(rankdata(one), fires) for one in scores]
    return int(np.argmax(np.nan_to_num(areas, nan=-1.0)))


def nesting(
    levels: np.ndarray,
    W_dec: np.ndarray,
    activations: sparse.csr_matrix,
    *,
    min_lift: float = PARENT_LIFT,
) -> np.ndarray:
    """Find each latent's parent among the latents of earlier levels.

    The parent is the one that fires most surely when the child does; of equals the one that points
    more like it.

    Args:
        levels: int [n_latents], nested level of each latent, 0 the first
            (`AutoencoderConfig.latent_levels`); where all are equal nobody has a parent.
        W_dec: float [n_latents, d_model], decoder directions.
        activations: float [n_cases, n_latents], at least 0.
        min_lift: least ratio of P(parent fires | child fires) to P(parent fires).

    Returns:
        int64 [n_latents], -1 for none.

    Raises:
        InvalidInput: levels, activations and decoder are not of as many latents.
    """
    columns, counts = _checked(activations, W_dec)
    if len(levels) != len(counts):
        raise _unfit("levels", len(levels), len(counts))
    n_cases, _ = activations.get_shape()
    fires = sparse.csc_array(columns > 0, dtype=np.float64)
    often, unit = counts >= MIN_CASES, _unit(W_dec)
    parent = np.full(len(counts), NO_PARENT, np.int64)
    for i, j, both in _together(fires):
        given = both / np.maximum(counts[i], 1)
        fits = (levels[j] < levels[i]) & often[i] & often[j]
        fits &= (given >= PARENT_PROBABILITY) & (given * n_cases >= min_lift * counts[j])
        child, other, given = i[fits], j[fits], given[fits]
        cosine = _cosines(unit, child, other)
        # The last of a child is its parent: most surely, then closest, then the lower latent.
        order = np.lexsort((-other, cosine, given))
        order = order[cosine[order] >= PARENT_COSINE]
        parent[child[order]] = other[order]
    return parent


def _checked(
    activations: sparse.csr_matrix, W_dec: np.ndarray
) -> tuple[sparse.csc_array, np.ndarray]:
    """Activations by latent, and in how many cases each fires, int64 [n_latents]."""
    columns = sparse.csc_array(activations, dtype=np.float64)
    columns.eliminate_zeros()
    counts = np.diff(columns.indptr)
    if len(counts) != len(W_dec):
        raise _unfit("W_dec", len(W_dec), len(counts))
    return columns, counts


def _unfit(field: str, found: int, n_latents: int) -> InvalidInput:
    return InvalidInput(
        f"{field} is of {found} latents, the activations are of {n_latents}.",
        field=field,
        remedy="read both from one autoencoder.",
    )


def _unit(W_dec: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(W_dec, axis=1, keepdims=True)
    return W_dec / np.where(lengths > 0, lengths, 1.0)


def _cosines(unit: np.ndarray, i: np.ndarray, j: np.ndarray) -> np.ndarray:
    return np.einsum("nd,nd->n", unit[i], unit[j])


def _together(
    columns: sparse.csc_array,
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Pairs of latents that ever fire together, in either order, and their scalar products."""
    for start in range(0, len(columns.indptr) - 1, _BLOCK):
        products = (columns[:, start : start + _BLOCK].T @ columns).tocoo()
        i, j = products.coords
        yield i.astype(np.int64) + start, j.astype(np.int64), products.data
