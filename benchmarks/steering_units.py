"""Which unit of strength makes one number mean one effect, whatever is pushed.

Many latents, concepts and proposals are pushed with the same strength in each unit. What is wanted
of a unit: that the lists change alike (a small coefficient of variation over what is pushed), and
alike for all users.

    . .reclens/env && python benchmarks/steering_units.py concepts/... concepts/...
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from machine import machine
from released import Audience, Released, load
from torch import Tensor

from reclens.platform.settings.models import StoreSettings
from reclens.platform.store.artifacts import ArtifactStore
from reclens.steering.proposals import Proposer

STRENGTHS = (0.03, 0.06, 0.125, 0.25, 0.5, 1.0, 2.0)
N_LATENTS, N_CONCEPTS = 60, 20
RESULTS = Path(__file__).parent / "results" / "steering_units.json"


def pushed_things(released: Released) -> dict[str, list[tuple[Tensor, Tensor | None]]]:
    """Directions by kind, with the items that carry them; latents by p99."""
    rng = np.random.default_rng(0)
    alive = rng.permutation(released.alive.nonzero()[:, 0].numpy())
    targets = released.targets(N_CONCEPTS)
    proposer = Proposer(released.item_weights, released.W_dec, released.alive)

    def proposed(carries: Tensor) -> Tensor:
        found = proposer.propose(carries.nonzero()[:, 0].tolist())
        units = torch.nn.functional.normalize(released.W_dec[list(found.latents)], dim=1)
        return torch.tensor(found.shares, dtype=torch.float32) @ units

    scaled = released.input_scale * released.p99[:, None] * released.W_dec
    return {
        "latents": [(scaled[latent], None) for latent in alive[:N_LATENTS]],
        "concepts": [(scaled[list(c.latents)].sum(dim=0), carries) for c, carries in targets],
        "proposals": [(proposed(carries), carries) for _, carries in targets],
    }


def units(released: Released, users: Audience, direction: Tensor) -> dict[str, Tensor]:
    """What a strength of 1 multiplies ``direction`` with, [n_users]."""
    spreads = users.spread
    felt = float(released.spread.of(direction[None])[0])
    return {
        "p99": torch.ones(len(users)),
        "norm of x": users.x.norm(dim=1) / direction.norm(),
        "score spread": spreads / felt,
        "score spread, mean user": spreads.mean() / felt * torch.ones(len(users)),
    }


def measure(released: Released) -> Iterator[dict[str, object]]:
    users = released.half(1)
    nothing = torch.zeros(len(released.item_weights))
    untouched = users.lists(torch.zeros(len(users)), nothing)
    for kind, things in pushed_things(released).items():
        exchanged: dict[tuple[str, float], list[np.ndarray]] = {}
        contrast: dict[tuple[str, float], list[float]] = {}
        for direction, carries in things:
            added = released.item_weights @ direction
            for unit, amount in units(released, users, direction).items():
                if unit == "p99" and kind == "proposals":
                    continue
                for strength in STRENGTHS:
                    push = strength * amount
                    lists = users.lists(push, added)
                    kept = (lists.top[:, :, None] == untouched.top[:, None, :]).any(dim=2)
                    of_users = 1 - kept.float().mean(dim=1).numpy()
                    exchanged.setdefault((unit, strength), []).append(of_users)
                    if carries is not None:
                        gap = added[carries].mean() - added.mean()
                        shift = float((push * gap / users.spread).mean())
                        contrast.setdefault((unit, strength), []).append(shift)
        for (unit, strength), of_all in exchanged.items():
            by_thing, by_user = np.stack(of_all).mean(axis=1), np.stack(of_all).mean(axis=0)
            low, median, high = np.quantile(by_thing, [0.1, 0.5, 0.9]).tolist()
            shifts = contrast.get((unit, strength))
            yield {
                "name": f"{released.name}: {kind}, {strength} of {unit}",
                "dataset": released.name,
                "kind": kind,
                "n": len(things),
                "unit": unit,
                "strength": strength,
                "exchanged": median,
                "exchanged_low": low,
                "exchanged_high": high,
                "variation": float(by_thing.std() / by_thing.mean()),
                "variation_of_users": float(by_user.std() / by_user.mean()),
                "score_shift": float(np.median(shifts)) if shifts else None,
            }


def main() -> None:
    parser = argparse.ArgumentParser(description="Dose and response of each unit of strength.")
    parser.add_argument("releases", nargs="*", default=["default"], help="or concepts artifacts")
    store = ArtifactStore.from_settings(StoreSettings())
    rows = [row for name in parser.parse_args().releases for row in measure(load(store, name))]
    # Where about a quarter of the list is exchanged: the strength differs from unit to unit.
    ratios: dict[str, object] = {}
    for row in rows:
        key = f"{row['dataset']}: {row['kind']}, {row['unit']}: variation"
        nearest = min(
            (r for r in rows if all(r[k] == row[k] for k in ("dataset", "kind", "unit"))),
            key=lambda r: abs(float(str(r["exchanged"])) - 0.25),
        )
        ratios[key] = nearest["variation"]
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    results = {"machine": machine(torch.get_num_threads()), "rows": rows, "ratios": ratios}
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")
    print(json.dumps(ratios, indent=2))  # noqa: T201 - a command


if __name__ == "__main__":
    main()
