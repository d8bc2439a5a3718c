"""Finds the few latents that together move representations towards some items.

The best push towards items is a question of contrast against noise. A push along ``v`` adds
``w_i . v`` to the score of item i. What is wanted is the contrast ``g . v`` between the given
items and the catalogue; the rest of ``std_i(w_i . v)`` reorders the list for nothing. With

    g = sum_i c_i (w_i - mu) / sum_i |c_i|        c_i: weight of item i; mu: mean of all w_i
    M = C + rho * tr(C) / d_model * I             C: covariance of all w_i

the direction with most contrast for its noise is ``t = M^-1 g``: Fisher's discriminant, shrunk as
in Ledoit and Wolf (2004), since few items must not be learnt by heart. Its cosine to any other
direction is taken in the same measure, ``<a, b> = a' M b``, in which the contrast of a unit push
along v is ``|t|`` times its cosine to t. Hence the latents are found by orthogonal matching
pursuit in that measure.

Sources: Fisher, The use of multiple measurements in taxonomic problems, 1936. Pati, Rezaiifar and
Krishnaprasad, Orthogonal matching pursuit, 1993.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from reclens.errors import InvalidInput
from reclens.steering.limits import DEFAULT_PROPOSED_LATENTS, MAX_PROPOSED_LATENTS, check_count
from reclens.steering.scores import item_moments

SHRINKAGE = 0.3
"""Rho: chosen on items and users that were kept apart, see docs/decisions/0015."""

_NOTHING_LEFT = 1e-5
"""A residual, or a latent's part in it, below this share of the target is rounding."""


@dataclass(frozen=True)
class Proposal:
    """A direction, as a sum of latents."""

    latents: tuple[int, ...]
    """Indices, heaviest first. None, where no latent that may be used moves towards the items."""
    shares: tuple[float, ...]
    """What each latent's decoder direction, with length 1, is multiplied with before they are
    summed; the largest by size is 1. Only their proportions count."""
    alignment: float
    """Cosine to the best direction there is, in the measure of the module: of 1, the latents give
    all the contrast that a push of this noise can give."""


class Proposer:
    """Item vectors and decoder directions, made ready to propose from; one for each release.

    A proposal then costs ``n_latents * d_model`` for each of its latents, however many items there
    are.

    Args:
        item_weights: vectors w_i of the items: a score is ``x . w_i + b_i``.
        W_dec: decoder directions, of any length.
        alive: latents that may be used where a proposal names none; None: all. Latents whose
            decoder direction is 0 are never used.
        shrinkage: rho, above 0.

    Raises:
        InvalidInput: the widths differ, all items have the same vector, or ``shrinkage`` is not
            above 0.
    """

    def __init__(
        self,
        item_weights: Float[Tensor, "n_items d_model"],
        W_dec: Float[Tensor, "n_latents d_model"],  # noqa: N803
        alive: Bool[Tensor, " n_latents"] | None = None,
        *,
        shrinkage: float = SHRINKAGE,
    ) -> None:
        if item_weights.shape[1] != W_dec.shape[1]:
            raise InvalidInput(
                f"items have {item_weights.shape[1]} dimensions, latents {W_dec.shape[1]}.",
                field="W_dec",
                remedy="use the dictionary of the recommender's last site.",
            )
        if not shrinkage > 0:
            raise InvalidInput(
                f"a shrinkage of {shrinkage:g} may leave no inverse.",
                field="shrinkage",
                remedy=f"give a number above 0; {SHRINKAGE:g} is the default.",
            )
        self._items = item_weights.detach()
        # All but the items is on the host: a device would take longer to start than to compute.
        self._mean, covariance = (moment.cpu() for moment in item_moments(self._items))
        width = len(covariance)
        noise = float(covariance.trace()) / width
        if not noise > 0:
            raise InvalidInput(
                "all items have the same vector, so no push tells them apart.",
                field="item_weights",
                remedy="use a recommender that was trained.",
            )
        eye = torch.eye(width, dtype=torch.float64)
        # M = L L': the measure <a, b> is the plain inner product of L'a and L'b.
        self._root = torch.linalg.cholesky(covariance + shrinkage * noise * eye)
        directions = W_dec.detach().to(self._root)
        lengths = directions.norm(dim=1)
        felt = directions @ self._root
        felt_lengths = felt.norm(dim=1)
        usable = lengths > 0
        self._alive = usable if alive is None else usable & alive.to(usable)
        self._usable = usable
        self._atoms = (felt / felt_lengths.where(usable, 1)[:, None]).float()
        self._alive_atoms = self._atoms if bool(self._alive.all()) else self._atoms[self._alive]
        self._share_of = torch.where(usable, lengths / felt_lengths.where(usable, 1), 0)

    @property
    def n_latents(self) -> int:
        """Units of the dictionary."""
        return len(self._atoms)

    def propose(
        self,
        items: Sequence[int],
        weights: Sequence[float] | None = None,
        *,
        latents: Sequence[int] | None = None,
        max_latents: int = DEFAULT_PROPOSED_LATENTS,
    ) -> Proposal:
        """The latents that best move towards ``items``.

        Args:
            items: rows of the items; one is enough.
            weights: how much each counts, negative for items to move away from. None: 1 each.
            latents: those that may be used, as they are or backwards. None: all that are alive.
            max_latents: most latents to use, 1 to ``MAX_PROPOSED_LATENTS``.

        Raises:
            InvalidInput: names the field: an item or latent that does not exist, not one finite
                weight for each item, nothing to move towards.
        """
        check_count(
            max_latents,
            MAX_PROPOSED_LATENTS,
            "latents",
            field="max_latents",
            least=1,
            remedy=f"{DEFAULT_PROPOSED_LATENTS} do almost all that can be done.",
        )
        target = self._target(items, weights)
        candidates = self._candidates(latents)
        atoms = self._alive_atoms if latents is None else self._atoms[candidates]
        chosen, amounts = _pursue(atoms, target, max_latents)
        if not chosen:
            return Proposal((), (), 0.0)
        reached = amounts @ atoms[chosen].double()
        indices = candidates[torch.tensor(chosen)]
        shares = amounts * self._share_of[indices]
        shares = shares / shares.abs().max()
        order = sorted(range(len(chosen)), key=lambda i: (-abs(float(shares[i])), int(indices[i])))
        return Proposal(
            latents=tuple(int(indices[i]) for i in order),
            shares=tuple(float(shares[i]) for i in order),
            alignment=_cosine(reached, target),
        )

    def _target(
        self, items: Sequence[int], weights: Sequence[float] | None
    ) -> Float[Tensor, " d_model"]:
        """``L't = L^-1 g``, of length 1."""
        rows = torch.as_tensor(items, dtype=torch.int64).reshape(-1)
        counts = _weights(weights, rows)
        if int(rows.min()) < 0 or int(rows.max()) >= len(self._items):
            raise InvalidInput(
                f"items {int(rows.min())} to {int(rows.max())} are not all there.",
                field="items",
                remedy=f"this catalogue has items 0 to {len(self._items) - 1}.",
            )
        given = self._items[rows.to(self._items.device)].cpu()
        centred = given.double() - self._mean
        contrast = (counts / counts.abs().sum()) @ centred
        felt = torch.linalg.solve_triangular(self._root, contrast[:, None], upper=False)[:, 0]
        length = float(felt.norm())
        # Of one item at a usual distance from the mean the length is about sqrt(d_model).
        if not length > _NOTHING_LEFT:
            raise InvalidInput(
                "together the items do not differ from the catalogue's mean.",
                field="items",
                remedy="give fewer items, or items of one kind.",
            )
        return felt / length

    def _candidates(self, latents: Sequence[int] | None) -> Int[Tensor, " n_candidates"]:
        if latents is None:
            return self._alive.nonzero()[:, 0]
        named = sorted(set(latents))
        if named and not (named[0] >= 0 and named[-1] < self.n_latents):
            raise InvalidInput(
                f"latents {named[0]} to {named[-1]} do not all exist.",
                field="latents",
                remedy=f"this dictionary has latents 0 to {self.n_latents - 1}.",
            )
        rows = torch.tensor(named, dtype=torch.int64)
        return rows[self._usable[rows]]


def _weights(
    weights: Sequence[float] | None, rows: Int[Tensor, " n_items"]
) -> Float[Tensor, " n_items"]:
    if not len(rows):
        raise InvalidInput(
            "there are no items to move towards.", field="items", remedy="give at least one."
        )
    if weights is None:
        return torch.ones(len(rows), dtype=torch.float64)
    if len(weights) != len(rows):
        raise InvalidInput(
            f"{len(weights)} weights for {len(rows)} items.",
            field="weights",
            remedy="give one weight an item, or none.",
        )
    if not all(map(math.isfinite, weights)) or not any(weights):
        raise InvalidInput(
            "the weights are not finite, or all 0.",
            field="weights",
            remedy="give numbers, above 0 for items to move towards and below 0 for others.",
        )
    return torch.as_tensor(weights, dtype=torch.float64)


def _pursue(
    atoms: Float[Tensor, "n_atoms d_model"], target: Float[Tensor, " d_model"], n_most: int
) -> tuple[list[int], Float[Tensor, " n_chosen"]]:
    """Few rows of ``atoms`` and the amounts whose sum is close to ``target``; all of length 1.

    Again and again the atom nearest to what is still missing is added, and all amounts are found
    anew by least squares.
    """
    chosen: list[int] = []
    amounts = target.new_zeros(0)
    missing = target
    while len(chosen) < min(n_most, len(atoms)):
        gains = (atoms @ missing.to(atoms)).abs()
        gains[chosen] = -1
        most = gains.max()
        if float(most) < _NOTHING_LEFT:
            break
        # The first of equals, which argmax does not promise.
        chosen.append(int((gains == most).nonzero()[0]))
        rows = atoms[chosen].double()
        amounts = torch.linalg.lstsq(rows.T, target[:, None], driver="gelsy").solution[:, 0]
        missing = target - amounts @ rows
    return chosen, amounts


def _cosine(one: Float[Tensor, " d_model"], unit: Float[Tensor, " d_model"]) -> float:
    length = float(one.norm())
    return max(-1.0, min(1.0, float(one @ unit) / length)) if length > 0 else 0.0
