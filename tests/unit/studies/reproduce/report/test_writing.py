"""The report as a reader gets it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from matplotlib.figure import Figure
from reproduction import fidelity as fidelity_of
from reproduction import fidelity_rows

from reclens.studies.reproduce.experiment.results import Dictionary, StudyResults
from reclens.studies.reproduce.report import prose
from reclens.studies.reproduce.report.claims import Claim, check_claims
from reclens.studies.reproduce.report.drawing import captioned
from reclens.studies.reproduce.report.prose import anchor
from reclens.studies.reproduce.report.tables import Column, Table, all_tables
from reclens.studies.reproduce.report.writing import (
    ALL_CONCEPTS,
    ALL_FIDELITY,
    RAW,
    content_of,
    opening,
    write_report,
)


def markdown_of(results: StudyResults, tables: list[Table], claims: list[Claim]) -> str:
    return prose.render("report.md.j2", **content_of(results, tables, [], claims))


def tables_of(results: StudyResults, key: str) -> list[Table]:
    return [table for table in all_tables(results) if table.key == key]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("report")


@pytest.fixture(scope="module")
def report(results: StudyResults, folder: Path) -> dict[str, Any]:
    return write_report(results, folder, seconds=12.5)


def test_json_has_the_public_fields(report: dict[str, Any], folder: Path) -> None:
    assert json.loads((folder / "report.json").read_text()) == report
    assert report["autoencoder"]["fvu"] == 0.05
    assert report["autoencoder"]["random_fvu"] == 1.7
    assert set(report["fidelity"]) == {"base", "reconstruction", "random_sae", "mean"}
    assert report["fidelity"]["reconstruction"]["ndcg@10"] == 0.097, "of the test users"
    assert report["fidelity_held_out"]["reconstruction"]["ndcg@10"] == 0.098
    assert report["concepts"]["shuffled_auroc_median"] == 0.5
    assert report["concepts"]["alive"] == 1000
    # 300 of 450 judged would be two thirds; the stage says what it counted.
    assert report["concepts"]["paper_p_share_08"] == 0.5
    assert report["concepts"]["paper_p_share_08_of_alive"] == 0.3
    assert report["concepts"]["judged"] == 450
    assert report["origins"] == {"history": {"cases": 400, "users": 40}}
    assert report["seconds"] == {
        "dataset": 1.0,
        "recommender": 2.0,
        "activations": 3.0,
        "autoencoder": 4.0,
        "concepts": 4.0,
        "evaluation": 4.0,
        "this_run": 12.5,
    }


def test_every_table_and_figure_is_in_both_forms(report: dict[str, Any], folder: Path) -> None:
    markdown = (folder / "report.md").read_text()
    html = (folder / "report.html").read_text()
    for key in ("T1", "T2", "T3", "T4", "T4b", "T5", "T8", "F2", "F3", "F4", "F5", "F7", "F8"):
        assert f"## {key}. " in markdown
        assert html.count(f'id="{key}"') == 1
    for name in ("F2_confidence", "F7_fvu_against_l0"):
        assert f"({name}.png)" in markdown
        assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert "<svg" in (folder / f"{name}.svg").read_text()


def test_raw_numbers_of_every_dictionary(report: dict[str, Any], folder: Path) -> None:
    concepts = pq.read_table(folder / RAW / ALL_CONCEPTS)
    names = {"topk 1,000/2", "untrained", "prediction-aware"}
    assert set(concepts["dictionary"].to_pylist()) == names
    assert len(concepts) == 3 * 600
    users = pq.read_table(folder / RAW / ALL_FIDELITY)
    assert set(users["dictionary"].to_pylist()) == names
    assert set(users["variant"].to_pylist()) == {"base", "reconstruction"}
    assert {"user_id", "origin", "ndcg@10"} <= set(users.column_names)


def test_contents_lead_to_every_heading(report: dict[str, Any], folder: Path) -> None:
    markdown = (folder / "report.md").read_text()
    contents = markdown.splitlines()[2]
    headings = [line[3:] for line in markdown.splitlines() if line.startswith("## ")]
    assert re.findall(r"\(#([^)]+)\)", contents) == [anchor(one) for one in headings]
    assert anchor("T4b. Are the directions the same?") == "t4b-are-the-directions-the-same"
    page = _Links()
    page.feed((folder / "report.html").read_text())
    assert [link for link in page.links if link[1:] not in page.ids] == []


def test_the_report_says_how_much_it_is_made_of(report: dict[str, Any], folder: Path) -> None:
    markdown = (folder / "report.md").read_text()
    assert "The main dictionary is topk with 1,000 latents, 2 active at once." in markdown
    assert "Every dictionary was trained for 6 epochs" in markdown
    assert "trained on 500 cases and measured on 400 cases" in markdown
    assert "Fidelity over 40 of 66 users that the autoencoder was not trained on" in markdown
    assert "No more than 40 users are measured: test users first, the others drawn." in markdown
    assert "Fidelity over all 40 test users" in markdown


def test_origins_are_rows_of_their_own(results: StudyResults) -> None:
    main, *others = results.dictionaries
    assert main.evaluation is not None
    measures = ("fvu", "l0", "dead_fraction", "always_on_fraction", "cosine")
    origins = {
        "folded": {"cases": 390, "users": 40, **dict.fromkeys(measures, 0.25)},
        "learned": {"cases": 24, "users": 40, **dict.fromkeys(measures, 0.5)},
    }
    evaluation = main.evaluation.model_copy(
        update={"metrics": {**main.evaluation.metrics, "origins": origins}}
    )
    both = replace(results, dictionaries=(replace(main, evaluation=evaluation), *others))
    (table,) = tables_of(both, "T4")
    assert "24 learned and 390 folded cases" in table.note
    first = "\n".join(opening(both))
    assert "measured on 24 learned and 390 folded cases of other users" in first
    assert "a folded vector is folded in from a part" in first
    rows = {row[1]: row for row in table.rows}
    assert rows["main, learned vectors alone (24 cases)"][5] == 0.5
    assert rows["main, folded vectors alone (390 cases)"][5] == 0.25


def test_without_usable_tags_no_figure_is_given(results: StudyResults) -> None:
    none = {"usable": 1, "tags": 0, "auroc": {}}
    bare = [
        replace(
            one,
            evaluation=one.evaluation.model_copy(
                update={"metrics": {**one.evaluation.metrics, "probing": none}}
            ),
        )
        for one in results.dictionaries
        if one.evaluation is not None
    ]
    (table,) = tables_of(replace(results, dictionaries=tuple(bare)), "T5b")
    assert table.rows == []
    assert table.note.startswith("No usable tags: it takes 3")
    assert "these data have 1" in table.note
    assert "| from |" not in markdown_of(results, [table], [])


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.cells: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = ("src", "href", "xlink:href")
        self.links += [value or "" for name, value in attrs if name in names]
        self.ids += [value or "" for name, value in attrs if name == "id"]
        del tag

    def handle_data(self, data: str) -> None:
        self.cells.append(data)


def test_the_page_needs_no_other_file(report: dict[str, Any], folder: Path) -> None:
    page = _Links()
    page.feed((folder / "report.html").read_text())
    assert [link for link in page.links if not link.startswith("#")] == []


def test_what_is_missing_is_said(results: StudyResults, tmp_path: Path) -> None:
    incomplete = replace(results, missing={"autoencoder of <PCA>": "it broke"})
    assert "autoencoder of <PCA> (it broke)" in markdown_of(incomplete, [], [])
    html = prose.render("report.html.j2", drawn={}, **content_of(incomplete, [], [], []))
    assert "autoencoder of &lt;PCA&gt; (it broke)" in html, "text of strangers is escaped"


def test_rows_stand_beside_their_controls(results: StudyResults) -> None:
    for table in all_tables(results):
        if table.key in {"T2", "T3", "T3b", "T4", "T5"}:
            assert any("control" in str(row[0]) for row in table.rows), table.key


def test_text_has_columns_where_there_is_text(results: StudyResults) -> None:
    by_vectors, by_text, intruders, _ = tables_of(results, "T5")[1:]
    assert by_text.rows == by_vectors.rows
    assert by_text.title == "Are the cases of one latent alike by what is written of the items?"
    measured = [0.25, 0.125, "0.600 [0.500 to 0.700]", "0.400 [0.300 to 0.500]"]
    assert intruders.rows[0] == ["topk 1,000/2 (main)", 3, *measured, *measured]
    bare = [
        replace(
            one,
            evaluation=one.evaluation.model_copy(
                update={"metrics": {**one.evaluation.metrics, "similarity_text": None}}
            ),
        )
        for one in results.dictionaries
        if one.evaluation is not None
    ]
    _, _, intruders, _ = tables_of(replace(results, dictionaries=tuple(bare)), "T5")
    assert intruders.rows[0] == ["topk 1,000/2 (main)", 3, *measured]


def test_labels_by_tags_say_how_far_these_are_a_truth(results: StudyResults) -> None:
    table = tables_of(results, "T5")[-1]
    purity = [2, 0.5, 0.1]
    assert table.rows[0] == [
        "topk 1,000/2 (main)",
        3,
        1,
        2,
        "0.300 [0.200 to 0.400]",
        0.01,
        "+0.250 [+0.200 to +0.300]",
        *purity * 3,
    ]
    assert "no independent truth" in table.note
    main, *others = results.dictionaries
    assert main.evaluation is not None
    held = {**main.evaluation.metrics["label_truth"], "independent": True}
    evaluation = main.evaluation.model_copy(
        update={"metrics": {**main.evaluation.metrics, "label_truth": held}}
    )
    held_by_others = replace(results, dictionaries=(replace(main, evaluation=evaluation), *others))
    table = tables_of(held_by_others, "T5")[-1]
    assert table.title == "Do the labels hold against the tags of other people?"
    assert "people whose tags no label is made of" in table.note


def test_cost_sums_seconds_and_bytes_and_tells_the_highest_peak(results: StudyResults) -> None:
    (table,) = tables_of(results, "T8")
    rows = {row[0]: row[1:] for row in table.rows}
    assert rows["recommender"] == [2.0, 2.0, 2.0]
    assert rows["of that, training alone"] == [None, None, None]
    main, *others = results.dictionaries
    trained = main.autoencoder.model_copy(
        update={"metrics": {**main.autoencoder.metrics, "training_seconds": 1.5}}
    )
    timed = replace(results, dictionaries=(replace(main, autoencoder=trained), *others))
    (table,) = tables_of(timed, "T8")
    (row,) = [row for row in table.rows if row[0] == "of that, training alone"]
    assert row[1] == 1.5
    # Autoencoder, concepts and evaluation of the untrained control.
    (controls,) = [row for name, row in rows.items() if "controls" in name]
    assert controls == [15.0, 6.0, 5.0]


def test_how_known_users_are_served_comes_first(results: StudyResults) -> None:
    main, *others = results.dictionaries
    assert main.evaluation is not None
    measured = main.evaluation.metrics["fidelity"]["history"]
    worse = {**measured, "held_out": {**measured["held_out"], "users": 7}}
    evaluation = main.evaluation.model_copy(
        # As JSON sorts them.
        update={
            "metrics": {
                **main.evaluation.metrics,
                "fidelity": {"folded": worse, "learned": measured},
            }
        }
    )
    both = replace(results, dictionaries=(replace(main, evaluation=evaluation), *others))
    assert both.main.fidelity()["users"] == 40
    assert [table.title.split(", ")[-1] for table in tables_of(both, "T3")] == [
        "learned vectors",
        "learned vectors",
        "folded vectors",
        "folded vectors",
    ]


@pytest.mark.parametrize(
    ("shown", "value", "cell"),
    [("", "text", "text"), (".3f", 0.12345, "0.123"), (",d", 1234, "1,234"), (".1f", None, "n/a")],
)
def test_cells(shown: str, value: Any, cell: str) -> None:
    assert Table("", "", (Column("x", shown),), [[value]]).cells() == [[cell]]


def _of_two_origins(one: Dictionary) -> Dictionary:
    assert one.evaluation is not None
    measures = ("fvu", "l0", "dead_fraction", "always_on_fraction", "cosine")
    folded = fidelity_of(0.09, 0.8)
    metrics = {
        **one.evaluation.metrics,
        "fidelity": {
            "folded": {"held_out": folded, "test": folded},
            "learned": one.evaluation.metrics["fidelity"]["history"],
        },
        "origins": {
            "folded": {"cases": 390, "users": 40, **dict.fromkeys(measures, 0.25)},
            "learned": {"cases": 24, "users": 40, **dict.fromkeys(measures, 0.5)},
        },
    }
    return replace(
        one,
        evaluation=one.evaluation.model_copy(update={"metrics": metrics}),
        fidelity_rows=fidelity_rows(0.9, origins=("learned", "folded")),
    )


def test_each_origin_is_told_apart_throughout(results: StudyResults) -> None:
    two = replace(results, dictionaries=tuple(_of_two_origins(one) for one in results.dictionaries))
    (table,) = tables_of(two, "T3b")
    assert table.columns[1].name == "vectors"
    assert [row[1] for row in table.rows] == ["learned", "folded"] * 3
    assert [row[4] for row in table.rows[:2]] == [0.098, 0.09]
    notes = {key: captioned(key, Figure(), two, least=30).note for key in ("F4", "F5")}
    assert "Cases with learned and with folded vectors together." in notes["F5"]
    assert "With learned vectors; T3b has the others too." in notes["F4"]
    for key in notes:
        note = captioned(key, Figure(), results, least=30).note
        assert "vectors" not in note
    markdown = markdown_of(two, all_tables(two), check_claims(two))
    assert "learned vectors: NDCG@10 0.1000 to 0.0980" in markdown
    assert "folded vectors: NDCG@10 0.1000 to 0.0900" in markdown
    assert "weight 1, learned vectors)" in markdown
    assert "24 learned and 390 folded cases in construct, verify, test" in markdown
