"""The page on a data set: figures worked by hand, and pages of data sets of all kinds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.image import imread

from reclens.cli.main import run
from reclens.cli.operations import doctor
from reclens.contracts import DatasetSpec, Manifest
from reclens.data import write_dataset
from reclens.data.prepare import Imported, import_dataset
from reclens.studies.dataset_page.figures import measure, popular_hit_rate
from reclens.studies.dataset_page.page import write_page

HEAD = "user_id,item_id,timestamp"
DAY = 86_400
FIRST = 1_600_000_000
ITEMS = "item_id,title,tags\na,Boats,Sea|Drama\nb,<b>Road</b>,Drama\nc,,\n"


def _import(folder: Path, rows: list[str], items: str = "", **given: Any) -> Imported:
    (folder / "interactions.csv").write_text("\n".join([HEAD, *rows, ""]), encoding="utf-8")
    if items:
        (folder / "items.csv").write_text(items, encoding="utf-8")
    # So that no size of numbers is refused.
    source = {"format": "table", "path": str(folder), "columns": {"time_unit": "s"}}
    return import_dataset(DatasetSpec.parse({"name": "mine", "source": source, **given}), folder)


def _manifest(imported: Imported, *, account: bool = True) -> Manifest:
    metrics = {"account": imported.account.canonical()} if account else {}
    return Manifest(
        artifact="datasets/0123456789abcdef",
        task="reclens.dataset.import.v1",
        spec={"name": "mine"},
        inputs={},
        objects=[],
        metrics=metrics,
        versions={},
        created_at="2026-01-01T00:00:00+00:00",
        seconds=1.0,
    )


@pytest.fixture
def imported(tmp_path: Path) -> Imported:
    # Each of three users meets a, b, c by turns, the fourth a alone; the last of each is test.
    rows = [
        f"u{user},{'abc'[(user + turn) % 3]},{FIRST + turn * DAY}"
        for user in range(3)
        for turn in range(3)
    ]
    return _import(tmp_path, [*rows, f"u3,a,{FIRST}", f"u3,a,{FIRST}"], ITEMS)


def test_figures_are_those_that_were_worked_by_hand(imported: Imported) -> None:
    figures = measure(imported.dataset, timed=True)
    assert figures.lengths.tolist() == [3, 3, 3, 2]
    assert figures.popularity.tolist() == [3, 1, 1]
    assert figures.parts == {"train": (5, 0), "valid": (3, 3), "test": (3, 3)}
    assert figures.density == pytest.approx(11 / 12)
    assert figures.top_share == pytest.approx(3 / 5)  # one item of three is the tenth
    assert figures.popular_hit_rate == 1.0  # three items are fewer than ten
    assert figures.half_width == pytest.approx(1.96 * (0.09 / 3) ** 0.5)
    assert (figures.titled, figures.tagged, figures.rare_items) == (2, 2, 3)
    assert figures.tags == {"Drama": 2, "Sea": 1}
    assert figures.rare_tags == 2


def test_the_popular_are_offered_without_those_that_were_seen(tmp_path: Path) -> None:
    # i0 to i19 are in as many histories as they are early; u0 has seen i0, and is tested on i10:
    # the tenth of those left. u1 is tested on i12, the twelfth.
    fans = [
        f"fan{fan},i{item},{fan * 100 + item}"
        for fan in range(2, 22)
        for item in range(20)
        if item < fan
    ]
    rows = [*fans, "u0,i0,1", "u0,x,2", "u0,i10,3", "u1,i0,1", "u1,x,2", "u1,i12,3"]
    dataset = _import(tmp_path, rows).dataset
    only = {dataset.users.index_of("u0"): 1, dataset.users.index_of("u1"): 0}
    for user, hit in only.items():
        assert popular_hit_rate(dataset, np.array([user])) == hit


def test_the_page_has_everything_and_shows_texts_as_texts(
    imported: Imported, tmp_path: Path
) -> None:
    page = write_page(_manifest(imported), imported.dataset, tmp_path / "page")
    html = page.read_text(encoding="utf-8")
    assert sorted(path.name for path in page.parent.iterdir()) == [
        "histories.png",
        "index.html",
        "popularity.png",
        "tags.png",
        "times.png",
    ]
    assert html.count("data:image/png;base64,") == 4
    assert "exact-copies" in html
    assert "1 row repeats user, item, time and rating" in html
    assert "3 of 4 users are evaluated on test" in html
    assert "There are 2 different tags; 2 of them" in html
    assert "<b>" not in html
    for path in page.parent.glob("*.png"):
        height, width = imread(path).shape[:2]
        assert min(height, width) > 100


@pytest.mark.parametrize(
    ("rows", "given"),
    [
        ([f"u,{item},{time}" for time, item in enumerate("abcd")], {}),
        ([f"u{n % 3},i{n % 7},{2**62 + n}" for n in range(30)], {}),
        ([f"u{n % 3},i{n % 7},5" for n in range(30)], {"split": {"kind": "ratio"}}),
        (["u,a,1", "u,a,2", "u,a,3"], {}),
        ([f"u{n % 2},i{n},{n + 5}" for n in range(2000)], {}),
    ],
    ids=["order-alone", "no-calendar-has-it", "one-time", "nobody-evaluable", "long"],
)
def test_every_data_set_has_a_page(rows: list[str], given: dict[str, Any], tmp_path: Path) -> None:
    imported = _import(tmp_path, rows, **given)
    html = write_page(_manifest(imported), imported.dataset, tmp_path / "page").read_text("utf-8")
    assert "There are no tags" in html
    assert "kept no account" not in html
    assert "None" not in html


def test_imports_of_before_have_a_page_without_an_account(
    imported: Imported, tmp_path: Path
) -> None:
    before = _manifest(imported, account=False)
    html = write_page(before, imported.dataset, tmp_path / "page").read_text("utf-8")
    assert "kept no account" in html
    assert "3 of 4 users are evaluated on test" in html


def test_the_command_writes_it(
    imported: Imported,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_dataset(imported.dataset, tmp_path / "objects")
    manifest = _manifest(imported)

    class Store:
        @staticmethod
        def from_settings(_: object) -> type[Store]:
            return Store

        @staticmethod
        def manifest(ref: str) -> Manifest:
            assert ref == manifest.artifact
            return manifest

        @staticmethod
        def fetch_all(ref: str) -> Path:
            assert ref == manifest.artifact
            return tmp_path / "objects"

    monkeypatch.setattr(doctor, "ArtifactStore", Store)
    out = tmp_path / "page"
    assert run(["doctor", "data", manifest.artifact, "--out", str(out)]) == 0
    assert capsys.readouterr().out.strip() == str(out / "index.html")
    assert (out / "index.html").is_file()
    assert run(["doctor", "data", "recommenders/0123456789abcdef"]) == 2
    assert "is no data set" in capsys.readouterr().err
