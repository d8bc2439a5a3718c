"""How fast autoencoders are trained, here and by other libraries, at the same held-out error.

Contenders: this project, SAELens, dictionary_learning, eai-sparsify and a plain dense PyTorch loop
(`sae_contenders.py`). All train on the same activations, centred and scaled beforehand: the same
number of them, in batches of one size, with as many threads. Every run is a process of its own;
rounds are interleaved, so that what else the machine does hits all alike. Each library's learning
rate is the one of `LEARNING_RATES` that gives the lowest held-out FVU in a run before the rounds,
among those that leave no more than `MAX_DEAD` of the latents dead (a dictionary that uses a few of
its latents all the time explains more, but is not what is asked for), or the fewest dead;
this project trains as it does by default. Plain TopK is it without Multi-TopK, which no other has.

The other libraries come with much of the language-model world (about 100 packages), so they live in
an environment of their own; PyTorch stays at the version of locks/torch.txt:

    make bench-sae

or, where that environment exists: `.venv-peers/bin/python benchmarks/sae_training.py
--activations artifacts/activations/<id>`, a folder that `reclens artifacts get` writes. A library
that is not installed is listed under "missing" with the reason.

`ratios` compare activations per second. `ratios_at_equal_fvu` compare the seconds until the
held-out FVU is at the worse of the two final ones, so that a fast trainer that learns less gains
nothing. Both are medians over rounds, and above 1 where this project is the faster.

`--device cuda` trains there, and writes to `results/sae_training_cuda.json`. The figures of the
repository are of a CPU.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from captured import read_activations
from machine import machine

RESULTS = Path(__file__).parent / "results"
LEARNING_RATES = (None, 1e-3, 3e-3, 1e-2)
"""Tried for every library but this one; None is the library's default."""
MAX_DEAD = 0.1
"""Share of latents that fire for no held-out activation, at most."""
D_MODEL = 64


def planted(rows: int, seed: int) -> np.ndarray:
    """Activations that are sums of 16 of 1,024 directions on average, frequent and rare ones."""
    rng = np.random.default_rng(seed)
    directions = rng.normal(size=(1024, D_MODEL)) / np.sqrt(D_MODEL)
    frequency = 1 / (np.arange(1024) + 10)
    fires = rng.random((rows, 1024), np.float32) < 16 * frequency / frequency.sum()
    x = (fires * rng.gamma(4, 0.25, (rows, 1024))) @ directions
    return (x + 0.02 * rng.normal(size=x.shape)).astype(np.float32)


def prepare(folder: Path, options: argparse.Namespace) -> int:
    """Write train.npy and held_out.npy, centred and scaled by the training rows; returns these."""
    if options.activations:
        x, held_out = read_activations(options.activations, options.seed)
        x, held_out = x[: options.rows], held_out[: options.held_out_rows]
    else:
        x = planted(options.rows + options.held_out_rows, options.seed)
        x, held_out = x[: options.rows], x[options.rows :]
    mean = x.mean(0, dtype=np.float64).astype(np.float32)
    x -= mean
    held_out -= mean
    scale = np.sqrt(np.square(x, dtype=np.float64).mean())
    x /= scale
    held_out /= scale
    np.save(folder / "train.npy", x)
    np.save(folder / "held_out.npy", held_out)
    return len(x)


def train_in_own_process(
    name: str, folder: Path, options: argparse.Namespace, seed: int, rate: float | None
) -> dict[str, Any]:
    """One run; what it gives, or why it could not be."""
    job = {
        "name": name,
        "threads": options.threads,
        "n_latents": options.latents,
        "k": options.k,
        "batch_size": options.batch_size,
        "n_epochs": options.epochs,
        "seed": seed,
        "learning_rate": rate,
        "device": options.device,
        "precision": options.precision,
        "compiled": options.compile,
    }
    threads = {name: str(options.threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    result = folder / "result.json"
    result.unlink(missing_ok=True)
    done = subprocess.run(
        [sys.executable, __file__, "--job", json.dumps(job), "--folder", str(folder)],
        env=os.environ | threads | {"NUMBA_NUM_THREADS": str(options.threads)},
        capture_output=True,
        text=True,
        check=False,
    )
    if result.is_file():
        return json.loads(result.read_text(encoding="utf-8"))
    return {"missing": done.stderr.strip().splitlines()[-1] if done.stderr else "no result"}


def do_job(job: dict[str, Any], folder: Path) -> None:
    """The inside of one such process."""
    import torch
    from sae_contenders import Task, run

    torch.set_num_threads(job.pop("threads"))
    name = job.pop("name")
    try:
        result = run(
            name,
            Task(x=np.load(folder / "train.npy"), held_out=np.load(folder / "held_out.npy"), **job),
        )
    except ImportError as error:
        result = {"missing": f"{type(error).__name__}: {error}"}
    (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")


def seconds_to(fvu: float, run: dict[str, Any]) -> float:
    """Seconds of training until the held-out FVU was at ``fvu``."""
    return next((seconds for seconds, reached in run["curve"] if reached <= fvu), run["seconds"])


def _rank(run: dict[str, Any]) -> tuple[float, float]:
    """Smaller is better."""
    return max(run["dead_fraction"] - MAX_DEAD, 0), run["fvu"]


def compare(ours: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> tuple[float, float]:
    """Medians over rounds of our rate over theirs, and of their seconds to one FVU over ours."""
    rates, times = [], []
    for a, b in zip(ours, theirs, strict=True):
        target = max(a["fvu"], b["fvu"])
        rates.append(b["seconds"] / b["activations"] * a["activations"] / a["seconds"])
        times.append(seconds_to(target, b) / seconds_to(target, a))
    return statistics.median(rates), statistics.median(times)


def row(name: str, runs: list[dict[str, Any]], rate: float | None) -> dict[str, Any]:
    from sae_contenders import CONTENDERS

    rates = [run["activations"] / run["seconds"] for run in runs]
    return {
        "name": name,
        "version": metadata.version(CONTENDERS[name][1] or name),
        "rate": round(statistics.median(rates)),
        "rates": [round(value) for value in rates],
        "fvu": round(statistics.median(run["fvu"] for run in runs), 5),
        "dead_fraction": round(statistics.median(run["dead_fraction"] for run in runs), 4),
        "fvus": [round(run["fvu"], 5) for run in runs],
        "learning_rate": rate or "default",
        "curve": [[round(s, 3), round(fvu, 5)] for s, fvu in runs[0]["curve"]],
    }


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--activations", type=Path, help="folder of captured activations, or .npy [rows, d_model]"
    )
    parser.add_argument("--rows", type=int, default=50_000, help="rows to train on, at most")
    parser.add_argument(
        "--held-out-rows",
        type=int,
        default=4000,
        help="rows to measure on, at most; more make the measuring longer than the training",
    )
    parser.add_argument("--latents", type=int, default=2048)
    parser.add_argument("--k", type=int, default=32)
    parser.add_argument("--batch-size", type=int, default=512)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--only", action="append", help="a contender, by its name in the results; repeatable"
    )
    parser.add_argument("--no-tuning", action="store_true", help="default learning rates for all")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")
    parser.add_argument(
        "--precision", default="float32", choices=["float32", "bfloat16"], help="of this project"
    )
    parser.add_argument("--compile", action="store_true", help="compile this project's step")
    parser.add_argument("--output", type=Path, help="default: by the device, under results/")
    parser.add_argument("--job", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    options = parse()
    if options.job:
        do_job(json.loads(options.job), options.folder)
        return
    from sae_contenders import CONTENDERS

    from reclens.device import resolve_device

    options.device = str(resolve_device(options.device))
    suffix = "" if options.device == "cpu" else f"_{options.device.partition(':')[0]}"
    output = options.output or RESULTS / f"sae_training{suffix}.json"
    missing: dict[str, str] = {}
    rates: dict[str, float | None] = {}
    runs: dict[str, list[dict[str, Any]]] = {}
    with tempfile.TemporaryDirectory() as name_of_folder:
        folder = Path(name_of_folder)
        options.rows = prepare(folder, options)
        for name in options.only or CONTENDERS:
            tune = not options.no_tuning and not name.startswith("reclens")
            tried: dict[float | None, dict[str, Any]] = {}
            for rate in LEARNING_RATES if tune else (None,):
                tried[rate] = train_in_own_process(name, folder, options, options.seed, rate)
                report(name, rate, tried[rate])
                if "missing" in tried[rate]:
                    missing[name] = tried[rate]["missing"]
                    break
            else:
                rates[name] = min(tried, key=lambda rate: _rank(tried[rate]))
                runs[name] = []
        for i in range(options.rounds):
            for name, rate in rates.items():
                run = train_in_own_process(name, folder, options, options.seed + 1 + i, rate)
                report(name, rate, run)
                runs[name].append(run)
    ours = runs.get("reclens")
    compared = {
        name: compare(ours, theirs) for name, theirs in runs.items() if ours and theirs is not ours
    }
    setting = {
        "rows": options.rows,
        "held_out_rows": options.held_out_rows,
        "activations": "captured" if options.activations else "planted",
        "n_latents": options.latents,
        "k": options.k,
        "batch_size": options.batch_size,
        "epochs": options.epochs,
        "rounds": options.rounds,
        "device": options.device,
        "precision": options.precision,
        "compiled": options.compile,
    }
    result = {
        "machine": machine(options.threads, options.device),
        "setting": setting,
        "rows": [row(name, runs[name], rates[name]) for name in runs],
        "missing": [{"name": name, "reason": reason} for name, reason in missing.items()],
        "ratios": {f"reclens / {name}": round(a, 2) for name, (a, _) in compared.items()},
        "ratios_at_equal_fvu": {
            f"reclens / {name}": round(b, 2) for name, (_, b) in compared.items()
        },
    }
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def report(name: str, rate: float | None, run: dict[str, Any]) -> None:
    told = (
        f"missing: {run['missing']}"
        if "missing" in run
        else f"{run['activations'] / run['seconds']:>9,.0f} activations/s   FVU {run['fvu']:.4f}"
        f"   dead {run['dead_fraction']:.1%}"
    )
    print(f"{name:<20} lr {rate or 'default'!s:<8} {told}", flush=True)  # noqa: T201 - a command


if __name__ == "__main__":
    main()
