"""Proposals on catalogues and dictionaries worked out by hand, and on planted ones."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import pytest
import torch

from reclens.errors import InvalidInput
from reclens.steering.edits import LatentEdit, LatentGroup, Operation, Unit
from reclens.steering.engine import Steering
from reclens.steering.proposals import SHRINKAGE, Proposal, Proposer

# Mean 0, covariance diag(1/2, 1/2): the measure is the plain one, up to a factor.
ROUND = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
# Mean 0, covariance diag(2, 1/2), a quarter of whose trace is 5/8: M = diag(2.5, 1) with rho 0.4.
FLAT = torch.tensor([[2.0, 0.0], [-2.0, 0.0], [0.0, 1.0], [0.0, -1.0]])


def assert_equal(found: Proposal, expected: Proposal) -> None:
    assert found.latents == expected.latents
    assert found.shares == pytest.approx(expected.shares)
    assert found.alignment == pytest.approx(expected.alignment)


def best_direction(items: torch.Tensor, rows, weights=None, rho: float = SHRINKAGE) -> np.ndarray:
    """``M^-1 g`` as it is defined."""
    contrast, measure = _stated(items, rows, weights, rho)
    return np.linalg.solve(measure, contrast)


def alignment(
    items: torch.Tensor, direction: torch.Tensor, rows, weights=None, rho: float = SHRINKAGE
) -> float:
    """Cosine of a direction to the best one, in the measure M: ``d . g / |d| |t|``."""
    contrast, measure = _stated(items, rows, weights, rho)
    d, best = direction.double().numpy(), np.linalg.solve(measure, contrast)
    return float(d @ contrast / math.sqrt((d @ measure @ d) * (best @ contrast)))


def _stated(items: torch.Tensor, rows, weights, rho: float) -> tuple[np.ndarray, np.ndarray]:
    w = items.double().numpy()
    counts = np.ones(len(rows)) if weights is None else np.array(weights)
    covariance = np.cov(w.T, bias=True)
    noise = np.trace(covariance) / len(covariance)
    contrast = counts @ (w[list(rows)] - w.mean(axis=0)) / np.abs(counts).sum()
    return contrast, covariance + rho * noise * np.eye(len(covariance))


def test_a_latent_may_be_used_backwards() -> None:
    proposer = Proposer(ROUND, torch.tensor([[0.6, 0.8], [-2.0, 0.0]]))
    assert_equal(proposer.propose([0], max_latents=1), Proposal((1,), (-1.0,), 1.0))
    forwards = proposer.propose([0], latents=[0], max_latents=1)
    assert_equal(forwards, Proposal((0,), (1.0,), 0.6))


def test_shares_multiply_directions_of_length_one() -> None:
    # e1 = (0.6, 0.8) - 0.8 e2 over 0.6, so as amounts 1 and -0.8 of unit directions, the second of
    # which is given with length 5.
    proposer = Proposer(ROUND, torch.tensor([[0.6, 0.8], [0.0, 5.0]]))
    found = proposer.propose([0])
    assert found.latents == (0, 1)
    assert found.shares == pytest.approx((1.0, -0.8))
    assert found.alignment == pytest.approx(1.0)


def test_contrast_is_weighed_against_the_noise_of_a_direction() -> None:
    # Items (2, 0) and (0, 1): g = (1, 1/2), t = M^-1 g = (0.4, 0.5), |t|^2 = g . t = 0.65.
    proposer = Proposer(FLAT, torch.eye(2), shrinkage=0.4)
    assert alignment(FLAT, torch.tensor([4.0, 5.0]), [0, 2], rho=0.4) == pytest.approx(1.0)
    best = best_direction(FLAT, [0, 2], rho=0.4)
    assert (best / best[0]).tolist() == pytest.approx([1.0, 1.25])
    e1 = alignment(FLAT, torch.tensor([1.0, 0.0]), [0, 2], rho=0.4)
    assert e1 == pytest.approx(1 / math.sqrt(2.5 * 0.65))
    e2 = alignment(FLAT, torch.tensor([0.0, -3.0]), [0, 2], rho=0.4)
    assert e2 == pytest.approx(-0.5 / math.sqrt(0.65))
    found = proposer.propose([0, 2])
    assert found.latents == (1, 0)
    assert found.shares == pytest.approx((1.0, 0.8))
    assert_equal(proposer.propose([0, 2], max_latents=1), Proposal((0,), (1.0,), e1))


def test_weights_of_items() -> None:
    proposer = Proposer(FLAT, torch.eye(2), shrinkage=0.4)
    # g is proportional to 3 (2, 0) - (0, 1): t to (2.4, -1).
    found = proposer.propose([0, 2], [3.0, -1.0])
    assert (found.latents, found.shares) == ((0, 1), pytest.approx((1.0, -1 / 2.4)))
    # To name an item twice is to give it twice the weight, and only proportions count.
    assert proposer.propose([0, 0, 2, 0], [0.1, 0.1, -0.1, 0.1]).shares == pytest.approx(
        found.shares
    )
    away = proposer.propose([0, 2], [-3.0, 1.0])
    assert away.latents == found.latents
    assert away.shares == pytest.approx([-share for share in found.shares])


def test_disliked_items_alone_are_moved_away_from() -> None:
    found = Proposer(ROUND, torch.eye(2)).propose([2], [-1.0])
    assert_equal(found, Proposal((1,), (-1.0,), 1.0))


def planted(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """40 directions in 32 dimensions; 500 items of noise, of which the first 20 also point along
    latents 7 and 30 and away from latent 12."""
    generator = torch.Generator().manual_seed(seed)
    directions = torch.nn.functional.normalize(torch.randn(40, 32, generator=generator), dim=1)
    items = torch.randn(500, 32, generator=generator)
    items[:20] += 6 * directions[7] + 4 * directions[30] - 5 * directions[12]
    return items, directions * torch.linspace(0.5, 2, 40)[:, None]


def test_planted_latents_are_found() -> None:
    items, directions = planted()
    found = Proposer(items, directions).propose(range(20), max_latents=3)
    signs = dict(zip(found.latents, np.sign(found.shares), strict=True))
    assert signs == {7: 1, 30: 1, 12: -1}
    assert found.alignment > 0.95


def test_proposed_direction_has_the_alignment_that_is_told() -> None:
    items, directions = planted()
    proposer = Proposer(items, directions)
    found = proposer.propose([3, 100, 8], [1.0, -2.0, 0.5], max_latents=5)
    units = torch.nn.functional.normalize(directions[list(found.latents)], dim=1)
    summed = torch.tensor(found.shares, dtype=torch.float32) @ units
    told = alignment(items, summed, [3, 100, 8], [1.0, -2.0, 0.5])
    assert told == pytest.approx(found.alignment, abs=1e-5)
    assert [abs(share) for share in found.shares] == sorted(map(abs, found.shares), reverse=True)
    assert abs(found.shares[0]) == 1.0


def test_best_direction_has_most_contrast_for_its_noise() -> None:
    items, directions = planted()
    proposer = Proposer(items, directions, shrinkage=1e-6)
    chosen = [0, 1, 2, 3]

    def contrast(direction: np.ndarray) -> float:
        scores = items.double().numpy() @ direction
        return float((scores[chosen].mean() - scores.mean()) / scores.std())

    found = proposer.propose(chosen, max_latents=64)
    assert found.alignment == pytest.approx(1.0, abs=1e-6)
    units = torch.nn.functional.normalize(directions.double(), dim=1).numpy()
    best = contrast(np.array(found.shares) @ units[list(found.latents)])
    rng = np.random.default_rng(0)
    for latent in range(40):
        # What the alignment says of a direction is its part of the best contrast.
        told = alignment(items, directions[latent], chosen, rho=1e-6) * best
        assert contrast(units[latent]) == pytest.approx(told, rel=1e-3, abs=1e-4)
    assert all(contrast(rng.normal(size=32)) < best for _ in range(100))


def test_only_latents_that_may_be_used() -> None:
    items, directions = planted()
    alive = torch.ones(40, dtype=torch.bool)
    alive[7] = False
    assert 7 not in Proposer(items, directions, alive).propose(range(20)).latents
    named = Proposer(items, directions, alive).propose(range(20), latents=[30, 7, 7, 1])
    assert set(named.latents) == {30, 7, 1}
    directions[7] = 0
    assert set(Proposer(items, directions).propose(range(20), latents=[7, 30]).latents) == {30}


def test_copies_of_a_latent_are_not_used_beside_it() -> None:
    items, directions = planted()
    found = Proposer(items, torch.cat([directions, directions])).propose(range(20))
    assert max(found.latents) < 40
    assert len(set(found.latents)) == len(found.latents)


@pytest.mark.parametrize(
    ("field", "arguments"),
    [
        ("items", {"items": []}),
        ("items", {"items": [4]}),
        ("items", {"items": [-1]}),
        ("items", {"items": [0, 1, 2, 3]}),
        ("items", {"items": [2, 2], "weights": [1.0, -1.0]}),
        ("weights", {"items": [0], "weights": [1.0, 2.0]}),
        ("weights", {"items": [0, 1], "weights": [0.0, 0.0]}),
        ("weights", {"items": [0], "weights": [math.nan]}),
        ("weights", {"items": [0], "weights": [math.inf]}),
        ("latents", {"items": [0], "latents": [2]}),
        ("latents", {"items": [0], "latents": [-1]}),
        ("max_latents", {"items": [0], "max_latents": 0}),
        ("max_latents", {"items": [0], "max_latents": 65}),
    ],
)
def test_what_cannot_be_proposed_for(field: str, arguments: dict[str, object]) -> None:
    proposer = Proposer(ROUND, torch.eye(2))
    with pytest.raises(InvalidInput) as caught:
        proposer.propose(**arguments)  # type: ignore[arg-type]
    assert caught.value.field == field
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("field", "items", "shrinkage"),
    [
        ("W_dec", torch.ones(4, 3), 0.3),
        ("item_weights", torch.ones(4, 2), 0.3),
        ("shrinkage", ROUND, 0.0),
        ("shrinkage", ROUND, math.nan),
    ],
)
def test_what_cannot_be_proposed_from(field: str, items: torch.Tensor, shrinkage: float) -> None:
    with pytest.raises(InvalidInput) as caught:
        Proposer(items, torch.eye(2), shrinkage=shrinkage)
    assert caught.value.field == field


def test_engine_pushes_along_what_was_proposed() -> None:
    items, directions = planted()
    found = Proposer(items, directions).propose([0, 1, 2], max_latents=6)
    sae = Silent(directions)
    p99 = torch.linspace(0.1, 5, 40)
    groups = tuple(
        LatentGroup((latent,), share=share)
        for latent, share in zip(found.latents, found.shares, strict=True)
    )
    edit = LatentEdit(groups, Operation.ADD, 0.5, Unit.INPUT_NORM)
    x = items[-2:]
    steering = Steering(sae, p99)
    moved = np.stack([steering.edit(one, [edit]).x for one in steering.encode(x)]) - x.numpy()
    units = torch.nn.functional.normalize(directions[list(found.latents)], dim=1).numpy()
    direction = np.array(found.shares) @ units
    expected = 0.5 * np.linalg.norm(x, axis=1)[:, None] * direction / np.linalg.norm(direction)
    np.testing.assert_allclose(moved, expected, rtol=1e-4, atol=1e-5)


class Silent:
    """A dictionary none of whose latents fires."""

    input_scale = torch.tensor(2.0)

    def __init__(self, directions: torch.Tensor) -> None:
        self.W_dec = directions

    def encode(self, x: torch.Tensor, /) -> Codes:
        return Codes(torch.zeros(len(x), 1, dtype=torch.int64), torch.zeros(len(x), 1))

    def decode(self, codes: Codes, /) -> torch.Tensor:
        return torch.zeros(len(codes.indices), self.W_dec.shape[1])


class Codes(NamedTuple):
    indices: torch.Tensor
    values: torch.Tensor
