"""The report for people: the same content as Markdown and as one page of HTML."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import jinja2

from reclens.studies.reproduce.experiment.results import Collected
from reclens.studies.reproduce.report.findings import what_it_shows
from reclens.studies.reproduce.report.opening import paragraphs, terms
from reclens.studies.reproduce.report.plot import Plot
from reclens.studies.reproduce.report.table import Column, Table
from reclens.studies.reproduce.report.verdicts import Claim, Verdict

_TEMPLATE = Path(__file__).with_name("report.html.j2")
_AFTER_TABLE = {"T4": "F7", "T5": "F2"}
"""Figures that belong to a table; the others follow in order."""
_FOUND, _CLAIMS, _TERMS, _ARTIFACTS = (
    "What this run shows",
    "Claims checked",
    "Terms",
    "Artifacts",
)

_HOW = (
    "Sentences are made by rule from the figures of this run. In brackets: 95 % intervals; what "
    "reaches over zero is no difference."
)


@dataclass(frozen=True)
class _Section:
    """One heading with the tables and figures under it."""

    key: str
    """``T1`` and so on."""
    title: str
    """Heading."""
    tables: tuple[Table, ...] = ()
    plot: Plot | None = None

    @property
    def heading(self) -> str:
        return f"{self.key}. {self.title}"


def as_markdown(
    collected: Collected, tables: list[Table], plots: list[Plot], claims: list[Claim]
) -> str:
    """The report for people."""
    sections = _sections(tables, plots)
    headings = [_FOUND, _CLAIMS, _TERMS, *(one.heading for one in sections), _ARTIFACTS]
    contents = " · ".join(f"[{heading.split('. ')[0]}](#{anchor(heading)})" for heading in headings)
    lines = [f"# {_title(collected)}", "", contents, ""]
    for text in paragraphs(collected):
        lines += [text, ""]
    lines += [f"## {_FOUND}", "", _HOW, "", *(f"- {text}" for text in what_it_shows(collected)), ""]
    lines += [f"## {_CLAIMS}", "", _summary(claims), "", *_pipe_table(_claims_table(claims)), ""]
    lines += [f"## {_TERMS}", "", *(f"- **{term}**: {text}" for term, text in terms(collected)), ""]
    for section in sections:
        lines += [f"## {section.heading}", ""]
        for i, table in enumerate(section.tables):
            lines += [f"**{table.title}**", ""] if i else []
            lines += [*_pipe_table(table), ""] if table.rows else []
            lines += [table.note, ""] if table.note else []
        if section.plot is not None:
            plot = section.plot
            lines += [f"![{plot.title}]({plot.name}.png)", "", plot.note, ""]
    lines += [f"## {_ARTIFACTS}", "", *(f"- {line}" for line in _artifacts(collected))]
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
        paragraphs=paragraphs(collected),
        headings={"found": _FOUND, "claims": _CLAIMS, "terms": _TERMS, "artifacts": _ARTIFACTS},
        how=_HOW,
        found=what_it_shows(collected),
        terms=terms(collected),
        summary=_summary(claims),
        claims=_claims_table(claims),
        failed=Verdict.FAILS.value,
        sections=_sections(tables, plots),
        drawn={plot.key: _inline(folder / f"{plot.name}.svg") for plot in plots},
        artifacts=_artifacts(collected),
    )


def anchor(heading: str) -> str:
    """The id that Markdown viewers give a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _sections(tables: list[Table], plots: list[Plot]) -> list[_Section]:
    """Tables of one key under one heading, each figure after its table or at the end."""
    waiting = {plot.key: plot for plot in plots}
    sections: list[_Section] = []
    for key in dict.fromkeys(table.key for table in tables):
        own = tuple(table for table in tables if table.key == key)
        sections.append(_Section(key, own[0].title, own))
        plot = waiting.pop(_AFTER_TABLE.get(key, ""), None)
        if plot is not None:
            sections.append(_Section(plot.key, plot.title, plot=plot))
    sections += [_Section(plot.key, plot.title, plot=plot) for plot in waiting.values()]
    return sections


def _title(collected: Collected) -> str:
    return f"{collected.dataset_name}, {collected.model_name}: tables and figures"


def _summary(claims: list[Claim]) -> str:
    words = {Verdict.HOLDS: "hold", Verdict.FAILS: "do not hold"}
    counts = {verdict: sum(claim.verdict is verdict for claim in claims) for verdict in Verdict}
    told = ", ".join(
        f"{count} {words.get(verdict, verdict)}" for verdict, count in counts.items() if count
    )
    return (
        f"{len(claims)} published claims held against this run: {told}. Verdicts are computed from "
        "the figures by the rule that each claim states; a claim of several parts holds where all "
        f"of them do. {Verdict.UNDECIDED.value.capitalize()}: the 95 % interval reaches over the "
        "threshold."
    )


def _claims_table(claims: list[Claim]) -> Table:
    names = ("claim", "source", "measured", "control", "verdict")
    return Table(
        "",
        _CLAIMS,
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


def _inline(path: Path) -> str:
    """The ``<svg>`` element of a file, for the body of a page."""
    text = path.read_text()
    return text[text.index("<svg") :]


def _artifacts(collected: Collected) -> list[str]:
    main = collected.main
    manifests = [collected.dataset, collected.recommender, collected.activations, main.autoencoder]
    manifests += [one for one in (main.concepts, main.evaluation) if one is not None]
    return [manifest.artifact for manifest in manifests]
