"""``reclens data check`` on clean and dirty files, as a person calls it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from reclens.cli.jobs.jobs import finish
from reclens.cli.main import run
from reclens.contracts import DatasetSpec, JobResult
from reclens.data import prepare
from reclens.platform.jobs.spec_file import read_spec_file
from reclens.platform.jobs.view import JobState, JobView, StageView

RATINGS = """\
userId,movieId,rating,timestamp
1,10,4.0,1700000000
1,11,4.0,1700000100
1,12,3.5,1700000200
2,10,3.5,1700000300
2,12,4.0,1700000400
2,11,1.0,1700000500
"""
MOVIES = "movieId,title,genres\n10,Boats (1995),Adventure|Animation\n11,Road,Comedy\n12,Night,\n"


def _check(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, dict[str, Any]]:
    code = run(["data", "check", *map(str, arguments), "--json"])
    told = capsys.readouterr()
    assert told.err == ""
    return code, json.loads(told.out)


def _codes(told: dict[str, Any]) -> set[str]:
    return {one["code"] for one in told["account"]["findings"]}


@pytest.fixture
def films(tmp_path: Path) -> Path:
    folder = tmp_path / "Film Club"
    folder.mkdir()
    (folder / "loans.csv").write_text(RATINGS)
    (folder / "movies.csv").write_text(MOVIES)
    (folder / "README.txt").write_text("1 2 3\n4 5 6\n")
    return folder


def test_what_it_proposes_is_submitted_as_it_is(
    films: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec_file = tmp_path / "spec.yaml"
    assert run(["data", "check", str(films), "--write", str(spec_file)]) == 0
    shown = capsys.readouterr().out
    assert "rows      6 read, 6 kept" in shown
    assert "items     3 of 3: 3 with a title, 2 with tags, 0 with neither" in shown
    request = read_spec_file(spec_file)
    assert request.task == "reclens.dataset.import.v1"
    spec = DatasetSpec.parse(request.spec)
    assert spec.source is not None
    assert spec.name == "film-club"
    columns = spec.source.columns
    assert (columns.user, columns.item, columns.timestamp) == ("userId", "movieId", "timestamp")
    assert (columns.rating, columns.title, columns.tags) == ("rating", "title", "genres")
    dataset = prepare(spec, Path(spec.source.path))
    assert dataset.items.titles == ["Boats", "Road", "Night"]
    # Of a specification, what it says is checked.
    request.spec["min_rating"] = 2
    spec_file.write_text(yaml.safe_dump({"task": request.task, "spec": request.spec}))
    code, told = _check(capsys, spec_file)
    assert code == 0
    assert told["account"]["rows_dropped"] == {"copies": 0, "min_rating": 1, "k_core": 0}


def test_files_may_be_named_one_by_one(films: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (films / "movies.csv").rename(films / "films.tsv")
    (films / "films.tsv").write_text("id\tname\n10\tBoats\n")
    code, told = _check(capsys, films / "loans.csv", films / "films.tsv")
    assert code == 0
    source = told["proposal"]["spec"]["source"]
    assert source["columns"]["item_key"] == "id"
    assert (told["account"]["titled"], told["account"]["undescribed"]) == (1, 2)


def _fill(folder: Path, files: dict[str, str]) -> Path:
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("movielens", {"ratings.dat": "1::7::5::10\n1::8::5::11\n1::9::5::12\n"}),
        (
            "movielens",
            {"ratings.csv": "userId,movieId,rating,timestamp\n1,7,5,10\n1,8,5,11\n1,9,5,12\n"},
        ),
        ("movielens", {"u.data": "1\t7\t5\t10\n1\t8\t5\t11\n1\t9\t5\t12\n"}),
        (
            "recbole",
            {"x.inter": "user_id:token\titem_id:token\nu\ta\nu\tb\nu\tc\n", "y.inter": ""},
        ),
        ("rechorus", {"train.csv": "user_id\titem_id\ttime\n1\t7\t1\n1\t8\t2\n1\t9\t3\n"}),
        ("sequences", {"shops.txt": "1 1 2 3\n2 3 1\n"}),
        (
            "hetrec",
            {"user_artists.dat": "userID\tartistID\tweight\n2\t51\t1\n2\t52\t1\n2\t53\t1\n"},
        ),
        (
            "table",
            {
                "x.jsonl": '{"user_id": 1, "asin": "a", "timestamp": 1}\n'
                '{"user_id": 1, "asin": "b", "timestamp": 2}\n'
                '{"user_id": 1, "asin": "c", "timestamp": 3}\n'
            },
        ),
        ("table", {"train.csv": "user_id,item_id,time\n1,7,1\n1,8,2\n1,9,3\n"}),
    ],
)
def test_the_format_is_found_out(
    name: str, files: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = _fill(tmp_path / "data", files)
    first = folder / next(iter(files))
    for path in (folder, first) if len(files) == 1 else (first,):
        code, told = _check(capsys, path)
        assert code == 0, told["error"]
        assert told["proposal"]["spec"]["source"]["format"] == name
        assert told["account"]["rows_read"] >= 3


def test_parquet_is_found_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = pa.table({"visitorid": [1, 1, 1], "itemid": ["a", "b", "c"], "ts": [1, 2, 3]})
    pq.write_table(table, tmp_path / "events.parquet")
    code, told = _check(capsys, tmp_path)
    assert code == 0
    columns = told["proposal"]["spec"]["source"]["columns"]
    assert (columns["user"], columns["item"], columns["timestamp"]) == ("visitorid", "itemid", "ts")


COPIES = "user_id,item_id,timestamp\n" + "u,a,7\n" * 3 + "u,b,8\nu,c,9\nu,d,10\n"


def test_what_is_odd_fails_only_the_strict(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "views.csv").write_text(COPIES)
    code, told = _check(capsys, tmp_path / "views.csv")
    assert (code, told["error"]) == (0, None)
    assert told["account"]["exact_copies"] == 2
    assert "exact-copies" in _codes(told)
    assert _check(capsys, tmp_path / "views.csv", "--strict")[0] == 1
    assert run(["data", "check", str(tmp_path / "views.csv")]) == 0
    assert "warning   exact-copies (2): 2 rows repeat" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"a.csv": "user_id,item_id,timestamp\nu,a,1\nu,b,soon\n"}, "a.csv, line 3, column"),
        ({"ratings.dat": "1::7::5::10\n1::8::5\n"}, "ratings.dat, line 2"),
        ({"a.csv": "user_id,item_id,timestamp\nu,a,1\nu,b,2\n"}, "nothing to test on"),
        ({"a.csv": "who,what\nu,a\n"}, "no column of .* a.csv has who, what"),
        ({"a.csv": ""}, "a.csv"),
        ({}, "there is no table"),
    ],
)
def test_what_an_import_would_refuse_is_told(
    files: dict[str, str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = _fill(tmp_path / "data", files)
    assert run(["data", "check", str(folder)]) == 1
    told = capsys.readouterr()
    (line,) = told.err.splitlines()
    assert line.startswith("error: ")
    assert "Remedy: " in line
    assert re.search(said, line)


def test_a_published_name_has_no_files_to_check(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "job.yaml").write_text("task: reclens.dataset.import.v1\nspec: {name: ml-100k}\n")
    code, told = _check(capsys, tmp_path / "job.yaml")
    assert code == 1
    assert "names no source" in told["error"]["message"]


def test_the_account_is_printed_with_the_job_that_made_it(
    films: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, told = _check(capsys, films)
    result = JobResult(artifact="datasets/0123456789abcdef", metrics={"account": told["account"]})
    stage = StageView(
        name="dataset",
        job_id="2",
        artifact=result.artifact,
        state=JobState.SUCCEEDED,
        result=result,
    )
    alone = JobView(id="1", task="t", spec={}, state=JobState.SUCCEEDED, result=result)
    piped = JobView(id="1", task="t", spec={}, state=JobState.SUCCEEDED, stages=(stage,))
    for view in (alone, piped):
        finish(view, json=False)
        assert capsys.readouterr().out.count("rows      6 read, 6 kept") == 1
