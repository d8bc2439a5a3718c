"""Do two trainings find the same dictionary?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Float
from scipy.optimize import linear_sum_assignment

from reclens.errors import InvalidInput

COSINES: Final = (0.7, 0.9)
"""Cosines above which two directions count as the same."""


@dataclass(frozen=True)
class DecoderStability:
    """How alike two dictionaries are; cosines keep their sign, since latents fire on one side."""

    mean_max_cosine: float
    """Mean over the directions of ``a`` of the cosine to the nearest direction of ``b``."""
    mean_max_cosine_reverse: float
    """The same from ``b`` to ``a``: lower where ``b`` has directions that ``a`` lacks."""
    mean_matched_cosine: float
    """Mean cosine of the pairs when each direction may be used once."""
    matched_share: dict[float, float]
    """Share of the larger dictionary in pairs whose cosine is above each of `COSINES`."""


def decoder_stability(
    a: Float[np.ndarray, "n_a d_model"], b: Float[np.ndarray, "n_b d_model"]
) -> DecoderStability:
    """Compare two decoders, e.g. of trainings that differ in their seed only.

    Pairs are the one-to-one assignment with the largest sum of cosines (the Hungarian method,
    cubic in the number of latents: seconds for 2,000). Rows without length match nothing.

    Args:
        a: one direction a row, of any length.
        b: another dictionary for the same activations.

    Raises:
        InvalidInput: the widths differ, a dictionary is empty, or a number is not finite.

    Source: Paulo and Belrose, Sparse Autoencoders Trained on the Same Data Learn Different
    Features, arXiv 2501.16615; the mean maximum cosine is Sharkey et al. 2022.
    """
    cosine, matched = _cosines(a=a, b=b)
    larger = max(cosine.shape)
    return DecoderStability(
        mean_max_cosine=float(cosine.max(axis=1).mean()),
        mean_max_cosine_reverse=float(cosine.max(axis=0).mean()),
        mean_matched_cosine=float(matched.mean()),
        matched_share={limit: float((matched > limit).sum() / larger) for limit in COSINES},
    )


def recovered_share(
    directions: Float[np.ndarray, "n d_model"],
    decoder: Float[np.ndarray, "n_latents d_model"],
    *,
    above: float = 0.9,
) -> float:
    """Share of known directions that a decoder row of their own matches.

    Args:
        directions: what the dictionary should hold.
        decoder: one latent a row.
        above: cosine that a match must exceed.

    Raises:
        InvalidInput: as `decoder_stability`.
    """
    _, matched = _cosines(directions=directions, decoder=decoder)
    return float((matched > above).sum() / len(directions))


def _cosines(**dictionaries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of every pair of rows of two dictionaries by name, and of the pairs that are assigned."""
    a, b = dictionaries.values()
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1]:
        raise InvalidInput(
            f"dictionaries of shapes {list(a.shape)} and {list(b.shape)} cannot be compared.",
            field="b",
            remedy="give two dictionaries for the same activations, one direction a row.",
        )
    unit: list[np.ndarray] = []
    for field, given in dictionaries.items():
        rows = np.asarray(given, np.float64)
        if not len(rows) or not np.isfinite(rows).all():
            raise InvalidInput(
                f"{len(rows)} directions, not all of them finite."
                if len(rows)
                else "the dictionary is empty.",
                field=field,
                remedy="give a trained decoder.",
            )
        length = np.linalg.norm(rows, axis=1, keepdims=True)
        unit.append(rows / np.where(length > 0, length, 1))
    cosine = unit[0] @ unit[1].T
    return cosine, cosine[linear_sum_assignment(-cosine)]
