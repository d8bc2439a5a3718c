"""Titles: the year apart, the article in front; which tags describe an item, whose are held out."""

from __future__ import annotations

from pathlib import Path

import duckdb
import numpy as np
import pytest

from reclens.contracts import DatasetSpec
from reclens.data import prepare, read_dataset, write_dataset
from reclens.data.sources.raw import (
    ItemText,
    article_first,
    hold_out_taggers,
    most_given,
    take_year,
)
from reclens.errors import InvalidInput


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Heat (1995)", ("Heat", 1995)),
        ("Land Before Time III (1995) (V)", ("Land Before Time III", 1995)),
        ("2001: A Space Odyssey (1968)", ("2001: A Space Odyssey", 1968)),
        ("Seven (Se7en) (1995) ", ("Seven (Se7en)", 1995)),
        ("1984", ("1984", None)),
        ("(1994)", ("(1994)", None)),
        ("Seven (Se7en)", ("Seven (Se7en)", None)),
        ("", ("", None)),
    ],
)
def test_year_is_taken_from_the_end(text: str, expected: tuple[str, int | None]):
    assert take_year(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Godfather, The", "The Godfather"),
        ("Misérables, Les", "Les Misérables"),
        ("Avventura, L'", "L'Avventura"),
        ("Postino, Il (Postman, The)", "Il Postino (The Postman)"),
        ("Good, The Bad and The Ugly, The", "The Good, The Bad and The Ugly"),
        (
            "Martin Guerre (Retour de Martin Guerre, Le)",
            "Martin Guerre (Le Retour de Martin Guerre)",
        ),
        ("Crime, Punishment", "Crime, Punishment"),
        ("Theodore Rex", "Theodore Rex"),
        ("So I Married an Axe, The Murderer", "So I Married an Axe, The Murderer"),
    ],
)
def test_article_comes_first(text: str, expected: str):
    assert article_first(text) == expected


def test_most_given_come_first_and_ten_are_kept() -> None:
    many = {f"t{j}": 20 - j for j in range(12)}
    assert most_given([{"b": 1, "a": 1, "rare": 2}, {"b": 1}, many]) == [
        ["rare", "b", "a"],  # b is on two items
        ["b"],
        [f"t{j}" for j in range(10)],
    ]


@pytest.fixture
def tagged() -> dict[str, ItemText]:
    """A thousand users: all tag item x ``rock``, every third ``metal``; y is tagged by user 0."""
    users = [str(number) for number in range(1000)]
    return {
        "x": ItemText("X", taggers={"rock": frozenset(users), "metal": frozenset(users[::3])}),
        "y": ItemText("Y", taggers={"pop": frozenset(["0"])}),
        "z": ItemText("Z"),
    }


def test_no_user_is_on_both_sides(tagged: dict[str, ItemText]) -> None:
    found = hold_out_taggers(tagged, 0.3)
    held_out = found["x"].held_out_tag_users
    assert held_out["rock"] == pytest.approx(300, abs=45)
    assert held_out["metal"] == pytest.approx(100, abs=30)
    assert found["x"].tags == ("rock", "metal")
    # User 0 either describes y or judges it.
    assert (found["y"].tags == ("pop",)) != (found["y"].held_out_tag_users == {"pop": 1})
    assert found["z"] == ItemText("Z")
    assert hold_out_taggers(tagged, 0.3) == found


def test_a_user_is_held_out_whoever_else_there_is(tagged: dict[str, ItemText]) -> None:
    for user in map(str, range(40)):
        alone = {"x": ItemText(taggers={"rock": frozenset([user])})}
        among = {**tagged, "only": ItemText(taggers={"own": frozenset([user])})}
        is_held_out = bool(hold_out_taggers(alone, 0.5)["x"].held_out_tag_users)
        assert bool(hold_out_taggers(among, 0.5)["only"].held_out_tag_users) == is_held_out


def test_larger_shares_hold_out_the_same_users_and_more(tagged: dict[str, ItemText]) -> None:
    counts = [
        hold_out_taggers(tagged, share)["x"].held_out_tag_users.get("rock", 0)
        for share in (0.0001, 0.2, 0.5, 0.9)
    ]
    assert counts == sorted(counts)
    assert counts[0] <= 1


def test_a_source_that_tells_no_taggers_is_refused() -> None:
    with pytest.raises(InvalidInput, match="does not tell who gave which tag"):
        hold_out_taggers({"x": ItemText(tags=("rock",))}, 0.5)


def _hetrec(folder: Path) -> Path:
    rows = "".join(f"{user}\t{artist}\t1\r\n" for user in range(20) for artist in (1, 2))
    (folder / "user_artists.dat").write_text(f"userID\tartistID\tweight\r\n{rows}")
    (folder / "artists.dat").write_text("id\tname\turl\tpictureURL\n1\tOne\t\t\n2\tTwo\t\t\n")
    (folder / "tags.dat").write_text("tagID\ttagValue\r\n1\trock\r\n2\tpop\r\n")
    given = "".join(f"{user}\t1\t1\t1\t1\t2009\r\n" for user in range(20))
    (folder / "user_taggedartists.dat").write_text(
        f"userID\tartistID\ttagID\tday\tmonth\tyear\r\n{given}3\t2\t2\t1\t1\t2009\r\n"
    )
    return folder


def test_held_out_counts_are_stored_beside_all(tmp_path: Path) -> None:
    spec = DatasetSpec.parse(
        {
            "name": "own",
            "source": {"format": "hetrec", "path": "x"},
            "split": {"kind": "ratio"},
            "held_out_taggers": 0.5,
        }
    )
    dataset = prepare(spec, _hetrec(tmp_path))
    write_dataset(dataset, tmp_path / "made")
    read = read_dataset(tmp_path / "made").items
    assert read.tag_users == [{"rock": 20}, {"pop": 1}]
    assert read.held_out_tag_users == dataset.items.held_out_tag_users
    assert read.held_out_tag_users is not None
    assert 3 <= read.held_out_tag_users[0]["rock"] <= 17
    (sums,) = duckdb.sql(
        f"select sum(users), sum(held_out_users) from '{tmp_path / 'made' / 'item_tags.parquet'}'"
    ).fetchall()
    assert sums == (21, sum(sum(one.values()) for one in read.held_out_tag_users))
    everyone = prepare(spec.model_copy(update={"held_out_taggers": 0.0}), tmp_path)
    assert everyone.items.held_out_tag_users is None
    assert everyone.items.tags == [["rock"], ["pop"]]
    assert np.array_equal(everyone.items.popularity, dataset.items.popularity)


def test_the_share_is_part_of_the_id_only_where_there_is_one() -> None:
    plain = DatasetSpec.parse({"name": "lastfm-2k"})
    assert "held_out_taggers" not in plain.canonical()
    assert plain.artifact_ref() == DatasetSpec.parse(plain.canonical()).artifact_ref()
    held_out = DatasetSpec.parse({"name": "lastfm-2k", "held_out_taggers": 0.5})
    assert held_out.artifact_ref() != plain.artifact_ref()
    assert DatasetSpec.parse(held_out.canonical()) == held_out
