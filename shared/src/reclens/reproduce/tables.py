"""Tables T1 to T5 and T8, from manifests. Each row of results has its control beside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow.compute as pc

from reclens.contracts import Manifest
from reclens.reproduce.collecting import Collected, Dictionary
from reclens.reproduce.plan import Role
from reclens.reproduce.table import Column, Table

INTERPRETABLE = 0.8
"""Least P of an interpretable latent in the published protocol."""

_KS = (5, 10, 20, 50)
_QUALITY = tuple(Column(f"{name}@{k}", ".4f") for k in _KS for name in ("HR", "NDCG"))
_PROBED = ("1", "2", "5")
_VARIANTS = {
    "base": "base, untouched",
    "reconstruction": "reconstruction",
    "random_sae": "control: untrained autoencoder of the same shape",
    "mean": "control: mean vector",
}
_GROUPS = {
    "held_out": "all {:,} users that the autoencoder was not trained on",
    "test": "{:,} of them that nothing was made from or judged on",
}
_FIDELITY_NOTE = (
    "The vector is replaced within the recommender's own forward pass. Overlap and rank "
    "correlations compare with the untouched list, the latter over all items that the user has not "
    "met. Intervals: bootstrap over users."
)


def all_tables(collected: Collected) -> list[Table]:
    """In order."""
    return [
        data_statistics(collected),
        base_quality(collected),
        *fidelity(collected),
        fidelity_of_all(collected),
        health(collected),
        *stability(collected),
        concepts(collected),
        *probing(collected),
        cost(collected),
    ]


def data_statistics(collected: Collected) -> Table:
    """T1."""
    metrics = collected.dataset.metrics
    split = collected.dataset.spec["split"]["kind"]
    counts = [
        metrics[name] for name in ("users", "items", "interactions", "train", "valid", "test")
    ]
    return Table(
        "T1",
        "Data",
        (
            Column("data set"),
            Column("split"),
            *(
                Column(name, ",d")
                for name in ("users", "items", "interactions", "train", "valid", "test")
            ),
            Column("interactions per user", ".1f"),
            Column("density", ".3%"),
        ),
        [
            [
                collected.dataset_name,
                split,
                *counts,
                metrics["interactions"] / metrics["users"],
                metrics["density"],
            ]
        ],
    )


def base_quality(collected: Collected) -> Table:
    """T2."""
    metrics = collected.recommender.metrics
    rows = [
        [f"{collected.model_name}, {split}", *_quality(metrics[split])]
        for split in ("valid", "test")
    ]
    popular = (collected.main.evaluation or collected.dataset).metrics.get("popularity")
    if popular is not None:
        rows.append(["control: most popular first, test", *_quality(popular)])
    return Table(
        "T2",
        "Recommendation quality of the base model",
        (Column("ranking"), *_QUALITY),
        rows,
        "All users. Every item that the user has not met is a candidate.",
    )


def fidelity(collected: Collected) -> list[Table]:
    """T3: a table for each origin of the representation and each group of users."""
    by_origin = collected.main.fidelity_by_origin
    tables: list[Table] = []
    for origin, groups in by_origin.items():
        for group, shown_group in _GROUPS.items():
            measured = groups.get(group)
            if measured is None:
                continue
            rows = []
            for variant, shown in _VARIANTS.items():
                means = measured["variants"][variant]
                difference = measured["difference"].get(variant, {}).get("ndcg@10")
                rows.append(
                    [
                        shown,
                        *_quality(means),
                        _interval(means["intervals"]["ndcg@10"]),
                        None if difference is None else _signed(difference),
                        means["overlap@10"],
                        means["kendall"],
                        means["spearman"],
                    ]
                )
            suffix = "" if len(by_origin) == 1 else f", {origin} vectors"
            tables.append(
                Table(
                    "T3",
                    f"Fidelity over {shown_group.format(measured['users'])}{suffix}",
                    (
                        Column("representation"),
                        *_QUALITY,
                        Column("NDCG@10, 95 % interval"),
                        Column("NDCG@10 less base, 95 % interval"),
                        Column("overlap@10 with base", ".3f"),
                        Column("Kendall", ".3f"),
                        Column("Spearman", ".3f"),
                    ),
                    rows,
                    "" if tables else _FIDELITY_NOTE,
                )
            )
    return tables


def fidelity_of_all(collected: Collected) -> Table:
    """T3b: what each evaluated dictionary's reconstruction keeps."""
    rows = []
    for one in collected.evaluated:
        measured = one.fidelity()
        means = measured["variants"]["reconstruction"]
        rows.append(
            [
                _labelled(one),
                one.health["fvu"],
                means["hr@10"],
                means["ndcg@10"],
                _signed(measured["difference"]["reconstruction"]["ndcg@10"]),
                means["overlap@10"],
                means["kendall"],
            ]
        )
    users = collected.main.fidelity()["users"]
    return Table(
        "T3b",
        f"Fidelity of every labelled dictionary, {users:,} users that it was not trained on",
        (
            Column("dictionary"),
            Column("FVU", ".4f"),
            Column("HR@10", ".4f"),
            Column("NDCG@10", ".4f"),
            Column("NDCG@10 less base, 95 % interval"),
            Column("overlap@10 with base", ".3f"),
            Column("Kendall", ".3f"),
        ),
        rows,
    )


def health(collected: Collected) -> Table:
    """T4."""
    rows = []
    for one in collected.dictionaries:
        metrics = one.health
        rows.append(
            [
                one.kind if not one.is_control else f"control: {one.name}",
                ", ".join(role for role in one.roles if not one.is_control) or "control",
                metrics["n_latents"],
                metrics["k"],
                metrics["l0"],
                metrics["fvu"],
                metrics.get("random_fvu"),
                metrics["dead_fraction"],
                metrics["always_on_fraction"],
                metrics["cosine"],
            ]
        )
    return Table(
        "T4",
        "Health of the autoencoders, over k, size and architecture",
        (
            Column("architecture"),
            Column("part of"),
            Column("latents", ",d"),
            Column("k", "d"),
            Column("L0", ".2f"),
            Column("FVU", ".4f"),
            Column("FVU untrained, same shape", ".3f"),
            Column("dead", ".1%"),
            Column("always on", ".1%"),
            Column("cosine of x and x̂", ".4f"),
        ),
        rows,
        "On users that were not trained on. FVU: share of the variance unexplained; answering with "
        "the mean gives 1. Dead: fires for none of these cases. Always on: for more than half.",
    )


def stability(collected: Collected) -> list[Table]:
    """T4b: the directions of two trainings that differ in their seed; none without the second."""
    assert collected.main.evaluation is not None
    measured = collected.main.evaluation.metrics.get("stability")
    if measured is None:
        return []
    rows = [
        [
            shown,
            measured[name]["mean_max_cosine"],
            measured[name]["mean_matched_cosine"],
            *measured[name]["matched_share"].values(),
        ]
        for name, shown in (("retrained", "two seeds"), ("random", "control: random directions"))
    ]
    shares = measured["random"]["matched_share"]
    return [
        Table(
            "T4b",
            "Are the directions the same when the seed is another?",
            (
                Column("main dictionary beside"),
                Column("mean cosine to the nearest", ".3f"),
                Column("mean cosine of pairs", ".3f"),
                *(Column(f"pairs above {limit}", ".1%") for limit in shares),
            ),
            rows,
            "Decoder directions. Pairs: each direction once, by the Hungarian method.",
        )
    ]


def concepts(collected: Collected) -> Table:
    """T5."""
    rows = [_concept_row(one) for one in collected.evaluated]
    return Table(
        "T5",
        "Concepts against raw dimensions, PCA and an untrained autoencoder on an equal footing",
        (
            Column("dictionary"),
            Column("alive", ",d"),
            Column("labelled", ",d"),
            Column("one item", ",d"),
            Column("trusted", ",d"),
            Column(f"P ≥ {INTERPRETABLE}", ",d"),
            Column(f"P ≥ {INTERPRETABLE}, of alive", ".1%"),
            Column("distinct labels", ",d"),
            Column("AUROC, median", ".3f"),
            Column("AUROC, labels shuffled", ".3f"),
            Column("AUROC ≥ 0.8", ".1%"),
            Column("intra", ".3f"),
            Column("intra, other user and item", ".3f"),
            Column("random pairs", ".3f"),
            Column("inter", ".3f"),
        ),
        rows,
        "All dictionaries are labelled and judged by the same code on the same users. P is that of "
        "the published protocol with the keyword matcher as judge. Intra: cosine of the embeddings "
        "of the items of a latent's two strongest cases; then the same with the second case of "
        "another user and with another item; random pairs are its control. Inter: mean cosine of "
        f"different latents' strongest items. All four over latents with P ≥ {INTERPRETABLE}.",
    )


def _concept_row(one: Dictionary) -> list[Any]:
    assert one.concepts is not None
    assert one.evaluation is not None
    metrics = one.concepts.metrics
    similarity = one.evaluation.metrics["similarity"]["interpretable"]
    count = interpretable(one)
    return [
        _labelled(one),
        metrics["alive"],
        metrics["labelled"],
        metrics["single_item"],
        metrics["trusted"],
        count,
        count / metrics["alive"] if metrics["alive"] else None,
        metrics["distinct"],
        metrics["auroc_median"],
        metrics["shuffled_auroc_median"],
        metrics["auroc_share_08"],
        *(similarity[name] for name in ("intra", "intra_distinct", "random_pairs", "inter")),
    ]


def probing(collected: Collected) -> list[Table]:
    """T5b: how few latents tell a tag of the item on top; nothing where the data have no tags."""
    rows: list[list[Any]] = []
    tags = 0
    for one in collected.evaluated:
        assert one.evaluation is not None
        measured = one.evaluation.metrics.get("probing", {"tags": 0})
        if not measured["tags"]:
            continue
        tags, auroc = measured["tags"], measured["auroc"]
        rows.append([_labelled(one), *(auroc["latents"][n] for n in _PROBED)])
        if one is collected.main:
            raw = [auroc["dimensions"][n] for n in _PROBED]
            rows.append(["control: as many raw dimensions", *raw])
            rows.append(["ceiling: the whole representation", *([auroc["full"]] * len(_PROBED))])
    if not rows:
        return []
    return [
        Table(
            "T5b",
            f"Sparse probing: AUROC of telling a tag of the top item, mean over {tags} tags",
            (
                Column("from"),
                *(Column(f"{n} feature{'s' if n != '1' else ''}", ".3f") for n in _PROBED),
            ),
            rows,
            "Features are chosen and a logistic regression is fitted on construct users; measured "
            "on test users. Chance is 0.5.",
        )
    ]


def interpretable(one: Dictionary) -> int:
    """Latents with P of at least ``INTERPRETABLE``."""
    assert one.labels is not None
    above = pc.greater_equal(one.labels["paper_p"], INTERPRETABLE)  # type: ignore[attr-defined]
    return int(pc.sum(above).as_py() or 0)  # type: ignore[attr-defined]


def cost(collected: Collected) -> Table:
    """T8."""
    main = collected.main
    rows = [
        _cost("data set", [collected.dataset]),
        _cost("recommender", [collected.recommender]),
        _cost("activations", [collected.activations]),
        _cost(f"autoencoder, {main.name}", [main.autoencoder]),
        *([_cost("concepts", [main.concepts])] if main.concepts else []),
        *([_cost("evaluation", [main.evaluation])] if main.evaluation else []),
    ]
    others = [one for one in collected.dictionaries[1:] if not one.is_control]
    controls = [one for one in collected.dictionaries if one.is_control]
    for name, group in (("other autoencoders", others), ("controls", controls)):
        manifests = [
            manifest
            for one in group
            for manifest in (one.autoencoder, one.concepts, one.evaluation)
            if manifest is not None
        ]
        rows.append(_cost(f"{len(group)} {name}, with their labels and evaluations", manifests))
    columns = [
        Column("stage"),
        Column("seconds", ",.1f"),
        Column("artifacts, MB", ",.2f"),
        Column("peak memory, MB", ",.0f"),
    ]
    if all(row[-1] is None for row in rows):
        # No worker told.
        columns, rows = columns[:-1], [row[:-1] for row in rows]
    return Table(
        "T8",
        "Cost",
        tuple(columns),
        rows,
        "Wall time of the jobs that made the artifacts, on the machine where each was made. MB: "
        "10⁶ bytes.",
    )


def _cost(name: str, manifests: Sequence[Manifest]) -> list[Any]:
    peaks = [one.metrics.get("peak_memory_bytes") for one in manifests]
    known = [peak for peak in peaks if peak is not None]
    return [
        name,
        sum(one.seconds for one in manifests),
        sum(entry.size for one in manifests for entry in one.objects) / 1e6,
        max(known) / 1e6 if known else None,
    ]


def _labelled(one: Dictionary) -> str:
    if one.is_control:
        return f"control: {one.name}"
    return f"{one.name} (main)" if one.has(Role.MAIN) else one.name


def _quality(metrics: dict[str, Any]) -> list[Any]:
    return [metrics[f"{name}@{k}"] for k in _KS for name in ("hr", "ndcg")]


def _interval(bounds: Sequence[float]) -> str:
    return f"{bounds[0]:.3f} to {bounds[1]:.3f}"


def _signed(interval: Sequence[float]) -> str:
    mean, low, high = interval
    return f"{mean:+.4f} ({low:+.4f} to {high:+.4f})"
