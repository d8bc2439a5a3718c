"""Every example of docs/how-to/datasets.md runs, and gives the result that is printed below it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from reclens.contracts import ColumnNames, DatasetSpec
from reclens.contracts.datasets import DATASETS
from reclens.data import Split, prepare
from reclens.data.reading import READERS, Reader
from reclens.platform.settings.models import WorkerSettings, data_setting
from reclens.testing.readers import ReaderSuite

_PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "datasets.md"
_BLOCK = re.compile(r"^```(?:text|json) (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

_OF_ITEMS = ("item_key", "title", "tags", "year")


class _Example(NamedTuple):
    files: dict[str, str]
    spec: dict[str, Any]
    result: dict[str, int]


def _examples() -> list[_Example]:
    examples: list[_Example] = []
    blocks: dict[str, str] = {}
    for name, text in _BLOCK.findall(_PAGE.read_text(encoding="utf-8")):
        blocks[name] = text
        if name == "result":
            spec, result = json.loads(blocks.pop("spec")), json.loads(blocks.pop("result"))
            examples.append(_Example(blocks, spec, result))
            blocks = {}
    return examples


def test_every_format_has_an_example():
    formats = {example.spec["source"]["format"] for example in _examples()}
    assert formats == set(READERS.names())


@pytest.mark.parametrize("example", _examples(), ids=lambda example: example.spec["name"])
def test_example_gives_the_printed_result(
    example: _Example, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    for name, text in example.files.items():
        (tmp_path / "data" / name).write_text(text, encoding="utf-8")
    spec = DatasetSpec.parse(example.spec)
    assert spec.source is not None
    dataset = prepare(spec, Path(spec.source.path))
    assert example.result == {
        "users": dataset.n_users,
        "items": dataset.n_items,
        "interactions": len(dataset.interactions),
        "titled": sum(bool(title) for title in dataset.items.titles),
        "tagged": sum(bool(tags) for tags in dataset.items.tags),
    }


_ROW = re.compile(r"^\| `(?P<spec>\{[^|]+\})` \|(?P<counts>(?: [\d,]+ \|){6})$", re.MULTILINE)
_COUNTED = [
    pytest.param(yaml.safe_load(row["spec"]), row["counts"], id=row["spec"])
    for row in _ROW.finditer(_PAGE.read_text(encoding="utf-8"))
]


def test_sizes_of_the_data_sets_are_documented():
    named = {spec["name"] for spec, _ in (parameters.values for parameters in _COUNTED)}
    assert named == set(DATASETS.names()) - {"ml-1m"}


@pytest.mark.parametrize(("spec", "counts"), _COUNTED)
def test_the_counted_sizes_are_those_of_the_data(
    spec: dict[str, Any], counts: str, request: pytest.FixtureRequest
):
    if spec["name"] == "ml-100k":
        folder = request.getfixturevalue("ml_100k_folder")
    else:
        folder = WorkerSettings().data.folder(spec["name"])
        if folder is None:
            pytest.skip(f"{data_setting(spec['name'])} is not set")
    dataset = prepare(DatasetSpec.parse(spec), folder)
    found = [dataset.n_users, dataset.n_items, len(dataset.interactions)]
    found += [dataset.interactions.count(split) for split in Split]
    assert [int(count.replace(",", "")) for count in re.findall(r"[\d,]+", counts)] == found


@pytest.mark.parametrize("example", _examples(), ids=lambda example: example.spec["name"])
class TestReaders(ReaderSuite):
    """What every reader must do, on the page's example of its format."""

    @pytest.fixture
    def reader(self, example: _Example) -> Reader:
        return READERS.load(example.spec["source"]["format"])

    @pytest.fixture
    def columns(self, example: _Example) -> ColumnNames:
        named = dict(example.spec["source"].get("columns", {}))
        if "items_path" in example.spec["source"]:  # which the suite does not give
            named = {role: name for role, name in named.items() if role not in _OF_ITEMS}
        return ColumnNames(**named)

    @pytest.fixture
    def source(self, example: _Example, tmp_path: Path) -> Path:
        folder = tmp_path / "data"
        folder.mkdir()
        for name, text in example.files.items():
            (folder / name).write_text(text, encoding="utf-8")
        return tmp_path / example.spec["source"]["path"]
