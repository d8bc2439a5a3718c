"""Exact search of the best items against approximate indexes, for maximum inner product.

A million item vectors of width 64 and biases, in three distributions: `gaussian`, without any
structure, the worst case; `planted`, the clusters of `serving_world.py`; `trained`, those of a
SASRec trained here on MovieLens-100K, each of its items spread into many between it and its
neighbours. Queries are representations of users (trained: of that model), pushed by 0 to 0.8 of
their norm towards a group of items, as steering does.

Recall@10 is the share of the ten best items that are in the ten best after the index's candidates
have been scored exactly, which is what a server would do. Rates are queries a second on
`--threads` threads, alone and in batches of 32.

    pip install faiss-cpu usearch
    python benchmarks/item_index.py
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from machine import machine
from serving_world import D_MODEL, Taste, item_vectors

RESULTS = Path(__file__).parent / "results" / "item_index.json"
TOP_K = 10
CANDIDATES = 200
"""Items that an index returns for a query."""
PUSHES = (0.0, 0.2, 0.4, 0.8)

Search = Callable[[np.ndarray], np.ndarray]
"""Queries [batch, d + 1] to candidates [batch, CANDIDATES]; -1 where there are fewer."""


@dataclass(frozen=True)
class Setting:
    """An index, and how hard it searches."""

    name: str
    library: str
    effort: str
    search: Search
    build_seconds: float
    index_mb: float


def vectors_of(
    distribution: str, n_items: int, n_queries: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Items [n_items, d + 1], the bias last, and queries [n_queries, d + 1], which end in 1."""
    if distribution == "gaussian":
        items = rng.standard_normal((n_items, D_MODEL), np.float32)
        biases = np.zeros(n_items, np.float32)
        x = rng.standard_normal((n_queries, D_MODEL), np.float32)
        group = rng.integers(0, 200, n_items)
    elif distribution == "planted":
        taste = Taste(n_items, rng)
        items, group = item_vectors(taste, rng), taste.cluster
        biases = (0.5 * taste.popularity).astype(np.float32)
        users, seen = taste.draw(n_queries, rng)
        x = np.add.reduceat(items[seen], np.searchsorted(users, np.arange(n_queries))) / 10
    else:
        known, biases, x = _trained()
        items, source = _spread(known, n_items, rng)
        biases = biases[source]
        group = source % 200
        x = x[rng.permutation(len(x))[:n_queries]]
    centres = np.stack([items[group == g].mean(0) for g in np.unique(group)])
    directions = centres - items.mean(0)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    push = rng.choice(PUSHES, len(x))[:, None] * np.linalg.norm(x, axis=1, keepdims=True)
    x = x + push * directions[rng.integers(0, len(directions), len(x))]
    ones = np.ones((len(x), 1))
    return (
        np.ascontiguousarray(np.hstack([items, biases[:, None]]), np.float32),
        np.ascontiguousarray(np.hstack([x, ones]), np.float32),
    )


def _trained() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Item vectors, biases and users' representations of a SASRec on MovieLens-100K."""
    from reclens.contracts import DatasetSpec, SasRecConfig
    from reclens.data import Split, prepare
    from reclens.platform.datasets.obtain import obtain
    from reclens.platform.settings.models import WorkerSettings
    from reclens.recommenders import RecommenderTrainer, UserBatch

    folder = obtain(
        "ml-100k", Path(".reclens/cache"), WorkerSettings().data.folder("ml-100k")
    ).folder
    dataset = prepare(DatasetSpec(), folder)
    trainer = RecommenderTrainer(SasRecConfig(d_model=D_MODEL, max_epochs=8), dataset, seed=0)
    for _ in trainer.steps():
        pass
    model, _report = trainer.finish()
    model.eval()
    cases: list[np.ndarray] = []
    for user in range(dataset.n_users):
        history = dataset.history(user, (Split.TRAIN, Split.VALID))
        cases += [history[: at + 1] for at in range(5, len(history), 11)]
    with torch.inference_mode():
        x = [
            model.represent(UserBatch.of(cases[at : at + 500], max_length=model.max_length))
            for at in range(0, len(cases), 500)
        ]
        return model.item_weights().numpy(), model.item_biases().numpy(), torch.cat(x).numpy()


def _spread(
    known: np.ndarray, n_items: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Items on the way from one known item to one of its ten nearest, with a little noise."""
    unit = known / np.linalg.norm(known, axis=1, keepdims=True)
    near = np.argsort(-(unit @ unit.T), axis=1)[:, 1:11]
    source = rng.integers(0, len(known), n_items)
    other = near[source, rng.integers(0, 10, n_items)]
    way = rng.random((n_items, 1), np.float32) / 2
    noise = rng.standard_normal((n_items, known.shape[1]), np.float32)
    noise *= 0.2 * np.linalg.norm(known[source], axis=1, keepdims=True) / known.shape[1] ** 0.5
    return known[source] * (1 - way) + known[other] * way + noise, source


def exact(items: np.ndarray) -> Iterator[Setting]:
    """One product and a bounded selection a block of items."""
    weights, block = torch.from_numpy(items), 1 << 16

    def search(queries: np.ndarray) -> np.ndarray:
        q = torch.from_numpy(queries)
        values, indices = [], []
        for at in range(0, len(weights), block):
            best = (q @ weights[at : at + block].T).topk(TOP_K, dim=1)
            values.append(best.values)
            indices.append(best.indices + at)
        order = torch.cat(values, 1).topk(TOP_K, dim=1).indices
        return torch.cat(indices, 1).gather(1, order).numpy()

    yield Setting("exact", "torch", "all items", search, 0.0, items.nbytes / 2**20)


def faiss_indexes(items: np.ndarray, threads: int) -> Iterator[Setting]:
    """Inverted lists: vectors as they are, in bytes, or in four bits for two coordinates."""
    import faiss

    faiss.omp_set_num_threads(threads)
    # An even width, for codes of pairs.
    even = np.hstack([items, np.zeros((len(items), items.shape[1] % 2), np.float32)])
    width = even.shape[1]
    for factory in ("IVF1024,Flat", "IVF1024,SQ8", f"IVF1024,PQ{width // 2}x4fs"):
        began = time.perf_counter()
        index = faiss.index_factory(width, factory, faiss.METRIC_INNER_PRODUCT)
        ivf = faiss.extract_index_ivf(index)
        ivf.cp.niter = 10
        ivf.cp.max_points_per_centroid = 64
        index.train(even)
        index.add(even)
        build = time.perf_counter() - began
        size = len(faiss.serialize_index(index)) / 2**20
        for n_probe in (16, 32, 64, 128):

            def search(
                queries: np.ndarray, n_probe: int = n_probe, index: Any = index, ivf: Any = ivf
            ) -> np.ndarray:
                ivf.nprobe = n_probe
                padded = np.zeros((len(queries), width), np.float32)
                padded[:, : queries.shape[1]] = queries
                return index.search(padded, CANDIDATES)[1]

            yield Setting(factory, "faiss-cpu", f"{n_probe} lists", search, build, size)


def usearch_indexes(items: np.ndarray, threads: int) -> Iterator[Setting]:
    """An index by a graph of neighbours."""
    from usearch.index import Index

    for kind in ("f32",):
        began = time.perf_counter()
        # For inner products the graph wants vectors of one length: one more coordinate does it.
        norms = np.linalg.norm(items, axis=1)
        rest = np.sqrt(np.maximum(norms.max() ** 2 - norms**2, 0))[:, None]
        same_length = np.hstack([items, rest]).astype(np.float32)
        metric = "cos"
        index = Index(ndim=same_length.shape[1], metric=metric, dtype=kind, connectivity=16)
        index.add(np.arange(len(items)), same_length, threads=threads)
        build = time.perf_counter() - began
        size = index.memory_usage / 2**20
        for effort in (128, 512):

            def search(queries: np.ndarray, effort: int = effort, index: Any = index) -> np.ndarray:
                index.expansion_search = effort
                padded = np.hstack([queries, np.zeros((len(queries), 1), np.float32)])
                found = index.search(padded, CANDIDATES, threads=threads)
                return np.asarray(found.keys, np.int64).reshape(len(queries), -1)

            yield Setting(f"graph, {kind}", "usearch", f"expansion {effort}", search, build, size)


def rescored(items: np.ndarray, queries: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """The ``TOP_K`` best of the candidates by their exact scores."""
    scores = np.einsum("qcd,qd->qc", items[candidates], queries)
    scores[candidates < 0] = -np.inf
    order = np.argsort(-scores, axis=1)[:, :TOP_K]
    return np.take_along_axis(candidates, order, axis=1)


def measure(
    setting: Setting, items: np.ndarray, queries: np.ndarray, truth: np.ndarray, seconds: float
) -> dict[str, Any]:
    """Measure the recall and the rates of an index."""

    def answer(batch: np.ndarray) -> np.ndarray:
        return rescored(items, batch, setting.search(batch))

    found = np.concatenate([answer(queries[at : at + 32]) for at in range(0, len(queries), 32)])
    hits = [len(np.intersect1d(a, b)) for a, b in zip(found, truth, strict=True)]
    row: dict[str, Any] = {
        "index": setting.name,
        "library": setting.library,
        "effort": setting.effort,
        "recall": round(float(np.mean(hits)) / TOP_K, 4),
        "recall_p5": round(float(np.quantile(hits, 0.05)) / TOP_K, 2),
        "build_seconds": round(setting.build_seconds, 1),
        "index_mb": round(setting.index_mb),
    }
    for batch in (1, 32):
        began, done = time.perf_counter(), 0
        while (spent := time.perf_counter() - began) < seconds:
            at = done % (len(queries) - batch)
            answer(queries[at : at + batch])
            done += batch
        row[f"rate_{batch}"] = round(done / spent, 1)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=1.0, help="for each rate")
    parser.add_argument("--only", nargs="+", default=["exact", "faiss", "usearch"])
    parser.add_argument("--distributions", nargs="+", default=["trained", "planted", "gaussian"])
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rows: list[dict[str, Any]] = []
    for distribution in options.distributions:
        rng = np.random.default_rng(0)
        items, queries = vectors_of(distribution, options.items, options.queries, rng)
        (baseline,) = exact(items)
        truth = np.concatenate(
            [baseline.search(queries[at : at + 32]) for at in range(0, len(queries), 32)]
        )
        makers = {
            "exact": lambda items=items: exact(items),
            "faiss": lambda items=items: faiss_indexes(items, options.threads),
            "usearch": lambda items=items: usearch_indexes(items, options.threads),
        }
        for maker in options.only:
            for setting in makers[maker]():
                row = {"distribution": distribution} | measure(
                    setting, items, queries, truth, options.seconds
                )
                rows.append({"name": f"{distribution} {row['index']} {row['effort']}", **row})
                print(rows[-1], flush=True)  # noqa: T201 - a command
        write(options, rows)


def write(options: argparse.Namespace, rows: list[dict[str, Any]]) -> None:
    """Write what there is so far."""
    by_name = {row["name"]: row for row in rows}
    result = {
        "machine": machine(options.threads),
        "setting": {"items": options.items, "width": D_MODEL, "candidates": CANDIDATES},
        "rows": rows,
        "ratios": {
            f"{row['name']} / exact, batches of 32": round(
                row["rate_32"] / by_name[f"{row['distribution']} exact all items"]["rate_32"], 1
            )
            for row in rows
            if row["index"] != "exact" and f"{row['distribution']} exact all items" in by_name
        },
    }
    options.output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
