"""``report.md``, ``report.html`` and ``report.json`` with the plots and raw numbers beside them."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from reclens.studies.reproduce.experiment.comparison import RECONSTRUCTION, interpretable_share
from reclens.studies.reproduce.experiment.results import Dictionary, StudyResults
from reclens.studies.reproduce.report import prose
from reclens.studies.reproduce.report.claims import Claim, check_claims, summary
from reclens.studies.reproduce.report.concept_figures import confidence, examples, levels
from reclens.studies.reproduce.report.dictionary_figures import pareto, prediction_aware, quality
from reclens.studies.reproduce.report.drawing import Plot
from reclens.studies.reproduce.report.findings import what_it_shows
from reclens.studies.reproduce.report.tables import Column, Table, all_tables
from reclens.studies.style import STYLE
from reclens.studies.templates import pick

RAW = "data"
"""Folder with the raw tables, within a report's."""

ALL_FIDELITY = "all_fidelity.parquet"
"""Fidelity user by user of every evaluated dictionary, behind T3b, F4 and F8: ``dictionary``,
``user_id``, ``split``, ``origin``, ``variant`` (base, reconstruction) and the measures."""
ALL_CONCEPTS = "all_concepts.parquet"
"""Labels and confidences of every evaluated dictionary, behind T5 and F2: ``dictionary`` and the
columns of the concepts table."""

_AFTER_TABLE = {"T4": "F7", "T5": "F2"}
"""Figures that belong to a table; the others follow in order."""


def write_report(results: StudyResults, folder: Path, *, seconds: float) -> dict[str, Any]:
    """Write everything.

    Args:
        results: what the jobs made.
        folder: made if need be; files of an earlier report are replaced.
        seconds: wall time of this run, reused artifacts included at no cost.

    Returns:
        The content of ``report.json``.
    """
    raw = folder / RAW
    raw.mkdir(parents=True, exist_ok=True)
    tables, plots, claims = all_tables(results), all_plots(results), check_claims(results)
    for plot in plots:
        plot.save(folder)
    for name, table in _raw_tables(results).items():
        pq.write_table(table, raw / name, compression="zstd")
    report = as_json(results, claims, seconds=seconds)
    _write_json(folder / "report.json", report)
    by_key = {key: [one.as_json() for one in own] for key, own in _by_key(tables).items()}
    _write_json(folder / "tables.json", by_key)
    drawn = {plot.key: _inline(folder / f"{plot.name}.svg") for plot in plots}
    content = content_of(results, tables, plots, claims)
    (folder / "report.md").write_text(prose.render("report.md.j2", **content))
    (folder / "report.html").write_text(prose.render("report.html.j2", drawn=drawn, **content))
    return report


def all_plots(results: StudyResults) -> list[Plot]:
    """All figures in order; one that there are no data for is left out."""
    drawn = (confidence, examples, quality, levels, pareto, prediction_aware)
    with mpl.rc_context(STYLE):
        plots = [draw(results) for draw in drawn]
    return [plot for plot in plots if plot is not None]


def content_of(
    results: StudyResults, tables: list[Table], plots: list[Plot], claims: list[Claim]
) -> dict[str, Any]:
    """What both forms of the report show: ``report.md.j2``, and ``report.html.j2``, which is one
    page that needs no other file and is given ``drawn``, the plots by key, too."""
    names = ("claim", "source", "measured", "control", "verdict")
    judged = [[getattr(claim, name) for name in names] for claim in claims]
    terms = prose.layout("terms.yaml")
    return {
        "title": f"{results.dataset_name}, {results.model_name}: tables and figures",
        "opening": opening(results),
        "found": what_it_shows(results),
        "summary": summary(claims),
        "claims": Table("", "", tuple(map(Column, names)), judged),
        "terms": {term: prose.text(meaning, main=results.main) for term, meaning in terms.items()},
        "sections": _sections(tables, plots),
        "stages": results.stages,
    }


def opening(results: StudyResults) -> list[str]:
    """First paragraphs: what was run, and on what."""
    return prose.paragraphs("opening.j2", results=results)


def _sections(tables: list[Table], plots: list[Plot]) -> list[dict[str, Any]]:
    """Key, heading, and the tables of one key or the figure; a figure is after its table or at the
    end."""
    waiting = {plot.key: plot for plot in plots}
    found: list[Table | Plot] = []
    by_key = _by_key(tables)
    for key, own in by_key.items():
        found.append(own[0])
        plot = waiting.pop(_AFTER_TABLE.get(key, ""), None)
        found += [plot] if plot else []
    return [
        {
            "key": one.key,
            "heading": f"{one.key}. {one.title}",
            "tables": by_key.get(one.key, []),
            "plot": one if isinstance(one, Plot) else None,
        }
        for one in [*found, *waiting.values()]
    ]


def _by_key(tables: list[Table]) -> dict[str, list[Table]]:
    found: dict[str, list[Table]] = {}
    for table in tables:
        found.setdefault(table.key, []).append(table)
    return found


def _inline(path: Path) -> str:
    """The ``<svg>`` element of a file, for the body of a page."""
    text = path.read_text()
    return text[text.index("<svg") :]


def _raw_tables(results: StudyResults) -> dict[str, pa.Table]:
    """Raw tables of the main dictionary; of all evaluated ones each row has the dictionary's
    name."""
    found = dict(results.tables)
    if results.main.labels is not None:
        found["concepts.parquet"] = results.main.labels
    # The controls of one dictionary are dictionaries themselves, or in its own table.
    kept = pc.field("variant").isin(["base", RECONSTRUCTION])
    parts = {
        ALL_FIDELITY: [
            _named(one, one.fidelity_rows.filter(kept))
            for one in results.evaluated
            if one.fidelity_rows is not None
        ],
        ALL_CONCEPTS: [
            _named(one, one.labels) for one in results.evaluated if one.labels is not None
        ],
    }
    return found | {name: pa.concat_tables(own) for name, own in parts.items() if own}


def _named(one: Dictionary, table: pa.Table) -> pa.Table:
    return table.add_column(0, "dictionary", pa.array([one.name] * len(table), pa.string()))


def as_json(results: StudyResults, claims: list[Claim], *, seconds: float) -> dict[str, Any]:
    """The figures that others read, under names that do not change."""
    main = results.main
    held_out = main.fidelity()["variants"]
    test_users = main.fidelity("test").get("variants", held_out)
    test = results.recommender.metrics["test"]
    return {
        "dataset": {
            "name": results.dataset_name,
            **pick(results.dataset.metrics, "users", "items", "interactions"),
        },
        "recommender": {"kind": results.model_name, **pick(test, "hr@10", "ndcg@10")},
        "autoencoder": pick(
            main.health, "fvu", "l0", "dead_fraction", "random_fvu", "n_latents", "k"
        ),
        "fidelity": _without_intervals(test_users),
        "fidelity_held_out": _without_intervals(held_out),
        "concepts": {
            **pick(
                main.labelling,
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
        **pick(main.measured, "similarity", "similarity_text", "label_truth"),
        "origins": results.origins,
        "findings": what_it_shows(results),
        "claims": [asdict(claim) for claim in claims],
        "missing": results.missing,
        "artifacts": {stage: manifest.artifact for stage, manifest in results.stages.items()},
        "versions": main.autoencoder.versions,
        "seconds": {
            **{stage: manifest.seconds for stage, manifest in results.stages.items()},
            "this_run": round(seconds, 3),
        },
    }


def _without_intervals(variants: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {
        variant: {name: value for name, value in means.items() if name != "intervals"}
        for variant, means in variants.items()
    }


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n")
