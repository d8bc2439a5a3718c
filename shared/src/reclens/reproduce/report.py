"""``report.md``, ``report.html`` and ``report.json`` with the plots and raw numbers beside them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jinja2
import pyarrow.parquet as pq

from reclens.reproduce.claims import Claim, Verdict, check_claims
from reclens.reproduce.collecting import Collected
from reclens.reproduce.figures import all_plots
from reclens.reproduce.plot import Plot
from reclens.reproduce.table import Column, Table
from reclens.reproduce.tables import all_tables

RAW = "data"
"""Folder with the raw tables, within a report's."""

_TEMPLATE = Path(__file__).with_name("report.html.j2")
_AFTER_TABLE = {"T4": "F7", "T5": "F2"}
"""Figures that belong to a table; the others follow in order."""


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
    report = as_json(collected, claims, seconds=seconds)
    _write_json(folder / "report.json", report)
    _write_json(folder / "tables.json", _tables_as_json(tables))
    (folder / "report.md").write_text(as_markdown(collected, tables, plots, claims))
    (folder / "report.html").write_text(as_html(collected, tables, plots, claims, folder))
    return report


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
        "concepts": _pick(
            main.concepts.metrics,
            "alive",
            "labelled",
            "distinct",
            "trusted",
            "auroc_median",
            "auroc_share_08",
            "paper_p_share_08",
            "shuffled_auroc_median",
        ),
        "similarity": main.evaluation.metrics["similarity"],
        "claims": [claim.as_json() for claim in claims],
        "missing": collected.missing,
        "artifacts": {stage: manifest.artifact for stage, manifest in stages.items()},
        "versions": main.autoencoder.versions,
        "seconds": {
            **{stage: manifest.seconds for stage, manifest in stages.items()},
            "this_run": round(seconds, 3),
        },
    }


def as_markdown(
    collected: Collected, tables: list[Table], plots: list[Plot], claims: list[Claim]
) -> str:
    """The report for people."""
    lines = [f"# {_title(collected)}", "", *_paragraphs(collected), "", "## Claims checked", ""]
    lines += [_summary(claims), "", *_pipe_table(_claims_table(claims)), ""]
    waiting = {plot.key: plot for plot in plots}
    shown: set[str] = set()
    for table in tables:
        if table.key not in shown:
            lines += [f"## {table.key}. {table.title}", ""]
        else:
            lines += [f"**{table.title}**", ""]
        shown.add(table.key)
        lines += [*_pipe_table(table), ""]
        lines += [table.note, ""] if table.note else []
        if (plot := waiting.pop(_AFTER_TABLE.get(table.key, ""), None)) is not None:
            lines += _markdown_plot(plot)
    for plot in waiting.values():
        lines += _markdown_plot(plot)
    lines += ["## Artifacts", "", *(f"- {line}" for line in _artifacts(collected))]
    return "\n".join(lines) + "\n"


def as_html(
    collected: Collected,
    tables: list[Table],
    plots: list[Plot],
    claims: list[Claim],
    folder: Path,
) -> str:
    """The same as one page that needs no other file; plots are read from ``folder``."""
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    return environment.from_string(_TEMPLATE.read_text()).render(
        title=_title(collected),
        paragraphs=_paragraphs(collected),
        summary=_summary(claims),
        claims=_claims_table(claims),
        failed=Verdict.FAILS.value,
        tables=tables,
        plots={plot.key: (plot, _inline(folder / f"{plot.name}.svg")) for plot in plots},
        after=_AFTER_TABLE,
        artifacts=_artifacts(collected),
    )


def _title(collected: Collected) -> str:
    return f"{collected.dataset_name}, {collected.model_name}: tables and figures"


def _paragraphs(collected: Collected) -> list[str]:
    main = collected.main
    said = [
        f"The main dictionary is {main.kind} with {main.health['n_latents']:,} latents, "
        f"{main.health['k']} active at once. Every figure stands beside its control. Figures "
        "of dictionaries are of users that they were not trained on."
    ]
    if collected.missing:
        named = "; ".join(f"{name} ({why})" for name, why in collected.missing.items())
        said.append(f"Not made, and so missing below: {named}.")
    return said


def _summary(claims: list[Claim]) -> str:
    failed = sum(claim.verdict is Verdict.FAILS for claim in claims)
    return (
        f"Of {len(claims)} published claims that this data set and model can be held against, "
        f"{len(claims) - failed} hold in this run and {failed} do not. Verdicts are computed from "
        "the figures by the rule that each claim states."
    )


def _claims_table(claims: list[Claim]) -> Table:
    names = ("claim", "source", "measured", "control", "verdict")
    return Table(
        "",
        "Claims checked",
        tuple(Column(name) for name in names),
        [[claim.as_json()[name] for name in names] for claim in claims],
    )


def _pipe_table(table: Table) -> list[str]:
    right = [bool(column.shown) for column in table.columns]
    lines = [
        f"| {' | '.join(column.name for column in table.columns)} |",
        f"|{'|'.join('---:' if one else '---' for one in right)}|",
    ]
    for row in table.cells():
        cells = [cell.replace("|", "\\|").replace("\n", " ") for cell in row]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _markdown_plot(plot: Plot) -> list[str]:
    return [
        f"## {plot.key}. {plot.title}",
        "",
        f"![{plot.title}]({plot.name}.png)",
        "",
        plot.note,
        "",
    ]


def _inline(path: Path) -> str:
    """The ``<svg>`` element of a file, for the body of a page."""
    text = path.read_text()
    return text[text.index("<svg") :]


def _artifacts(collected: Collected) -> list[str]:
    main = collected.main
    manifests = [collected.dataset, collected.recommender, collected.activations, main.autoencoder]
    manifests += [one for one in (main.concepts, main.evaluation) if one is not None]
    return [manifest.artifact for manifest in manifests]


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
