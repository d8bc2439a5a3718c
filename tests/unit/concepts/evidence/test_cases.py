import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from reclens.concepts.evidence.cases import read_cases, read_histories
from reclens.errors import MalformedData, MissingData


def _write(path, splits, top_items):
    n_cases = len(splits)
    pq.write_table(
        pa.table(
            {
                "user_id": [f"u{row}" for row in range(n_cases)],
                "split": splits,
                "context": [["a"]] * n_cases,
                "top_items": top_items,
                "latents": pa.array([[2, 0]] * n_cases, pa.list_(pa.int32())),
                "values": pa.array([[1.5, 0.5]] * n_cases, pa.list_(pa.float32())),
            }
        ),
        path,
    )
    return path


def _read(paths, split, **options):
    return read_cases(paths, split, ["a", "b", "c"], 3, **{"max_cases": 100, "seed": 0, **options})


def test_only_the_cases_of_the_split_are_read_over_all_shards(tmp_path):
    first = _write(tmp_path / "0", ["construct", "verify"], [["b", "a"], ["a"]])
    second = _write(tmp_path / "1", ["test", "construct"], [["a"], ["c"]])
    cases = _read([first, second], "construct")
    assert cases.user_ids.tolist() == ["u0", "u1"]
    assert cases.top_items.tolist() == [[1, 0], [2, -1]]
    assert cases.activations.toarray().tolist() == [[0.5, 0, 1.5]] * 2


def test_item_weights_fall_like_the_discount_of_ndcg_and_sum_to_one(tmp_path):
    path = _write(tmp_path / "0", ["verify", "verify"], [["b", "a"], ["c"]])
    weights = _read([path], "verify").item_weights(3).toarray()
    # 1/log2(2) = 1 and 1/log2(3) = .6309
    assert weights == pytest.approx(
        np.array([[0.6309 / 1.6309, 1 / 1.6309, 0], [0, 0, 1]]), abs=1e-4
    )


def test_more_cases_than_allowed_are_drawn_by_seed(tmp_path):
    path = _write(tmp_path / "0", ["verify"] * 50, [["a"]] * 50)
    drawn = [_read([path], "verify", max_cases=10, seed=seed).user_ids for seed in (0, 0, 1)]
    assert len(set(drawn[0])) == 10
    assert drawn[0].tolist() == drawn[1].tolist() != drawn[2].tolist()


def test_a_split_without_cases_is_missing(tmp_path):
    with pytest.raises(MissingData, match="verify"):
        _read([_write(tmp_path / "0", ["construct"], [["a"]])], "verify")


def test_an_item_of_another_data_set_is_named(tmp_path):
    with pytest.raises(MalformedData, match="'z'"):
        _read([_write(tmp_path / "0", ["verify"], [["z"]])], "verify")


def test_a_latent_outside_the_dictionary_is_refused(tmp_path):
    path = _write(tmp_path / "0", ["verify"], [["a"]])
    with pytest.raises(MalformedData, match="2 latents"):
        read_cases([path], "verify", ["a"], 2, max_cases=10, seed=0)


def test_histories_are_those_of_the_cases_that_are_read_and_end_where_they_end(tmp_path):
    paths = []
    for shard in range(2):
        rows = range(10 * shard, 10 * shard + 10)
        table = pa.table(
            {
                "user_id": [f"u{row}" for row in rows],
                "split": ["test" if row % 2 else "verify" for row in rows],
                "context": [[f"h{row}-{place}" for place in range(row % 4)] for row in rows],
                "top_items": [["a"]] * 10,
                "latents": pa.array([[0]] * 10, pa.list_(pa.int32())),
                "values": pa.array([[1.0]] * 10, pa.list_(pa.float32())),
            }
        )
        pq.write_table(table, tmp_path / str(shard))
        paths.append(tmp_path / str(shard))
    drawn = {"max_cases": 6, "seed": 4}
    users = _read(paths, "test", **drawn).user_ids
    histories = read_histories(paths, "test", last=2, **drawn)
    assert len(users) == len(histories) == 6
    for user, history in zip(users, histories, strict=True):
        whole = [f"h{user[1:]}-{place}" for place in range(int(user[1:]) % 4)]
        assert history == tuple(whole[-2:])
