"""The report's tables. Their columns and words stand in ``templates/tables.yaml``.

Each row of results has its control beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from reclens.contracts import Manifest
from reclens.studies.reproduce.experiment.comparison import RECONSTRUCTION
from reclens.studies.reproduce.experiment.plan import Role
from reclens.studies.reproduce.experiment.results import Dictionary, StudyResults
from reclens.studies.reproduce.report import prose
from reclens.studies.templates import number

_VARIANTS = {
    "base": "base, untouched",
    "reconstruction": "reconstruction",
    "random_sae": "control: untrained autoencoder of the same shape",
    "mean": "control: mean vector",
}


@dataclass(frozen=True)
class Column:
    """One column of a table."""

    name: str
    """Heading, with the unit where there is one."""
    shown: str = ""
    """Format specification of its numbers, e.g. ``.3f``; empty: as text."""


@dataclass(frozen=True)
class Table:
    """A table: raw values for machines, formatted cells for people."""

    key: str
    """``T1`` and so on."""
    title: str
    """What it shows."""
    columns: tuple[Column, ...]
    """Its columns."""
    rows: list[list[Any]]
    """JSON values; None where something was not measured."""
    note: str = ""
    """How to read it."""

    def cells(self) -> list[list[str]]:
        """All rows for people."""
        return [
            [number(value, column.shown) for column, value in zip(self.columns, row, strict=True)]
            for row in self.rows
        ]

    def as_json(self) -> dict[str, Any]:
        """Title, note, names of columns, raw rows."""
        return {
            "title": self.title,
            "note": self.note,
            "columns": [column.name for column in self.columns],
            "rows": self.rows,
        }


def all_tables(results: StudyResults) -> list[Table]:
    """All tables that there are results for, in order."""
    scope = {"results": results, "main": results.main}
    return [
        _table(layout, {**scope, "each": each})
        for layout in prose.layout("tables.yaml")
        for each in prose.value(layout.get("each", "[0]"), **scope)
    ]


def _table(layout: dict[str, Any], scope: dict[str, Any]) -> Table:
    columns = [
        (Column(prose.text(heading), shown), value)
        for entry in layout["columns"]
        # An entry may be a list of columns.
        for heading, shown, value, *there in (entry if isinstance(entry[0], list) else [entry])
        if all(prose.value(condition, **scope) for condition in there)
    ]
    rows = [
        [prose.value(value, row=row, **scope) for _, value in columns]
        for row in prose.value(layout["rows"], **scope)
    ]
    return Table(
        layout["key"],
        prose.text(layout["title"], **scope),
        tuple(column for column, _ in columns),
        rows,
        prose.text(layout.get("note", ""), cells=rows, **scope),
    )


@prose.function
def rankings(results: StudyResults) -> list[dict[str, Any]]:
    """Quality of the base model's rankings, and of the most popular items."""
    metrics = results.recommender.metrics
    popular = (results.main.evaluation or results.dataset).metrics.get("popularity")
    found = {f"{results.model_name}, {split}": metrics[split] for split in ("valid", "test")}
    found["control: most popular first, test"] = popular
    return [{"name": name, "means": means} for name, means in found.items() if means is not None]


@prose.function
def replacements(results: StudyResults) -> list[dict[str, Any]]:
    """For each origin of the vector and each group of users, what takes the vector's place."""
    found: list[dict[str, Any]] = []
    for origin, groups in results.main.fidelity_by_origin.items():
        for group, measured in sorted(groups.items()):
            differences = measured["difference"]
            rows = [
                {
                    "name": name,
                    "means": measured["variants"][variant],
                    "less_base": differences.get(variant, {}).get("ndcg@10"),
                }
                for variant, name in _VARIANTS.items()
            ]
            found.append({"origin": origin, "group": group, "rows": rows, "is_first": not found})
    return found


@prose.function
def of_eligible(results: StudyResults, group: str) -> str:
    """How many users were measured, of how many that could have been."""
    users = results.main.fidelity(group)["users"]
    eligible = results.main.measured["eligible"][group]
    return f"all {users:,}" if users == eligible else f"{users:,} of {eligible:,}"


@prose.function
def reconstructions(results: StudyResults) -> list[dict[str, Any]]:
    """What each evaluated dictionary's reconstruction keeps, by origin of the vector."""
    return [
        {
            "one": one,
            "origin": origin,
            "means": groups["held_out"]["variants"][RECONSTRUCTION],
            "less_base": groups["held_out"]["difference"][RECONSTRUCTION]["ndcg@10"],
        }
        for one in results.evaluated
        for origin, groups in one.fidelity_by_origin.items()
    ]


@prose.function
def healths(results: StudyResults) -> list[dict[str, Any]]:
    """Health of every dictionary; of the main one by origin too, where there are several."""
    rows: list[dict[str, Any]] = []
    for one in results.dictionaries:
        kind = one.title if one.is_control else one.kind
        parts = {_part(one): one.health}
        if one is results.main and len(results.origins) > 1:
            for origin, measured in results.origins.items():
                parts[f"main, {origin} vectors alone ({measured['cases']:,} cases)"] = measured
        rows += [
            {"architecture": kind, "part": part, "one": one, "found": found}
            for part, found in parts.items()
        ]
    return rows


def _part(one: Dictionary) -> str:
    if one.is_control:
        return "control"
    weight = f", weight {one.config['prediction_coefficient']:g}"
    return ", ".join(one.roles) + (weight if one.has(Role.PREDICTION) else "")


@prose.function
def narrow_controls(results: StudyResults) -> list[Dictionary]:
    """Closed-form controls that have fewer latents than the main dictionary."""
    return [
        one
        for one in results.controls
        if one.has(Role.DIMENSIONS, Role.PCA)
        and one.health["n_latents"] < results.main.health["n_latents"]
    ]


@prose.function
def probes(results: StudyResults) -> list[dict[str, Any]]:
    """How well few latents tell a tag, beside as many coordinates and the whole vector."""
    rows: list[dict[str, Any]] = []
    for one in results.evaluated:
        auroc = one.measured["probing"]["auroc"]
        if not one.measured["probing"]["tags"]:
            continue
        rows.append({"name": one.title, "auroc": auroc["latents"]})
        if one is results.main:
            whole = dict.fromkeys(auroc["dimensions"], auroc["full"])
            rows += [
                {"name": "control: coordinates of the vector itself", "auroc": auroc["dimensions"]},
                {"name": "ceiling: the whole vector", "auroc": whole},
            ]
    return rows


@prose.function
def costs(results: StudyResults) -> list[dict[str, Any]]:
    """Time, bytes and memory by stage of the main dictionary, and of all others together."""
    rows: list[dict[str, Any]] = []
    for stage, manifest in results.stages.items():
        names = {"dataset": "data set", "autoencoder": f"autoencoder, {results.main.name}"}
        rows.append(_cost(names.get(stage, stage), [manifest]))
        if stage == "autoencoder":
            seconds = manifest.metrics.get("training_seconds")
            alone = {"stage": "of that, training alone", "seconds": seconds}
            rows.append({**alone, "megabytes": None, "peak": None})
    for name, is_control in (("other autoencoders", False), ("controls", True)):
        group = [one for one in results.dictionaries[1:] if one.is_control is is_control]
        made = [
            manifest
            for one in group
            for manifest in (one.autoencoder, one.concepts, one.evaluation)
            if manifest is not None
        ]
        rows.append(_cost(f"{len(group)} {name}, with their labels and evaluations", made))
    return rows


def _cost(stage: str, manifests: Sequence[Manifest]) -> dict[str, Any]:
    peaks = [one.peak_memory_bytes for one in manifests if one.peak_memory_bytes is not None]
    return {
        "stage": stage,
        "seconds": sum(one.seconds for one in manifests),
        "megabytes": sum(entry.size for one in manifests for entry in one.objects) / 1e6,
        "peak": max(peaks) / 1e6 if peaks else None,
    }


@prose.function
def span(bounds: Sequence[float]) -> str:
    """Both ends of an interval."""
    return f"{bounds[0]:.3f} to {bounds[1]:.3f}"


@prose.function
def signed(interval: Sequence[float] | None) -> str | None:
    """A difference with its interval; None where there is none."""
    if interval is None:
        return None
    mean, low, high = interval
    return f"{mean:+.4f} ({low:+.4f} to {high:+.4f})"
