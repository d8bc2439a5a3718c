"""Ids to indices: natural order, independent of the order of rows."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from reclens.data.indexing import compact, index_ids, natural_key


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
