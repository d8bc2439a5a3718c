"""Directions as proposals weigh them: most contrast between items for the noise of a push.

What `reclens.steering.proposals` approximates by few latents, computed as it is defined.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from scipy.optimize import nnls
from torch import Tensor

from reclens.steering.proposals import SHRINKAGE
from reclens.steering.scores import item_moments


class FisherMeasure:
    """The measure ``<a, b> = a' M b`` of one catalogue.

    Args:
        item_weights: float [n_items, d_model].
        shrinkage: rho.
    """

    def __init__(self, item_weights: Tensor, shrinkage: float = SHRINKAGE) -> None:
        self._items = item_weights.double()
        self._mean, covariance = item_moments(item_weights)
        eye = torch.eye(len(covariance), dtype=torch.float64)
        self._root = torch.linalg.cholesky(covariance + shrinkage * covariance.diag().mean() * eye)

    def best_direction(
        self, items: Sequence[int], weights: Sequence[float] | None = None
    ) -> Tensor:
        """``t = M^-1 g``, float64 [d_model]."""
        contrast = self._contrast(items, weights)[:, None]
        return torch.cholesky_solve(contrast, self._root)[:, 0]

    def alignment(
        self, direction: Tensor, items: Sequence[int], weights: Sequence[float] | None = None
    ) -> float:
        """Cosine of any direction to the best one for ``items``."""
        felt = direction.double() @ self._root
        best = self.best_direction(items, weights) @ self._root
        return float(felt @ best / (felt.norm() * best.norm()))

    def by_effect(self, directions: Tensor, items: Sequence[int]) -> Tensor | None:
        """A sum of latents' directions, each as far as it moves towards the items, none backwards:
        non-negative least squares. None where none of them moves towards them.

        Labels say when latents fire. Their directions need not raise the scores of the items that
        carry a label; those that lower them are left out.
        """
        atoms = torch.nn.functional.normalize(directions.double() @ self._root, dim=1)
        target = self.best_direction(items) @ self._root
        amounts = torch.from_numpy(nnls(atoms.T.numpy(), target.numpy())[0])
        if not amounts.any():
            return None
        lengths = (directions.double() @ self._root).norm(dim=1)
        return ((amounts / lengths) @ directions.double()).float()

    def _contrast(self, items: Sequence[int], weights: Sequence[float] | None) -> Tensor:
        given = self._items[list(items)] - self._mean
        counts = torch.ones(len(given)) if weights is None else torch.tensor(weights)
        return (counts.double() / counts.double().abs().sum()) @ given
