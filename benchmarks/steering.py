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
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from fisher import FisherMeasure
from machine import machine
from released import Audience, Lists, Released, load
from torch import Tensor

from reclens.concepts import Concept
from reclens.platform.settings.models import StoreSettings
from reclens.platform.store.artifacts import ArtifactStore
from reclens.steering.proposals import Proposal, Proposer

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


class Outcomes:
    """Of one way and strength: a row for each concept, a column for each user."""

    def __init__(self, n_concepts: int, untouched: Lists) -> None:
        self.ndcg_before = untouched.ndcg
        shape = (n_concepts, len(untouched.ndcg))
        # Of one piece, as small arrays would be strewn between large ones that come and go.
        self.before, self.after, self.ndcg = (np.zeros(shape, np.float32) for _ in range(3))
        self.popularity_change, self.exchanged = (np.zeros(n_concepts) for _ in range(2))

    def lift(self) -> float:
        """Geometric mean over the concepts of share after / share before, minus 1."""
        return float(_lift(self.before.mean(axis=1), self.after.mean(axis=1)))

    def loss(self) -> float:
        """Share of NDCG@10 that is lost, mean over the concepts."""
        return float(1 - self.ndcg.mean() / self.ndcg_before.mean())

    def drawn(
        self, draws: npt.NDArray[np.float32]
    ) -> tuple[npt.NDArray[np.floating], npt.NDArray[np.floating]]:
        """Loss and lift for each of ``draws`` [n_draws, n_users] of users, whose rows sum to 1."""
        loss = 1 - (self.ndcg.mean(axis=0) @ draws.T) / (self.ndcg_before @ draws.T)
        return loss, _lift(self.before @ draws.T, self.after @ draws.T)


def _lift(
    before: npt.NDArray[np.floating], after: npt.NDArray[np.floating]
) -> npt.NDArray[np.floating]:
    return np.exp(np.log((after + _RARE) / (before + _RARE)).mean(axis=0)) - 1


def ways_to_push(released: Released, proposer: Proposer) -> Ways:
    """The ways that are compared, by name."""
    rows, measure = released.W_dec, FisherMeasure(released.item_weights)
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
        "concept, by effect": lambda c, carries: measure.by_effect(
            rows[list(c.latents)], listed(carries)
        ),
        "proposal, 4 latents": lambda _, carries: summed(
            proposer.propose(listed(carries), max_latents=4)
        ),
        "proposal, 16 latents": lambda _, carries: summed(proposer.propose(listed(carries))),
        "proposal, 16 trusted latents": lambda _, carries: summed(
            proposer.propose(listed(carries), latents=trusted)
        ),
        "mean of the items": lambda _, carries: centred[carries].mean(dim=0),
        "best direction": lambda _, carries: measure.best_direction(listed(carries)).float(),
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
        self.proposer = Proposer(released.item_weights, released.W_dec, released.alive)
        self.untouched = self._lists(torch.zeros(len(released.item_weights)), 0.0)

    def pushed(self, direction: Tensor, strength: float) -> Lists:
        """The lists after a push along ``direction``, in standard deviations of the scores."""
        felt = float(self.released.spread.of(direction[None])[0])
        return self._lists(self.released.item_weights @ direction / felt, strength)

    def bonus(self, carries: Tensor, strength: float) -> Lists:
        """The lists where the carriers' scores are raised directly: not by x at all."""
        return self._lists(carries.float() / carries.float().std(), strength)

    def popularity_change(self, lists: Lists) -> float:
        """Change of the mean popularity of the recommended items, as a fraction."""
        popularity = self.released.popularity
        return float(popularity[lists.top].mean() / popularity[self.untouched.top].mean()) - 1

    def record(self, outcomes: Outcomes, row: int, lists: Lists, carries: Tensor) -> None:
        outcomes.before[row] = self.untouched.share(carries)
        outcomes.after[row] = lists.share(carries)
        outcomes.ndcg[row] = lists.ndcg
        outcomes.popularity_change[row] = self.popularity_change(lists)
        outcomes.exchanged[row] = lists.exchanged(self.untouched)

    def _lists(self, added: Tensor, strength: float) -> Lists:
        return self.users.lists(strength * self.users.spread, added)


def measure(
    released: Released, targets: list[tuple[Concept, Tensor]]
) -> dict[tuple[str, str, float], Outcomes]:
    """Outcomes by way, items and push.

    ``items``: "all", the push is made of all carriers and judged by them; "unseen", it is made of
    some of them and judged by the others.
    """
    bench = Bench(released)
    ways = ways_to_push(released, bench.proposer)
    generator = torch.Generator().manual_seed(0)
    found: dict[tuple[str, str, float], Outcomes] = {}

    def record(key: tuple[str, str, float], row: int, lists: Lists, judged: Tensor) -> None:
        if key not in found:
            found[key] = Outcomes(len(targets), bench.untouched)
        bench.record(found[key], row, lists, judged)

    for row, (concept, carries) in enumerate(targets):
        shuffled = listed(carries)
        shuffled = [shuffled[i] for i in torch.randperm(len(shuffled), generator=generator)]
        known = _only(shuffled[: len(shuffled) // 2], carries)
        for name, way in ways.items():
            direction = way(concept, carries)
            for push in _signed(PUSHES):
                lists = bench.untouched if direction is None else bench.pushed(direction, push)
                record((name, "all", push), row, lists, carries)
            direction = way(concept, known)
            for push in PUSHES:
                lists = bench.untouched if direction is None else bench.pushed(direction, push)
                record((name, "unseen", push), row, lists, carries & ~known)
        for n_examples in EXAMPLES:
            examples = _only(shuffled[:n_examples], carries)
            found_for = bench.proposer.propose(listed(examples))
            direction = direction_of(found_for, released.W_dec)
            for push in PUSHES:
                name = f"proposal from {n_examples} of the items"
                lists = bench.pushed(direction, push)
                record((name, "unseen", push), row, lists, carries & ~examples)
        for push in _signed(PUSHES):
            lists = bench.bonus(carries, push)
            record(("bonus on the items", "all", push), row, lists, carries)
    return found


def alignments(released: Released, targets: list[tuple[Concept, Tensor]]) -> dict[str, float]:
    """Median cosine of each way's direction to the best one, and how often there is none."""
    proposer = Proposer(released.item_weights, released.W_dec, released.alive)
    measure = FisherMeasure(released.item_weights)
    found: dict[str, float] = {}
    for name, way in ways_to_push(released, proposer).items():
        directions = [(way(concept, carries), listed(carries)) for concept, carries in targets]
        cosines = [0.0 if d is None else measure.alignment(d, items) for d, items in directions]
        found[f"{name}: alignment"] = float(np.median(cosines))
        found[f"{name}: concepts that it lowers"] = sum(cosine < 0 for cosine in cosines)
        found[f"{name}: concepts that it cannot move"] = sum(d is None for d, _ in directions)
    return found


def _only(items: list[int], like: Tensor) -> Tensor:
    chosen = torch.zeros_like(like)
    chosen[items] = True
    return chosen


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
    draws = rng.multinomial(n_users, np.full(n_users, 1 / n_users), RESAMPLES) / n_users
    draws = draws.astype(np.float32)
    for name, items in dict.fromkeys((name, items) for name, items, _ in found):
        for sign, word in ((1, "lift"), (-1, "drop")):
            curve = [found[key] for push in PUSHES if (key := (name, items, sign * push)) in found]
            if not curve:
                continue
            for loss in LOSSES:
                value = lift_at([(o.loss(), o.lift()) for o in curve], loss)
                if value is not None:
                    yield f"{name}, {items} items: {word} at {loss:.0%} NDCG loss", value
            drawn = [o.drawn(draws) for o in curve]
            lifts = [
                lift_at([(float(losses[i]), float(of[i])) for losses, of in drawn], WITH_INTERVAL)
                for i in range(RESAMPLES)
            ]
            known = [lift for lift in lifts if lift is not None]
            if len(known) > RESAMPLES / 2:
                title = f"{name}, {items} items: {word} at {WITH_INTERVAL:.0%} NDCG loss"
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
        "best direction": FisherMeasure(released.item_weights)
        .best_direction(everything, weights)
        .float(),
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
    parser.add_argument("--concepts", type=int, default=15, help="most trusted ones to measure")
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
        for title, value in (*alignments(released, targets).items(), *summary(found, n_users)):
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
