"""Directions by chance: what a dictionary's directions would share with ones that only look alike.

Decoder directions crowd where the activations vary, so two dictionaries of the same data have
close directions without having found the same features. Directions that spread evenly over the
sphere are too easy a control.
"""

from __future__ import annotations

import numpy as np


def alike_directions(rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """As many random directions with the mean and covariance of these, float64 [n, d_model].

    Args:
        rows: float [n, d_model], one direction a row; their length does not matter.
        rng: of the draws from the normal distribution.
    """
    wide = rows.astype(np.float64)
    length = np.linalg.norm(wide, axis=1, keepdims=True)
    unit = wide / np.where(length > 0, length, 1.0)
    mean = unit.mean(axis=0)
    values, axes = np.linalg.eigh(np.cov(unit, rowvar=False, bias=True).reshape(2 * [len(mean)]))
    # Rounding makes the variance of an axis that is not used negative.
    spread = axes * np.sqrt(np.maximum(values, 0.0))
    return mean + rng.normal(size=unit.shape) @ spread.T
