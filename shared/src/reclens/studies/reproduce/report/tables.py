"""Tables of data, recommender, fidelity and cost. Each row of results has its control beside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from reclens.contracts import Manifest
from reclens.studies.reproduce.experiment.comparison import RECONSTRUCTION
from reclens.studies.reproduce.experiment.results import Collected, Dictionary
from reclens.studies.reproduce.report.table import Column, Table
from reclens.studies.reproduce.report.tables_concepts import concepts
from reclens.studies.reproduce.report.tables_dictionary import health, labelled, probing, stability

_KS = (5, 10, 20, 50)
_QUALITY = tuple(Column(f"{name}@{k}", ".4f") for k in _KS for name in ("HR", "NDCG"))
_VARIANTS = {
    "base": "base, untouched",
    "reconstruction": "reconstruction",
    "random_sae": "control: untrained autoencoder of the same shape",
    "mean": "control: mean vector",
}
_GROUPS = {
    "held_out": "users that the autoencoder was not trained on",
    "test": "test users, whom nothing was made from or judged on",
}
_FIDELITY_NOTE = (
    "The vector is replaced within the recommender's own forward pass. Overlap and rank "
    "correlations (Kendall's τ, Spearman's) compare with the untouched list, the latter over all "
    "items that the user has not met. Intervals: bootstrap over users; differences user by user."
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
        *concepts(collected),
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
                    f"Fidelity over {_of_eligible(collected, group)} {shown_group}{suffix}",
                    (
                        Column("representation"),
                        *_QUALITY,
                        Column("NDCG@10, 95 % interval"),
                        Column("NDCG@10 less base, 95 % interval"),
                        Column("overlap@10 with base", ".3f"),
                        Column("Kendall with base", ".3f"),
                        Column("Spearman with base", ".3f"),
                    ),
                    rows,
                    "" if tables else _FIDELITY_NOTE + _draw(collected),
                )
            )
    return tables


def _of_eligible(collected: Collected, group: str) -> str:
    """How many users were measured, of how many that could have been."""
    assert collected.main.evaluation is not None
    users = collected.main.fidelity(group)["users"]
    eligible = collected.main.evaluation.metrics["eligible"][group]
    return f"all {users:,}" if users == eligible else f"{users:,} of {eligible:,}"


def _draw(collected: Collected) -> str:
    assert collected.main.evaluation is not None
    users = collected.main.fidelity()["users"]
    if users == collected.main.evaluation.metrics["eligible"]["held_out"]:
        return ""
    return f" No more than {users:,} users are measured: test users first, the others drawn."


def fidelity_of_all(collected: Collected) -> Table:
    """T3b: what each evaluated dictionary's reconstruction keeps."""
    several = len(collected.main.fidelity_by_origin) > 1
    rows = [
        _kept_row(one, origin, groups["held_out"], several)
        for one in collected.evaluated
        for origin, groups in one.fidelity_by_origin.items()
    ]
    return Table(
        "T3b",
        f"Fidelity of every labelled dictionary over {_of_eligible(collected, 'held_out')} users "
        "that it was not trained on",
        (
            Column("dictionary"),
            *([Column("vectors")] if several else []),
            Column("FVU", ".4f"),
            Column("HR@10", ".4f"),
            Column("NDCG@10", ".4f"),
            Column("NDCG@10 less base, 95 % interval"),
            Column("overlap@10 with base", ".3f"),
            Column("Kendall with base", ".3f"),
        ),
        rows,
        "FVU is over all held-out cases, as in T4." if several else "",
    )


def _kept_row(one: Dictionary, origin: str, measured: dict[str, Any], several: bool) -> list[Any]:
    means = measured["variants"][RECONSTRUCTION]
    return [
        labelled(one),
        *([origin] if several else []),
        one.health["fvu"],
        means["hr@10"],
        means["ndcg@10"],
        _signed(measured["difference"][RECONSTRUCTION]["ndcg@10"]),
        means["overlap@10"],
        means["kendall"],
    ]


def cost(collected: Collected) -> Table:
    """T8."""
    main = collected.main
    rows = [
        _cost("data set", [collected.dataset]),
        _cost("recommender", [collected.recommender]),
        _cost("activations", [collected.activations]),
        _cost(f"autoencoder, {main.name}", [main.autoencoder]),
        [
            "of that, training alone",
            main.health.get("training_seconds"),
            None,
            None,
        ],
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
    return Table(
        "T8",
        "Cost",
        (
            Column("stage"),
            Column("seconds", ",.1f"),
            Column("artifacts, MB", ",.2f"),
            Column("peak memory, MB", ",.0f"),
        ),
        rows,
        "Wall time of the jobs that made the artifacts and the highest resident memory of their "
        "worker's process, on the machine where each was made. MB: 10⁶ bytes."
        + (
            " n/a: not measured apart, or made before it was measured."
            if any(None in row for row in rows)
            else ""
        ),
    )


def _cost(name: str, manifests: Sequence[Manifest]) -> list[Any]:
    peaks = [one.peak_memory_bytes for one in manifests]
    known = [peak for peak in peaks if peak is not None]
    return [
        name,
        sum(one.seconds for one in manifests),
        sum(entry.size for one in manifests for entry in one.objects) / 1e6,
        max(known) / 1e6 if known else None,
    ]


def _quality(metrics: dict[str, Any]) -> list[Any]:
    return [metrics[f"{name}@{k}"] for k in _KS for name in ("hr", "ndcg")]


def _interval(bounds: Sequence[float]) -> str:
    return f"{bounds[0]:.3f} to {bounds[1]:.3f}"


def _signed(interval: Sequence[float]) -> str:
    mean, low, high = interval
    return f"{mean:+.4f} ({low:+.4f} to {high:+.4f})"
