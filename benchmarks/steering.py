"""What turning up one concept does to a recommender's lists, what it costs, and which push does it
best.

For each of the most trusted concepts, each way to push and each strength, the lists of half of the
users (the other half was chosen by) are steered and compared with the untouched ones: the share of
the top 10 that carries the concept, NDCG@10 on the held-out items, the items' popularity. A
strength of 1 changes the items' scores by one standard deviation of the user's own scores.

    . .reclens/env && python benchmarks/steering.py demo
    . .reclens/env && python benchmarks/steering.py concepts/... concepts/...
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from machine import machine
from released import Audience, Lists, Released, load
from torch import Tensor

from reclens.adapters.artifacts import ArtifactStore
from reclens.adapters.settings import StoreSettings
from reclens.concepts import Concept
from reclens.steering.proposing import Proposal, Proposer, concept_direction

PUSHES = (0.03, 0.06, 0.1, 0.15, 0.2, 0.3, 0.45, 0.7, 1.0)
LOSSES = (0.05, 0.1, 0.2)
WITH_INTERVAL = 0.1
EXAMPLES = (1, 5)
RESAMPLES = 200
RESULTS = Path(__file__).parent / "results" / "steering.json"
REPORTS = Path("out") / "steer"

# So that a concept which no list has counts as doubled once a list in a hundred has one item of it.
_RARE = 1e-3

Ways = dict[str, Callable[[Concept, Tensor], Tensor | None]]
"""From a concept and the items to push towards, bool [n_items], to a direction [d_model]."""


@dataclass
class Outcomes:
    """Of one way and strength: a row for each concept, a column for each user."""

    before: list[npt.NDArray[np.float32]] = field(default_factory=list)
    after: list[npt.NDArray[np.float32]] = field(default_factory=list)
    ndcg_before: list[npt.NDArray[np.float32]] = field(default_factory=list)
    ndcg: list[npt.NDArray[np.float32]] = field(default_factory=list)
    popularity_change: list[float] = field(default_factory=list)
    exchanged: list[float] = field(default_factory=list)

    def lift(self, counts: npt.NDArray[np.float64] | None = None) -> float:
        """Geometric mean over the concepts of share after / share before, minus 1."""
        before, after = np.stack(self.before), np.stack(self.after)
        ratio = (np.average(after, 1, counts) + _RARE) / (np.average(before, 1, counts) + _RARE)
        return float(np.exp(np.log(ratio).mean()) - 1)

    def loss(self, counts: npt.NDArray[np.float64] | None = None) -> float:
        """Share of NDCG@10 that is lost, mean over the concepts."""
        after = np.average(np.stack(self.ndcg), 1, counts).mean()
        return float(1 - after / np.average(np.stack(self.ndcg_before), 1, counts).mean())


def ways_to_push(released: Released, proposer: Proposer) -> Ways:
    """The ways that are compared, by name."""
    rows = released.W_dec
    trusted = [latent for c in released.concepts if c.trusted for latent in c.latents]
    rng = np.random.default_rng(0)
    alive = released.alive.nonzero()[:, 0].numpy()
    centred = released.item_weights - released.item_weights.mean(dim=0)

    def in_proportion(latents: list[int], weights: Tensor | float = 1.0) -> Tensor:
        return (released.p99[latents] * weights) @ rows[latents]

    def sharing_a_term(concept: Concept) -> list[int]:
        terms = set(concept.keywords)
        return sorted(
            latent
            for other in released.concepts
            if any(terms & {keyword, *keyword.split()} for keyword in other.keywords)
            for latent in other.latents
        )

    def summed(proposal: Proposal) -> Tensor | None:
        return direction_of(proposal, rows) if proposal.latents else None

    return {
        "concept, in proportion to p99": lambda c, _: in_proportion(list(c.latents)),
        "concept, by confidence": lambda c, _: in_proportion(
            list(c.latents), torch.tensor(c.weights)
        ),
        "all concepts of the term": lambda c, _: in_proportion(sharing_a_term(c)),
        "concept, by effect": lambda c, carries: summed(
            concept_direction(proposer, c.latents, listed(carries))
        ),
        "proposal, 4 latents": lambda _, carries: summed(
            proposer.propose(listed(carries), max_latents=4)
        ),
        "proposal, 16 latents": lambda _, carries: summed(proposer.propose(listed(carries))),
        "proposal, 16 trusted latents": lambda _, carries: summed(
            proposer.propose(listed(carries), latents=trusted)
        ),
        "mean of the items": lambda _, carries: centred[carries].mean(dim=0),
        "best direction": lambda _, carries: proposer.best_direction(listed(carries)).float(),
        "random latents": lambda c, _: in_proportion(
            rng.choice(alive, len(c.latents), replace=False).tolist()
        ),
    }


def direction_of(proposal: Proposal, rows: Tensor) -> Tensor:
    units = torch.nn.functional.normalize(rows[list(proposal.latents)], dim=1)
    return torch.tensor(proposal.shares, dtype=torch.float32) @ units


def listed(carries: Tensor) -> list[int]:
    return carries.nonzero()[:, 0].tolist()


class Bench:
    """One recommender, and half of its users."""

    def __init__(self, released: Released) -> None:
        self.released = released
        self.users: Audience = released.half(1)
        self._scores = self.users.x @ released.item_weights.T + released.item_biases
        self._unit = released.spread.of(self.users.x).float()[:, None]
        self.untouched = self.users.lists(self._scores)
        self.proposer = Proposer(released.item_weights, released.W_dec, released.alive)

    def pushed(self, direction: Tensor, strength: float) -> Lists:
        """The lists after a push along ``direction``, in standard deviations of the scores.

        ``x' . w = x . w + amount * (direction . w)``, as a linear push adds to the scores what it
        would give by itself.
        """
        felt = float(self.released.spread.of(direction[None])[0])
        added = self.released.item_weights @ direction / felt
        return self.users.lists(self._scores + strength * self._unit * added)

    def bonus(self, carries: Tensor, strength: float) -> Lists:
        """The lists where the carriers' scores are raised directly: not by x at all."""
        added = carries.float() / carries.float().std()
        return self.users.lists(self._scores + strength * self._unit * added)

    def popularity_change(self, lists: Lists) -> float:
        """Change of the mean popularity of the recommended items, as a fraction."""
        popularity = self.released.popularity
        return float(popularity[lists.top].mean() / popularity[self.untouched.top].mean()) - 1

    def record(self, outcomes: Outcomes, lists: Lists, carries: Tensor) -> None:
        outcomes.ndcg_before.append(self.untouched.ndcg)
        outcomes.before.append(self.untouched.share(carries))
        outcomes.after.append(lists.share(carries))
        outcomes.ndcg.append(lists.ndcg)
        outcomes.popularity_change.append(self.popularity_change(lists))
        outcomes.exchanged.append(lists.exchanged(self.untouched))


def measure(
    released: Released, targets: list[tuple[Concept, Tensor]]
) -> dict[tuple[str, str, float], Outcomes]:
    """Outcomes by way, items and push.

    ``items``: "all", the push is made of all carriers and judged by them; "unseen", it is made of
    half of them and judged by the others.
    """
    bench = Bench(released)
    ways = ways_to_push(released, bench.proposer)
    generator = torch.Generator().manual_seed(0)
    found: dict[tuple[str, str, float], Outcomes] = {}
    for concept, carries in targets:
        known = carries & (torch.rand(len(carries), generator=generator) < 0.5)
        for items, given, judged in (
            ("all", carries, carries),
            ("unseen", known, carries & ~known),
        ):
            for name, way in ways.items():
                direction = way(concept, given)
                for push in _signed(PUSHES):
                    lists = bench.untouched if direction is None else bench.pushed(direction, push)
                    bench.record(found.setdefault((name, items, push), Outcomes()), lists, judged)
        # Some of the items for examples, and the others to be judged by.
        order = torch.randperm(int(carries.sum()), generator=generator)
        for n_examples in EXAMPLES:
            examples = carries.nonzero()[order[:n_examples], 0]
            others = carries.clone()
            others[examples] = False
            direction = direction_of(bench.proposer.propose(examples.tolist()), released.W_dec)
            name = f"proposal from {n_examples} of the items"
            for push in _signed(PUSHES):
                of_few = found.setdefault((name, "unseen", push), Outcomes())
                bench.record(of_few, bench.pushed(direction, push), others)
        for push in _signed(PUSHES):
            of_bonus = found.setdefault(("bonus on the items", "all", push), Outcomes())
            bench.record(of_bonus, bench.bonus(carries, push), carries)
    return found


def lift_at(curve: list[tuple[float, float]], loss: float) -> float | None:
    """Lift where the loss first reaches ``loss``, between the strengths that were tried.

    Args:
        curve: (loss, lift) by rising strength.
    """
    left = (0.0, 0.0)
    for point in curve:
        if point[0] >= loss and point[0] > left[0]:
            part = (loss - left[0]) / (point[0] - left[0])
            return left[1] + part * (point[1] - left[1])
        # Where more strength seems to cost less, that is chance.
        left = (max(left[0], point[0]), point[1])
    return None


def summary(
    found: dict[tuple[str, str, float], Outcomes], n_users: int
) -> Iterator[tuple[str, float]]:
    """Lift at the same loss, with 95 % intervals over users."""
    rng = np.random.default_rng(0)
    draws = rng.multinomial(n_users, np.full(n_users, 1 / n_users), RESAMPLES).astype(np.float64)
    for name, items in dict.fromkeys((name, items) for name, items, _ in found):
        for sign, word in ((1, "lift"), (-1, "drop")):
            curve = [found[name, items, sign * push] for push in PUSHES]
            for loss in LOSSES:
                value = lift_at([(o.loss(), o.lift()) for o in curve], loss)
                if value is None:
                    continue
                title = f"{name}, {items} items: {word} at {loss:.0%} NDCG loss"
                yield title, value
                if loss == WITH_INTERVAL and sign == 1:
                    of_draws = [
                        lift_at([(o.loss(draw), o.lift(draw)) for o in curve], loss)
                        for draw in draws
                    ]
                    known = [value for value in of_draws if value is not None]
                    for end, quantile in (("low", 0.025), ("high", 0.975)):
                        yield f"{title}, {end}", float(np.quantile(known, quantile))


def popularity_rows(released: Released) -> list[dict[str, object]]:
    """Items as popular as possible, and the opposite: what it does, and what it costs."""
    bench = Bench(released)
    popularity = torch.log1p(released.popularity)
    weights = (popularity - popularity.mean()).tolist()
    proposer, everything = bench.proposer, range(len(weights))
    random = torch.randn(released.W_dec.shape[1], generator=torch.Generator().manual_seed(0))
    directions = {
        "proposal, 16 latents": direction_of(proposer.propose(everything, weights), released.W_dec),
        "best direction": proposer.best_direction(everything, weights).float(),
        "random direction": random,
    }
    rows: list[dict[str, object]] = []
    for method, direction in directions.items():
        for push in _signed(PUSHES):
            lists = bench.pushed(direction, push)
            loss = 1 - float(lists.ndcg.mean() / bench.untouched.ndcg.mean())
            change = bench.popularity_change(lists)
            rows.append(
                {"method": method, "push": push, "popularity_change": change, "ndcg_loss": loss}
            )
    return rows


def _signed(pushes: tuple[float, ...]) -> tuple[float, ...]:
    return pushes + tuple(-push for push in pushes)


def main() -> None:
    parser = argparse.ArgumentParser(description="Lift against NDCG loss of each way to push.")
    parser.add_argument("releases", nargs="*", default=["default"], help="or concepts artifacts")
    parser.add_argument("--concepts", type=int, default=20, help="most trusted ones to measure")
    arguments = parser.parse_args()
    store = ArtifactStore.from_settings(StoreSettings())
    rows: list[dict[str, object]] = []
    ratios: dict[str, float] = {}
    for reference in arguments.releases:
        released = load(store, reference)
        targets = released.targets(arguments.concepts)
        found = measure(released, targets)
        of_this = [
            {
                "method": name,
                "items": items,
                "push": push,
                "lift": outcomes.lift(),
                "ndcg_loss": outcomes.loss(),
                "popularity_change": float(np.mean(outcomes.popularity_change)),
                "exchanged": float(np.mean(outcomes.exchanged)),
            }
            for (name, items, push), outcomes in found.items()
        ]
        rows += [
            {"name": f"{released.name}: {row['method']} {row['push']:+}", **row} for row in of_this
        ]
        n_users = len(released.half(1))
        ratios[f"{released.name}: concepts"] = len(targets)
        ratios[f"{released.name}: users"] = n_users
        for title, value in summary(found, n_users):
            ratios[f"{released.name}: {title}"] = value
        report = REPORTS / released.dataset_name / released.model_kind / "report.json"
        report.parent.mkdir(parents=True, exist_ok=True)
        shown = ("method", "push", "lift", "ndcg_loss")
        concept = [{key: row[key] for key in shown} for row in of_this if row["items"] == "all"]
        popularity = popularity_rows(released)
        report.write_text(json.dumps({"concept": concept, "popularity": popularity}, indent=2))
        rows += [
            {"name": f"{released.name}: popularity, {row['method']} {row['push']:+}", **row}
            for row in popularity
        ]
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    results = {"machine": machine(torch.get_num_threads()), "rows": rows, "ratios": ratios}
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")
    print(json.dumps(ratios, indent=2))  # noqa: T201 - a command


if __name__ == "__main__":
    main()
