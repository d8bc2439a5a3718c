"""``report.md``, ``report.html`` and ``report.json`` with the plots and raw numbers beside them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from reclens.studies.reproduce.experiment.comparison import RECONSTRUCTION, interpretable_share
from reclens.studies.reproduce.experiment.results import Collected, Dictionary
from reclens.studies.reproduce.report.claims import check_claims
from reclens.studies.reproduce.report.document import as_html, as_markdown
from reclens.studies.reproduce.report.figures import all_plots
from reclens.studies.reproduce.report.findings import what_it_shows
from reclens.studies.reproduce.report.table import Table
from reclens.studies.reproduce.report.tables import all_tables
from reclens.studies.reproduce.report.verdicts import Claim

RAW = "data"
"""Folder with the raw tables, within a report's."""

ALL_FIDELITY = "all_fidelity.parquet"
"""Fidelity user by user of every evaluated dictionary, behind T3b, F4 and F8: ``dictionary``,
``user_id``, ``split``, ``origin``, ``variant`` (base, reconstruction) and the measures."""
ALL_CONCEPTS = "all_concepts.parquet"
"""Labels and confidences of every evaluated dictionary, behind T5 and F2: ``dictionary`` and the
columns of the concepts table."""


def write_report(collected: Collected, folder: Path, *, seconds: float) -> dict[str, Any]:
    """Write everything.

    Args:
        collected: what the jobs made.
        folder: made if need be; files of an earlier report are replaced.
        seconds: wall time of this run, reused artifacts included at no cost.

    Returns:
        The content of ``report.json``.
    """
    raw = folder / RAW
    raw.mkdir(parents=True, exist_ok=True)
    tables, plots, claims = all_tables(collected), all_plots(collected), check_claims(collected)
    for plot in plots:
        plot.save(folder)
    for name, table in collected.tables.items():
        pq.write_table(table, raw / name, compression="zstd")
    if collected.main.labels is not None:
        pq.write_table(collected.main.labels, raw / "concepts.parquet", compression="zstd")
    for name, parts in _of_all(collected).items():
        if parts:
            pq.write_table(pa.concat_tables(parts), raw / name, compression="zstd")
    report = as_json(collected, claims, seconds=seconds)
    _write_json(folder / "report.json", report)
    _write_json(folder / "tables.json", _tables_as_json(tables))
    (folder / "report.md").write_text(as_markdown(collected, tables, plots, claims))
    (folder / "report.html").write_text(as_html(collected, tables, plots, claims, folder))
    return report


def _of_all(collected: Collected) -> dict[str, list[pa.Table]]:
    """Raw tables of all evaluated dictionaries, each row with the dictionary's name."""
    found: dict[str, list[pa.Table]] = {ALL_FIDELITY: [], ALL_CONCEPTS: []}
    for one in collected.evaluated:
        if one.labels is not None:
            found[ALL_CONCEPTS].append(_named(one, one.labels))
        if one.fidelity_rows is not None:
            # The controls of one dictionary are dictionaries themselves, or in its own table.
            kept = pc.is_in(  # type: ignore[attr-defined]
                one.fidelity_rows["variant"], pa.array(["base", RECONSTRUCTION])
            )
            found[ALL_FIDELITY].append(_named(one, one.fidelity_rows.filter(kept)))
    return found


def _named(one: Dictionary, table: pa.Table) -> pa.Table:
    return table.add_column(0, "dictionary", pa.array([one.name] * len(table), pa.string()))


def as_json(collected: Collected, claims: list[Claim], *, seconds: float) -> dict[str, Any]:
    """The figures that others read, under names that do not change."""
    main = collected.main
    assert main.concepts is not None
    assert main.evaluation is not None
    held_out = main.fidelity()["variants"]
    test_users = main.fidelity("test").get("variants", held_out)
    stages = {
        "dataset": collected.dataset,
        "recommender": collected.recommender,
        "activations": collected.activations,
        "autoencoder": main.autoencoder,
        "concepts": main.concepts,
        "evaluation": main.evaluation,
    }
    test = collected.recommender.metrics["test"]
    return {
        "dataset": {
            "name": collected.dataset_name,
            **_pick(collected.dataset.metrics, "users", "items", "interactions"),
        },
        "recommender": {"kind": collected.model_name, **_pick(test, "hr@10", "ndcg@10")},
        "autoencoder": _pick(
            main.health, "fvu", "l0", "dead_fraction", "random_fvu", "n_latents", "k"
        ),
        "fidelity": {name: _short_fidelity(means) for name, means in test_users.items()},
        "fidelity_held_out": {name: _short_fidelity(means) for name, means in held_out.items()},
        "concepts": {
            **_pick(
                main.concepts.metrics,
                "alive",
                "labelled",
                "judged",
                "distinct",
                "trusted",
                "auroc_median",
                "auroc_share_08",
                # Of the judged, as all names without another denominator.
                "paper_p_share_08",
                "shuffled_auroc_median",
                "shuffled_paper_p_share_08",
            ),
            "paper_p_share_08_of_alive": interpretable_share(main),
        },
        **_pick(main.evaluation.metrics, "similarity", "similarity_text", "label_truth"),
        "origins": collected.origins,
        "findings": what_it_shows(collected),
        "claims": [claim.as_json() for claim in claims],
        "missing": collected.missing,
        "artifacts": {stage: manifest.artifact for stage, manifest in stages.items()},
        "versions": main.autoencoder.versions,
        "seconds": {
            **{stage: manifest.seconds for stage, manifest in stages.items()},
            "this_run": round(seconds, 3),
        },
    }


def _tables_as_json(tables: list[Table]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for table in tables:
        found.setdefault(table.key, []).append(table.as_json())
    return found


def _short_fidelity(means: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in means.items() if name != "intervals"}


def _pick(values: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: values[name] for name in names}


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n")
