"""Every example of docs/datasets.md runs, and gives the result that is printed below it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from reclens.contracts import DatasetSpec
from reclens.data import Split, prepare

_PAGE = Path(__file__).parents[3] / "docs" / "datasets.md"
_BLOCK = re.compile(r"^```(?:text|json) (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


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
    assert formats == {"movielens", "recbole", "rechorus", "table"}


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


_ROW = re.compile(r"^\| (?P<spec>[^|]+) \|(?P<counts>(?: [\d,]+ \|){6})$", re.MULTILINE)
_SPECS = {
    "default: leave-one-out": {},
    "`split.kind: ratio`": {"split": {"kind": "ratio"}},
    "`split.kind: global-time`": {"split": {"kind": "global-time"}},
    "`min_rating: 4, k_core: 5`": {"min_rating": 4, "k_core": 5},
}


def test_the_counted_sizes_are_those_of_the_data(ml_100k_folder: Path):
    rows = {row["spec"]: row["counts"] for row in _ROW.finditer(_PAGE.read_text(encoding="utf-8"))}
    assert rows.keys() == _SPECS.keys()
    for name, counts in rows.items():
        dataset = prepare(DatasetSpec.parse(_SPECS[name]), ml_100k_folder)
        found = [dataset.n_users, dataset.n_items, len(dataset.interactions)]
        found += [dataset.interactions.count(split) for split in Split]
        assert [int(count.replace(",", "")) for count in re.findall(r"[\d,]+", counts)] == found
