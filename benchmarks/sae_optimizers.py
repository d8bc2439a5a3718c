"""Averaged sign descent beside Adam, at the same number of steps, for TopK autoencoders.

    python benchmarks/sae_optimizers.py [--activations artifacts/activations/<id>]

Planted settings: share of planted directions recovered (cosine above 0.9, each matched once), over
seeds. Captured activations (a folder written by `reclens artifacts get`): FVU and dead latents on
held-out users. Everything but the step rule and its peak step size is the default configuration;
Adam is tried at several step sizes. The other architectures are trained on the planted settings by
default, too.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from captured import read_activations
from machine import machine

import reclens.sae.training.trainer as trainer_module
from reclens.sae import AutoencoderConfig, AutoencoderTrainer, report
from reclens.sae.activations.sources import SequenceSource
from reclens.sae.analysis.stability import recovered_share
from reclens.sae.training.optimizer import AveragedSignDescent, ParameterState

RESULTS = Path(__file__).parent / "results" / "sae_optimizers.json"
ADAM_RATES = (1e-3, 3e-3, 1e-2, 2e-2)
SEEDS = (0, 1, 2, 3)
PLANTED = {
    "easy": (
        {"d_model": 64, "n_directions": 128, "n_active": 4},
        {"n_latents": 256, "k": 4},
    ),
    "hard": (
        {"d_model": 32, "n_directions": 64, "n_active": 3},
        {"n_latents": 64, "k": 3},
    ),
}
OTHER_KINDS = ("batchtopk", "matryoshka", "jumprelu")
CAPTURED = ({"n_latents": 1024, "k": 16}, {"n_latents": 2048, "k": 32})


class Adam:
    """PyTorch's Adam behind the interface of `AveragedSignDescent`."""

    def __init__(self, parameters: Iterable[ParameterState]) -> None:
        self._parameters = list(parameters)
        self._adam = torch.optim.Adam([{"params": [p.parameter]} for p in self._parameters])

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        for group, moved in zip(self._adam.param_groups, self._parameters, strict=True):
            group["lr"] = learning_rate * moved.factor
            if moved.unit_rows and moved.parameter.grad is not None:
                along = torch.linalg.vecdot(moved.parameter.grad, moved.parameter)
                moved.parameter.grad.addcmul_(moved.parameter, along[:, None], value=-1)
        self._adam.step()
        self._adam.zero_grad()
        self.finish()

    @torch.no_grad()
    def finish(self) -> None:
        """The last point is the result; rows have unit length."""
        for moved in self._parameters:
            if moved.unit_rows:
                torch.nn.functional.normalize(moved.parameter, dim=1, out=moved.parameter.data)


OPTIMIZERS: dict[str, tuple[Any, tuple[float | None, ...]]] = {
    "averaged sign descent": (AveragedSignDescent, (None,)),
    "adam": (Adam, ADAM_RATES),
}


def planted(
    *, d_model: int, n_directions: int, n_active: int, seed: int, rows: int = 20_000
) -> tuple[np.ndarray, np.ndarray]:
    """Sums of a few unit directions with 1 % noise, and the directions."""
    rng = np.random.default_rng(seed)
    directions = rng.normal(size=(n_directions, d_model))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    chosen = rng.random((rows, n_directions)).argpartition(n_active, axis=1)[:, :n_active]
    z = np.zeros((rows, n_directions))
    np.put_along_axis(z, chosen, rng.uniform(0.5, 1.5, chosen.shape), axis=1)
    x = z @ directions
    x += 0.01 * x.std() * rng.normal(size=x.shape)
    return x.astype(np.float32), directions


def train(x: np.ndarray, config: AutoencoderConfig) -> AutoencoderTrainer:
    trainer = AutoencoderTrainer(SequenceSource([x]), config)
    for _ in trainer.steps():
        pass
    return trainer


def on_planted(setting: str, rate: float | None = None, kind: str = "topk") -> dict[str, Any]:
    data, config = PLANTED[setting]
    shares = []
    for seed in SEEDS:
        x, directions = planted(**data, seed=seed)
        options: dict[str, Any] = {**config, "kind": kind, "seed": seed, "learning_rate": rate}
        sae = train(x, AutoencoderConfig(**options)).sae
        shares.append(recovered_share(directions, sae.W_dec.numpy()))
    return {"recovered": shares, "mean": float(np.mean(shares))}


def on_captured(
    x: np.ndarray, held_out: np.ndarray, shape: dict[str, int], epochs: int, rate: float | None
) -> dict[str, Any]:
    config = AutoencoderConfig.model_validate({**shape, "n_epochs": epochs, "learning_rate": rate})
    sae = train(x, config).sae
    measured = report(sae, SequenceSource([held_out]), activations_seen=0, curve=[])
    return {"fvu": measured.fvu, "dead_fraction": measured.dead_fraction}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--activations", type=Path, help="captured activations")
    parser.add_argument("--epochs", type=int, default=3, help="passes over captured activations")
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    captured = read_activations(options.activations, 0) if options.activations else None
    rows: list[dict[str, Any]] = []

    def note(row: dict[str, Any]) -> None:
        rows.append(row)
        print(json.dumps(row), flush=True)  # noqa: T201 - a command

    for kind in OTHER_KINDS:
        for setting in PLANTED:
            note({"kind": kind, "data": setting, **on_planted(setting, kind=kind)})
    for name, (optimizer, rates) in OPTIMIZERS.items():
        trainer_module.AveragedSignDescent = optimizer  # pyright: ignore[reportPrivateImportUsage]
        for rate in rates:
            told = {"optimizer": name, "learning_rate": rate or "default"}
            for setting in PLANTED:
                note({**told, "data": setting, **on_planted(setting, rate)})
            if captured is None:
                continue
            for shape in CAPTURED:
                measured = on_captured(*captured, shape, options.epochs, rate)
                note({**told, "data": "captured", **shape, "epochs": options.epochs, **measured})
    results = {"machine": machine(torch.get_num_threads()), "rows": rows}
    options.output.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
