"""The account of an import, on files that were counted by hand."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from reclens.contracts import DatasetSpec
from reclens.contracts import account as contract
from reclens.contracts.account import DroppedRows, Finding, ImportAccount, SplitAccount
from reclens.data import check_account, import_dataset, prepare
from reclens.data.prepare import import_raw
from reclens.data.sources import RawData
from reclens.errors import InvalidInput

CLIPS = """\
user_id,item_id,timestamp
ann,a,100
ann,a,100
ann,a,100
ann,b,200
ann,c,300
bob,b,400
bob,c,500
bob,d,600
bob,d,600
"""
"""Three rows repeat another: ann's second and third, and bob's last."""


def _spec(folder: Path, text: str, items: str = "", users: str = "", **given: Any) -> DatasetSpec:
    (folder / "interactions.csv").write_text(text, encoding="utf-8")
    for name, told in (("items", items), ("users", users)):
        if told:
            (folder / f"{name}.csv").write_text(told, encoding="utf-8")
    source = {"format": "table", "path": str(folder), **given.pop("source", {})}
    return DatasetSpec.parse({"name": "mine", "source": source, **given})


def _account(spec: DatasetSpec) -> ImportAccount:
    assert spec.source is not None
    return import_dataset(spec, Path(spec.source.path)).account


def _finding(account: ImportAccount, code: str) -> Finding:
    (found,) = (one for one in account.findings if one.code == code)
    return found


def _codes(account: ImportAccount) -> set[str]:
    return {one.code for one in account.findings}


def test_copies_are_counted_and_kept(tmp_path: Path) -> None:
    account = _account(_spec(tmp_path, CLIPS))
    assert (account.rows_read, account.rows_kept) == (9, 9)
    assert (account.exact_copies, account.repeats, account.ties) == (3, 3, 0)
    assert (account.users, account.items) == (2, 4)
    assert (account.first_time, account.last_time) == (100, 600)
    copies = _finding(account, "exact-copies")
    assert (copies.level, copies.count) == ("warning", 3)
    # ann: train a a a, valid b, test c; bob: train b c, valid d, test d, of which the last is seen.
    none: dict[str, int] = {"cold_users": 0}
    assert account.splits == {
        "train": SplitAccount(
            interactions=5, users=2, items=3, evaluable_users=0, cold_items=0, **none
        ),
        "valid": SplitAccount(
            interactions=2, users=2, items=2, evaluable_users=2, cold_items=1, **none
        ),
        "test": SplitAccount(
            interactions=2, users=2, items=2, evaluable_users=1, cold_items=1, **none
        ),
    }
    assert _finding(account, "users-not-evaluable").count == 1


def test_copies_are_dropped_before_all_else(tmp_path: Path) -> None:
    account = _account(_spec(tmp_path, CLIPS, copies="drop"))
    assert account.rows_dropped == DroppedRows(copies=3)
    assert (account.rows_read, account.rows_kept, account.exact_copies) == (9, 6, 3)
    assert account.splits["test"].evaluable_users == 2
    assert _finding(account, "exact-copies").level == "note"
    # With its copies, a has three interactions.
    kept = _account(_spec(tmp_path, CLIPS, k_core=2))
    assert (kept.items, kept.rows_dropped.k_core) == (4, 0)
    dropped = _account(_spec(tmp_path, CLIPS, k_core=2, copies="drop"))
    assert (dropped.items, dropped.rows_kept) == (2, 4)
    assert dropped.rows_dropped == DroppedRows(copies=3, k_core=2)
    with pytest.raises(InvalidInput, match="no interaction is left of 9: left out 3 by copies, 6"):
        prepare(_spec(tmp_path, CLIPS, k_core=3, copies="drop"), tmp_path)


def test_a_row_with_another_rating_is_no_copy(tmp_path: Path) -> None:
    text = "user_id,item_id,timestamp,stars\nu,a,1,3\nu,a,1,4\nu,a,1,3\nu,b,2,3\n"
    spec = _spec(tmp_path, text, source={"columns": {"rating": "stars"}}, min_rating=4)
    account = _account(spec)
    assert account.exact_copies == 1
    assert account.rows_dropped == DroppedRows(min_rating=3)
    assert (account.users_read, account.items_read, account.items) == (1, 2, 1)


def test_without_times_repeats_are_no_copies(tmp_path: Path) -> None:
    text = "user_id,item_id\nu,a\nu,a\nu,b\n"
    columns = {"columns": {"timestamp": None}}
    account = _account(_spec(tmp_path, text, source=columns))
    assert (account.exact_copies, account.repeats, account.ties) == (0, 1, 0)
    assert account.first_time is account.last_time is None
    assert "no-times" in _codes(account)
    with pytest.raises(InvalidInput, match="copies: the source has no times"):
        _account(_spec(tmp_path, text, source=columns, copies="drop"))


def test_ties_are_counted_and_told_where_they_decide(tmp_path: Path) -> None:
    head = "user_id,item_id,timestamp\n"
    # ann's a and b tie within train; of bob's, the last two.
    text = f"{head}ann,a,1\nann,b,1\nann,c,2\nann,d,3\nbob,a,1\nbob,b,2\nbob,c,9\nbob,d,9\n"
    account = _account(_spec(tmp_path, text))
    assert account.ties == 4
    assert _finding(account, "ties-in-time").level == "note"
    decided = _finding(account, "ties-decide-the-split")
    assert (decided.level, decided.count) == ("warning", 1)
    by_ratio = _account(_spec(tmp_path, text, split={"kind": "ratio"}))
    assert "ties-decide-the-split" not in _codes(by_ratio)


def test_what_differs_by_a_fraction_of_a_second_is_neither_tie_nor_copy() -> None:
    raw = RawData(
        pa.array(["u"] * 4),
        pa.array(["a", "a", "b", "c"]),
        np.array([7, 7, 7, 7]),
        fractions=np.array([0.25, 0.5, 0.5, 0.75]),
    )
    account = import_raw(raw, DatasetSpec()).account
    assert (account.exact_copies, account.ties) == (0, 2)
    decided = _finding(account, "ties-decide-the-split")
    assert decided.count == 1


def test_items_without_text_and_described_items_that_nobody_met(tmp_path: Path) -> None:
    items = "item_id,title,tags\na,Heat,Crime\nb,,\nc,,Drama\ny,Unmet,\nz,Unmet too,\n"
    account = _account(_spec(tmp_path, CLIPS, items))
    assert (account.titled, account.tagged, account.undescribed, account.unmet) == (1, 2, 2, 2)
    assert _finding(account, "items-without-text").count == 2
    assert _finding(account, "items-nobody-met").count == 2


@pytest.mark.parametrize(
    ("met", "described"),
    [("1001.0", "1001"), ("007", "7"), ("0", "000"), ("tt12A", "TT12a"), ("7", "7.00")],
)
def test_ids_that_differ_only_in_form_are_told(tmp_path: Path, met: str, described: str) -> None:
    text = CLIPS.replace(",a,", f",{met},").replace("ann", met)
    account = _account(
        _spec(
            tmp_path,
            text,
            f"item_id,title,tags\n{described},Heat,\nb,Net,\n",
            f"user_id,age\n{described},30\nbob,40\n",
        )
    )
    for noun in ("item", "user"):
        finding = _finding(account, f"{noun}-ids-differ-in-form")
        assert (finding.level, finding.count, finding.value) == ("warning", 1, met)
        assert repr(described) in finding.message


def test_ids_that_are_met_as_they_are_described_do_not_differ(tmp_path: Path) -> None:
    text = CLIPS.replace(",a,", ",7,").replace(",b,", ",07,")
    account = _account(_spec(tmp_path, text, "item_id,title,tags\n7,Heat,\n07,Net,\n"))
    assert not {code for code in _codes(account) if "form" in code}


def test_strict_refuses_what_is_odd_and_nothing_else(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"strict: exact-copies \(3\): 3 rows repeat"):
        prepare(_spec(tmp_path, CLIPS, strict=True), tmp_path)
    dataset = prepare(_spec(tmp_path, CLIPS, strict=True, copies="drop"), tmp_path)
    assert len(dataset.interactions) == 6


def test_nobody_to_evaluate_is_told_and_nothing_to_test_on_refused(tmp_path: Path) -> None:
    head = "user_id,item_id,timestamp\n"
    again = _spec(tmp_path, f"{head}u,a,1\nu,b,2\nu,a,3\nu,a,4\n")
    account = _account(again)
    told = {one.message.split(":")[0] for one in account.findings if one.code == "nobody-evaluable"}
    assert told == {f"no user can be evaluated on {split}" for split in ("valid", "test")}
    check_account(account, again)
    short = _spec(tmp_path, f"{head}u,a,1\nu,b,2\nv,a,3\n")
    with pytest.raises(InvalidInput, match="nothing to test on: train 3, valid 0, test 0 of 3"):
        check_account(_account(short), short)


_MONTHS = [1_451_692_800 + 2_592_000 * month for month in range(6)]


@pytest.mark.parametrize("stray", [0, -86_400])
def test_a_split_by_days_with_one_row_long_ago_is_refused_with_counts(
    tmp_path: Path, stray: int
) -> None:
    rows = [f"u{user},i{(user + n) % 9},{t}" for user in range(8) for n, t in enumerate(_MONTHS)]
    text = "\n".join(["user_id,item_id,timestamp", *rows, f"u1,i8,{stray}", ""])
    by_days = {"kind": "global-time", "share_of": "days"}
    with pytest.raises(InvalidInput) as caught:
        prepare(_spec(tmp_path, text, split=by_days), tmp_path)
    assert "almost nothing to train on: of 49 interactions 1 are train" in caught.value.message
    by_rows = _account(_spec(tmp_path, text, split={"kind": "global-time"}))
    assert by_rows.first_time == stray
    counts = [part.interactions for part in by_rows.splits.values()]
    assert sum(counts) == 49
    assert min(counts) > 0


def test_one_row_in_the_far_future_leaves_almost_nothing_to_test_on(tmp_path: Path) -> None:
    rows = [f"u{n % 40},i{n % 31},{1_451_692_800 + n * 3600}" for n in range(2000)]
    text = "\n".join(["user_id,item_id,timestamp", *rows, "u1,i8,2451692800", ""])
    by_days = {"kind": "global-time", "share_of": "days"}
    with pytest.raises(InvalidInput, match=r"almost nothing to test on: of 2,001 .* 1 test"):
        prepare(_spec(tmp_path, text, split=by_days), tmp_path)


def test_an_account_that_does_not_add_up_is_none() -> None:
    part = SplitAccount(
        interactions=1, users=1, items=1, evaluable_users=0, cold_users=0, cold_items=0
    )
    counts = {name: 1 for name in ImportAccount.model_fields if name not in _NO_COUNTS}
    splits, nothing = {"train": part}, DroppedRows()
    ImportAccount(**counts, rows_dropped=nothing, splits=splits)
    with pytest.raises(ValueError, match="do not add up"):
        ImportAccount(**{**counts, "rows_read": 2}, rows_dropped=nothing, splits=splits)
    with pytest.raises(ValueError, match="do not add up"):
        ImportAccount(**counts, rows_dropped=nothing, splits={})


_NO_COUNTS = {"rows_dropped", "splits", "findings"}


_PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "datasets.md"
_CODES = re.compile(r"^\| ((?:`[a-z0-9-]+`(?:, )?)+) \| (?:note|warning)", re.MULTILINE)


def _emitted(call: ast.Call) -> set[str]:
    """Codes in the call that makes a finding: text, one of two texts, or a name of the contract."""
    called = call.func.attr if isinstance(call.func, ast.Attribute) else ast.unparse(call.func)
    codes = [one.value for one in call.keywords if one.arg == "code"]
    if called == "tell":
        codes += call.args[:1]
    elif called != "Finding":
        return set()
    nodes = [node for code in codes for node in ast.walk(code)]
    named = {getattr(contract, node.id, "") for node in nodes if isinstance(node, ast.Name)}
    texts = {node.value for node in nodes if isinstance(node, ast.Constant)}
    return {text for text in named | texts if isinstance(text, str) and "-" in text} | (
        texts & {"encoding", "mojibake", "placeholders"}
    )


def test_every_code_is_explained_and_every_explained_code_is_told() -> None:
    files = Path(contract.__file__).parents[1].joinpath("data").rglob("*.py")
    trees = [ast.parse(file.read_text(encoding="utf-8")) for file in files]
    calls = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call)]
    told = set[str]().union(*map(_emitted, calls))
    rows = _CODES.findall(_PAGE.read_text(encoding="utf-8"))
    assert {code.strip("`") for row in rows for code in row.split(", ")} == told
