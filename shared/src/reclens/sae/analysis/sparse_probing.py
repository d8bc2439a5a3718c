"""How much of an attribute one, two or five latents tell, beside the same from raw dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Bool, Float
from scipy import sparse
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from reclens.errors import InvalidInput

N_FEATURES: Final = (1, 2, 5)
MIN_CASES_PER_CLASS: Final = 2
"""Cases with, and without, the attribute that training and held-out cases each must have."""


@dataclass(frozen=True)
class Probe:
    """A linear classifier on few features, measured on held-out cases."""

    features: tuple[int, ...]
    """Columns it reads, the most telling first; empty where it reads them all."""
    auroc: float
    """Area under the ROC curve; 0.5 is chance."""
    balanced_accuracy: float
    """Mean of sensitivity and specificity at the classifier's own threshold; 0.5 is chance."""


@dataclass(frozen=True)
class SparseProbes:
    """Probes for one attribute."""

    latents: dict[int, Probe]
    """From the most telling latents, by their number."""
    dimensions: dict[int, Probe]
    """From as many raw dimensions, the control."""
    full: Probe
    """From the whole representation, the ceiling of what is linearly there."""
    positive_share: float
    """Share of held-out cases with the attribute."""


def sparse_probe(
    codes: Float[np.ndarray, "cases n_latents"] | sparse.csr_array,
    raw: Float[np.ndarray, "cases d_model"],
    labels: Bool[np.ndarray, " cases"],
    train_mask: Bool[np.ndarray, " cases"],
    *,
    n_features: Sequence[int] = N_FEATURES,
    seed: int = 0,
) -> SparseProbes:
    """Predict a binary attribute from few latents, few raw dimensions and all of them.

    The features are those whose means with and without the attribute differ most, in units of the
    feature's own deviation, on the training cases alone. The classifier is a logistic regression on
    standardised features with balanced classes.

    Args:
        codes: a latent a column, dense or as compressed rows.
        raw: the representations that the codes stand for.
        labels: whether a case has the attribute, e.g. whether its first item is a comedy.
        train_mask: cases to choose and fit on; the others measure. Split by user, not by case.
        n_features: numbers of features to use; one above the number of columns uses all.
        seed: of the solver.

    Raises:
        InvalidInput: lengths differ, or a side of the split lacks one of the two classes.

    Source: Gurnee et al., Finding Neurons in a Haystack, arXiv 2305.01610; as a measure of
    dictionaries: SAEBench, arXiv 2503.09532.
    """
    labels, train = np.asarray(labels, bool), np.asarray(train_mask, bool)
    # scipy has no types, and of its attributes pyright sees the None that the class starts with.
    n_codes: int = codes.shape[0]  # pyright: ignore[reportOptionalSubscript]
    sizes = [n_codes, len(raw), len(labels), len(train)]
    if len(set(sizes)) > 1:
        raise InvalidInput(
            f"the numbers of cases differ: {sizes} in codes, raw, labels and train_mask.",
            field="labels",
            remedy="give codes, representations, labels and the mask of the same cases.",
        )
    for side, name in ((train, "training"), (~train, "held-out")):
        fewest = min(int(labels[side].sum()), int((~labels[side]).sum()))
        if fewest < MIN_CASES_PER_CLASS:
            raise InvalidInput(
                f"{fewest} {name} cases of the rarer class; it takes {MIN_CASES_PER_CLASS}.",
                field="labels",
                remedy="leave out attributes that nearly all or nearly no cases have.",
            )
    latents, dimensions = sparse.csr_array(codes), sparse.csr_array(np.asarray(raw))
    counts = sorted(set(n_features))
    return SparseProbes(
        latents=_probes(latents, labels, train, counts, seed),
        dimensions=_probes(dimensions, labels, train, counts, seed),
        full=_fit(dimensions, (), labels, train, seed),
        positive_share=float(labels[~train].mean()),
    )


def class_separation(
    features: sparse.csr_array, labels: Bool[np.ndarray, " cases"]
) -> Float[np.ndarray, " n_features"]:
    """``|mean with - mean without| / deviation`` of each column; 0 where a column is constant."""
    n, n_with = len(labels), int(labels.sum())
    total = np.asarray(features.sum(axis=0), np.float64).ravel()
    square_mean = np.asarray(features.power(2).sum(axis=0), np.float64).ravel() / n
    total_with = np.asarray(features[labels].sum(axis=0), np.float64).ravel()
    difference = total_with / n_with - (total - total_with) / (n - n_with)
    variance = square_mean - np.square(total / n)
    # Below the rounding of the subtraction a column is constant.
    varies = variance > 1e-9 * square_mean
    return np.where(varies, np.abs(difference) / np.sqrt(np.where(varies, variance, 1)), 0.0)


def _probes(
    features: sparse.csr_array,
    labels: np.ndarray,
    train: np.ndarray,
    counts: Sequence[int],
    seed: int,
) -> dict[int, Probe]:
    separation = class_separation(features[train], labels[train])
    # Stable, so that equal columns keep their order on every machine.
    order = np.argsort(-separation, kind="stable")
    return {
        count: _fit(features, tuple(order[:count].tolist()), labels, train, seed)
        for count in counts
    }


def _fit(
    features: sparse.csr_array,
    columns: tuple[int, ...],
    labels: np.ndarray,
    train: np.ndarray,
    seed: int,
) -> Probe:
    chosen = features[:, list(columns)] if columns else features
    dense = chosen.toarray().astype(np.float64)
    regression = LogisticRegression(class_weight="balanced", max_iter=1000, random_state=seed)
    model = make_pipeline(StandardScaler(), regression).fit(dense[train], labels[train])
    truth, held_out = labels[~train], dense[~train]
    return Probe(
        features=columns,
        auroc=float(roc_auc_score(truth, model.decision_function(held_out))),
        balanced_accuracy=float(balanced_accuracy_score(truth, model.predict(held_out))),
    )
