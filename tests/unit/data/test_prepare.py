"""Read, filter, index, split: on tables worked by hand and on MovieLens-100K."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reclens.contracts import DatasetSpec, SourceSpec, SplitSpec
from reclens.data import Split, checksums, prepare, source_files, verify_checksums, write_dataset
from reclens.data.prepare import compact, index_and_split, index_ids, k_core, natural_key
from reclens.data.sources import ItemText, RawData
from reclens.errors import InvalidInput, MissingData


def _raw(rows: list[tuple[str, str, int]], ratings: list[float] | None = None, **known) -> RawData:
    users, items, times = zip(*rows, strict=True)
    return RawData(
        pa.array(users, pa.string()),
        pa.array(items, pa.string()),
        np.array(times, dtype=np.int64),
        None if ratings is None else np.array(ratings, dtype=np.float32),
        **known,
    )


def test_rows_are_sorted_by_user_then_time_then_source():
    raw = _raw([("2", "c", 5), ("10", "a", 1), ("2", "b", 5), ("2", "a", 3), ("2", "c", 9)])
    dataset = index_and_split(raw, DatasetSpec())
    assert dataset.users.ids == ["2", "10"]
    assert dataset.items.ids == ["a", "b", "c"]
    assert dataset.interactions.user_index.tolist() == [0, 0, 0, 0, 1]
    assert dataset.interactions.item_index.tolist() == [0, 2, 1, 2, 0]
    assert dataset.interactions.timestamp.tolist() == [3, 5, 5, 9, 1]
    assert dataset.interactions.split.tolist() == [0, 0, 1, 2, 0]
    assert dataset.history(0, (Split.TRAIN,)).tolist() == [0, 2]


def test_rows_of_one_second_are_sorted_and_divided_by_their_fractions():
    rows = [("u", "d", 7), ("u", "a", 7), ("u", "c", 7), ("u", "b", 7), ("u", "e", 8)]
    raw = _raw(rows, fractions=np.array([0.981, 0.1, 0.733, 0.4, 0.0]))
    dataset = index_and_split(raw, DatasetSpec())
    assert dataset.interactions.item_index.tolist() == [0, 1, 2, 3, 4]
    by_time = DatasetSpec(split=SplitSpec(kind="global-time", valid=0.2, test=0.4))
    seen = index_and_split(raw, by_time).interactions
    assert seen.split.tolist() == [0, 0, 1, 2, 2]


def test_popularity_counts_train_alone_and_repetitions():
    raw = _raw([("u", "a", 1), ("u", "a", 2), ("u", "b", 3), ("u", "c", 4)])
    dataset = index_and_split(raw, DatasetSpec())
    assert dataset.items.popularity.tolist() == [2, 0, 0]
    assert dataset.items.popularity.dtype == np.int32


def test_ratings_follow_their_rows_and_low_ones_leave():
    raw = _raw([("u", "a", 3), ("u", "b", 1), ("v", "a", 1)], ratings=[5, 3.5, 4])
    dataset = index_and_split(raw, DatasetSpec(min_rating=4))
    assert dataset.items.ids == ["a"]
    assert dataset.users.ids == ["u", "v"]
    assert dataset.interactions.rating is not None
    assert dataset.interactions.rating.tolist() == [5, 4]


def test_k_core_applies_to_what_the_rating_left():
    rows = [
        ("u", "a", 1),
        ("u", "b", 2),
        ("v", "a", 1),
        ("v", "b", 2),
        ("w", "a", 1),
        ("w", "b", 2),
    ]
    raw = _raw(rows, ratings=[5, 5, 5, 5, 5, 1])
    dataset = index_and_split(raw, DatasetSpec(min_rating=2, k_core=2))
    assert dataset.users.ids == ["u", "v"]
    assert len(dataset.interactions) == 4


def test_what_is_known_is_kept_for_those_who_are_left():
    raw = _raw(
        [("u", "a", 1), ("u", "b", 2)],
        items={"b": ItemText("Heat", ("Crime",), 1995), "z": ItemText("Unseen")},
        users={"u": {"age": "30"}, "z": {}},
    )
    dataset = index_and_split(raw, DatasetSpec())
    assert dataset.items.titles == ["", "Heat"]
    assert dataset.items.tags == [[], ["Crime"]]
    assert dataset.items.years == [None, 1995]
    assert dataset.users.attributes == [{"age": "30"}]


def test_a_rating_that_is_not_there_cannot_be_asked_for():
    with pytest.raises(InvalidInput, match=r"min_rating: the source has no ratings"):
        index_and_split(_raw([("u", "a", 1)]), DatasetSpec(min_rating=4))


@pytest.mark.parametrize(
    ("spec", "field"),
    [(DatasetSpec(k_core=3), "k_core"), (DatasetSpec(min_rating=6), "min_rating")],
)
def test_nothing_left_is_refused(spec: DatasetSpec, field: str):
    with pytest.raises(InvalidInput, match=rf"{field}: no interaction is left of 1"):
        index_and_split(_raw([("u", "a", 1)], ratings=[5]), spec)


_ROWS = st.lists(
    st.tuples(st.sampled_from("uvwx"), st.sampled_from("abcde"), st.integers(0, 50)),
    min_size=1,
    max_size=40,
)


@given(_ROWS)
def test_no_interaction_is_lost_or_invented(rows: list[tuple[str, str, int]]):
    dataset = index_and_split(_raw(rows), DatasetSpec())
    seen = dataset.interactions
    back = [
        (dataset.users.ids[u], dataset.items.ids[i], int(t))
        for u, i, t in zip(seen.user_index, seen.item_index, seen.timestamp, strict=True)
    ]
    assert sorted(back) == sorted(rows)
    for user in range(dataset.n_users):
        mine = [(t, i) for u, i, t in rows if u == dataset.users.ids[user]]
        expected = [i for _, i in sorted(mine, key=lambda pair: pair[0])]
        assert [dataset.items.ids[i] for i in dataset.history(user)] == expected


# --- sources -------------------------------------------------------------------------------------


def _table_source(folder: Path) -> SourceSpec:
    (folder / "interactions.csv").write_text("user_id,item_id,timestamp\nu,a,1\nu,b,2\n")
    (folder / "items.csv").write_text("item_id,title,tags\na,Heat (1995),Crime|Drama\n")
    return SourceSpec(format="table", path=str(folder))


def test_files_of_a_source_are_listed_and_summed(tmp_path: Path):
    source = _table_source(tmp_path)
    assert [path.name for path in source_files(source).all()] == ["interactions.csv", "items.csv"]
    # sha256sum of the two texts above
    assert checksums(source) == {
        "interactions.csv": "24283dd83c502ee3e7f1d94114444254788665813ee2c8391b9899464b82f29a",
        "items.csv": "05a3323679e3858f02ac3736084006ddd5c8d9207d1c090e8e4745491391e035",
    }


def test_checksums_that_fit_are_accepted_in_either_case(tmp_path: Path):
    source = _table_source(tmp_path)
    sums = {name: digest.upper() for name, digest in checksums(source).items()}
    verify_checksums(source.model_copy(update={"sha256": sums}))
    verify_checksums(source)


def test_other_bytes_are_refused(tmp_path: Path):
    source = _table_source(tmp_path)
    pinned = source.model_copy(update={"sha256": checksums(source)})
    with (tmp_path / "items.csv").open("a") as file:
        file.write("b,Ronin,Crime\n")
    with pytest.raises(InvalidInput, match=r"source.sha256: items.csv has SHA-256"):
        verify_checksums(pinned)


def test_a_file_that_is_not_pinned_is_refused(tmp_path: Path):
    source = _table_source(tmp_path)
    (tmp_path / "items.csv").rename(tmp_path / "hidden")
    pinned = source.model_copy(update={"sha256": checksums(source)})
    (tmp_path / "hidden").rename(tmp_path / "items.csv")
    with pytest.raises(InvalidInput, match=r"items.csv has .* the specification says nothing"):
        verify_checksums(pinned)


def test_a_pinned_file_that_is_gone_is_missed(tmp_path: Path):
    source = _table_source(tmp_path)
    pinned = source.model_copy(update={"sha256": checksums(source)})
    (tmp_path / "items.csv").unlink()
    with pytest.raises(MissingData, match=r"items.csv is listed, but is not among the files"):
        verify_checksums(pinned)


def test_two_files_of_one_name_are_refused(tmp_path: Path):
    source = _table_source(tmp_path)
    (tmp_path / "other").mkdir()
    other = tmp_path / "other" / "interactions.csv"
    other.write_text("item_id,title,tags\n")
    with pytest.raises(InvalidInput, match=r"two files .* called interactions.csv"):
        checksums(source.model_copy(update={"items_path": str(other)}))


def test_a_folder_without_movielens_is_refused(tmp_path: Path):
    with pytest.raises(MissingData, match=r"not a folder with ml-100k: it lacks u.data, "):
        prepare(DatasetSpec(), tmp_path)


# --- MovieLens-100K ------------------------------------------------------------------------------


def test_movielens_100k_has_the_published_counts(ml_100k_folder: Path):
    dataset = prepare(DatasetSpec(), ml_100k_folder)
    seen = dataset.interactions
    assert (dataset.n_users, dataset.n_items, len(seen)) == (943, 1682, 100_000)
    assert [seen.count(split) for split in Split] == [98_114, 943, 943]
    # Published with the data: 50 is Star Wars, rated 583 times; user 1 is a technician of 24.
    star_wars = dataset.items.index_of("50")
    assert dataset.items.titles[star_wars] == "Star Wars"
    assert dataset.items.years[star_wars] == 1977
    assert dataset.items.tags[star_wars] == ["Action", "Adventure", "Romance", "Sci-Fi", "War"]
    assert np.count_nonzero(seen.item_index == star_wars) == 583
    assert dataset.users.attributes[dataset.users.index_of("1")]["occupation"] == "technician"
    assert sum(users["gender"] == "F" for users in dataset.users.attributes) == 273


def test_movielens_100k_keeps_titles_readable(ml_100k_folder: Path):
    items = prepare(DatasetSpec(), ml_100k_folder).items
    title = {item_id: items.titles[items.index_of(item_id)] for item_id in ("127", "135", "543")}
    assert title == {
        "127": "The Godfather",
        "135": "2001: A Space Odyssey",
        "543": "Les Misérables",
    }
    assert sum(not title for title in items.titles) == 1  # item 267 is a placeholder
    assert sum(year is None for year in items.years) == 1
    assert "unknown" not in {tag for tags in items.tags for tag in tags}
    assert len({tag for tags in items.tags for tag in tags}) == 18


def test_movielens_100k_gives_the_same_bytes_twice(ml_100k_folder: Path, tmp_path: Path):
    spec = DatasetSpec(min_rating=4, k_core=5, split=SplitSpec(kind="ratio", seed=7))
    names = write_dataset(prepare(spec, ml_100k_folder), tmp_path / "a")
    write_dataset(prepare(spec, ml_100k_folder), tmp_path / "b")
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


# --- k-core, on tables small enough to work by hand ---------------------------------------------


def _core(pairs: list[tuple[int, int]], k: int) -> list[tuple[int, int]]:
    users = np.array([u for u, _ in pairs], dtype=np.int32)
    items = np.array([i for _, i in pairs], dtype=np.int32)
    kept = k_core(users, items, k)
    return [pair for pair, keep in zip(pairs, kept, strict=True) if keep]


def test_one_core_keeps_everything():
    assert _core([(0, 0), (1, 5)], 1) == [(0, 0), (1, 5)]


def test_removal_goes_on_until_nothing_falls_below():
    # Item 3 has one interaction; without it user 2 has one; without that item 2 has one; then
    # user 1 still has items 0 and 1. The square of users 0, 1 and items 0, 1 remains.
    square = [(0, 0), (0, 1), (1, 0), (1, 1)]
    tail = [(1, 2), (2, 2), (2, 3)]
    assert _core(square + tail, 2) == square


def test_a_repeated_interaction_counts_each_time():
    assert _core([(0, 0), (0, 0), (1, 1)], 2) == [(0, 0), (0, 0)]


def test_nothing_may_remain():
    assert _core([(0, 0), (1, 1)], 2) == []


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=40), st.integers(2, 4))
def test_core_is_the_largest_part_in_which_all_have_k(pairs: list[tuple[int, int]], k: int):
    # Reference: remove one offending row at a time; the core does not depend on the order.
    rest = list(pairs)
    while True:
        users, items = [u for u, _ in rest], [i for _, i in rest]
        bad = [p for p in rest if users.count(p[0]) < k or items.count(p[1]) < k]
        if not bad:
            break
        rest.remove(bad[0])
    assert sorted(_core(pairs, k)) == sorted(rest)


# --- ids to indices: natural order, independent of the order of rows -----------------------------


def test_numbers_compare_as_numbers():
    ordered, index = index_ids(pa.array(["10", "9", "u2", "u10", "10", "01", "1", "a"]))
    assert ordered == ["01", "1", "9", "10", "a", "u2", "u10"]
    assert index.tolist() == [3, 2, 5, 6, 3, 0, 1, 4]
    assert index.dtype == np.int32


def test_numbers_of_any_length_have_an_order():
    long = "1" + "0" * 5000
    assert sorted([long, "2", long + "0"], key=natural_key) == ["2", long, long + "0"]


@given(st.lists(st.text(min_size=1, max_size=6), min_size=1, max_size=30), st.randoms())
def test_every_id_finds_its_way_back(ids: list[str], random):
    ordered, index = index_ids(pa.array(ids, pa.string()))
    assert [ordered[i] for i in index] == ids
    assert len(set(ordered)) == len(ordered)
    shuffled = random.sample(ids, len(ids))
    assert index_ids(pa.array(shuffled, pa.string()))[0] == ordered


def test_compact_drops_unused_ids_and_keeps_their_order():
    ids, index = compact(["a", "b", "c", "d"], np.array([3, 1, 3], dtype=np.int32))
    assert ids == ["b", "d"]
    assert index.tolist() == [1, 0, 1]
    assert index.dtype == np.int32
