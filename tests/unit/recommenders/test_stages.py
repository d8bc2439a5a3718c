"""The recommender's stages on real files, with folders in place of the object store."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import duckdb
import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from interrupted_job import InterruptedJob

from reclens.contracts import CaptureSpec, ModelConfig, Progress, RecommenderSpec
from reclens.data import Dataset, Split, write_dataset
from reclens.errors import InvalidInput
from reclens.platform.settings.models import WorkerSettings
from reclens.recommenders import (
    build_recommender,
    capture_cases,
    evaluate,
    load_recommender,
    save_recommender,
)
from reclens_recommender.stages import capture, train

DATASET = "datasets/0123456789abcdef"
RECOMMENDER = "recommenders/0123456789abcdef"
SHARES = {"train": 0.5, "construct": 0.2, "verify": 0.2, "test": 0.1}


class FolderStore:
    """Artifacts as folders."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def fetch_all(self, ref: str) -> Path:
        return self.root / ref

    def lineage(self, ref: str) -> dict[str, str]:
        assert ref == RECOMMENDER
        return {"dataset": DATASET}


class FolderJob:
    """Keeps what a stage adds; drives without interruption."""

    def __init__(self, root: Path) -> None:
        self.store = FolderStore(root)
        self.folder = root / "scratch"
        self.objects = root / "objects"
        self.published: list[Progress] = []
        self.settings = WorkerSettings(device="cpu")
        self.devices: list[str] = []
        self.folder.mkdir()
        self.objects.mkdir()

    def add(self, path: Path, name: str | None = None) -> None:
        (self.objects / (name or path.name)).write_bytes(path.read_bytes())

    def computes_on(self, device: str) -> None:
        self.devices.append(device)

    def progress(self, progress: Progress) -> None:
        self.published.append(progress)

    def drive(self, trainer: Any) -> None:
        for progress in trainer.steps():
            self.progress(progress)


@pytest.fixture
def job(tmp_path: Path, cycle: Dataset) -> Any:
    write_dataset(cycle, tmp_path / DATASET)
    return FolderJob(tmp_path)


def run_capture(job: Any, dataset: Dataset, config: ModelConfig, **options: Any) -> dict[str, Any]:
    model = build_recommender(config, dataset.n_users, dataset.n_items, seed=0)
    save_recommender(model, job.store.root / RECOMMENDER)
    return capture.run(CaptureSpec(recommender=RECOMMENDER, **options), job)


def test_a_trained_recommender_is_stored_with_its_metrics(
    job: Any, cycle: Dataset, config: ModelConfig
) -> None:
    config = config.model_copy(update={"max_epochs": 2})
    metrics = train.run(RecommenderSpec(dataset=DATASET, model=config, seed=4), job)
    model = load_recommender(job.objects)
    assert model.config == config
    assert evaluate(model, cycle, Split.TEST) == metrics["test"]
    assert metrics["model"] == config.kind
    assert metrics["epochs"] == 2
    assert any(p.stage == "train" for p in job.published)


def test_duckdb_reads_the_shards_as_they_are(
    job: Any, cycle: Dataset, sasrec_config: ModelConfig
) -> None:
    metrics = run_capture(job, cycle, sasrec_config, shard_rows=250, top_k=3, shares=SHARES)
    model = build_recommender(sasrec_config, cycle.n_users, cycle.n_items, seed=0)
    (expected,) = capture_cases(model, cycle, kind="prefixes", top_k=3)
    rows = duckdb.execute(
        f"select * from read_parquet('{job.objects}/shard-*.parquet', filename=true) "
        "order by filename, file_row_number"
    ).fetchall()
    assert len(rows) == metrics["cases"] == 80 * 8
    user_ids, splits, origins, contexts, xs, items, scores = list(zip(*rows, strict=True))[:7]
    assert set(origins) == {"history"}
    assert list(user_ids) == [f"u{user}" for user in expected.user_index]
    assert list(contexts) == [[f"i{item}" for item in row] for row in expected.contexts]
    assert np.array_equal(np.array(xs, dtype=np.float32), expected.representation)
    assert list(items) == [[f"i{item}" for item in row] for row in expected.top_items]
    assert np.array_equal(np.array(scores, dtype=np.float32), expected.top_scores)
    assert set(splits) == set(SHARES)


def test_shards_have_the_rows_asked_for_and_the_metrics_tell(
    job: Any, cycle: Dataset, sasrec_config: ModelConfig
) -> None:
    metrics = run_capture(job, cycle, sasrec_config, shard_rows=250, shares=SHARES)
    paths = sorted(job.objects.iterdir())
    assert [path.name for path in paths] == [f"shard-0000{n}.parquet" for n in range(3)]
    assert [pq.read_metadata(path).num_rows for path in paths] == [250, 250, 140]
    assert pq.read_metadata(paths[0]).row_group(0).column(0).compression == "ZSTD"
    assert metrics["bytes"] == sum(path.stat().st_size for path in paths)
    assert (metrics["shards"], metrics["d_model"], metrics["users"]) == (3, 16, 80)
    assert metrics["site"] == "encoder.norm[last]"
    assert [metrics[f"{split}_cases"] for split in SHARES] == [320, 128, 128, 64]
    assert job.published[-1].step == job.published[-1].total == 640
    assert not list(job.folder.iterdir())


def test_each_user_is_in_one_split(job: Any, cycle: Dataset, sasrec_config: ModelConfig) -> None:
    run_capture(job, cycle, sasrec_config, shares=SHARES)
    counted = duckdb.execute(
        f"select split, count(distinct user_id) from read_parquet('{job.objects}/*.parquet') "
        "group by split"
    ).fetchall()
    assert dict(counted) == {"train": 40, "construct": 16, "verify": 16, "test": 8}


def test_representations_can_be_stored_in_half(
    job: Any, cycle: Dataset, bprmf_config: ModelConfig
) -> None:
    metrics = run_capture(job, cycle, bprmf_config, dtype="float16", shares=SHARES)
    table = pq.read_table(job.objects / "shard-00000.parquet")
    assert str(table.schema.field("representation").type).startswith("fixed_size_list<")
    assert "halffloat" in str(table.schema.field("representation").type)
    assert (metrics["kind"], metrics["cases"], metrics["d_model"]) == ("folds", 80 * 17, 8)
    assert metrics["site"] == "user[row]"


def test_what_half_precision_cannot_hold_is_refused_with_user_and_dimension(
    job: Any, cycle: Dataset, bprmf_config: ModelConfig
) -> None:
    model = build_recommender(bprmf_config, cycle.n_users, cycle.n_items, seed=0)
    with torch.no_grad():
        model.user_embedding.weight[3, 5] = 7e4
    save_recommender(model, job.store.root / RECOMMENDER)
    spec = {"recommender": RECOMMENDER, "cases": "users", "shares": SHARES}
    with pytest.raises(InvalidInput, match=r"dimension 5 of user .* 70000") as caught:
        capture.run(CaptureSpec(**spec, dtype="float16"), job)
    assert caught.value.field == "dtype"
    assert repr(cycle.users.ids[3]) in caught.value.message
    assert capture.run(CaptureSpec(**spec), job)["cases"] == 80


def test_cases_are_counted_and_marked_by_origin(
    job: Any, cycle: Dataset, learned_config: ModelConfig
) -> None:
    metrics = run_capture(job, cycle, learned_config, folds=3, shares=SHARES)
    counted = duckdb.execute(
        f"select origin, count(*), count(distinct user_id), min(len(context)), max(len(context)) "
        f"from read_parquet('{job.objects}/*.parquet') group by origin"
    ).fetchall()
    assert {row[0]: row[1:] for row in counted} == {
        "learned": (80, 80, 8, 8),
        "folded": (240, 80, 2, 8),
    }
    assert (metrics["learned_cases"], metrics["folded_cases"]) == (80, 240)
    assert "history_cases" not in metrics
    assert metrics["train_cases"] == 160
    assert job.published[-1].total == metrics["cases"] == 320


def interrupted(
    job: Any, dataset: Dataset, config: ModelConfig, leave_after: int, **options: Any
) -> InterruptedJob:
    """A capture that is left every so many steps, and has ended all the same."""
    model = build_recommender(config, dataset.n_users, dataset.n_items, seed=0)
    save_recommender(model, job.store.root / RECOMMENDER)
    left = InterruptedJob(job.store, job.store.root / f"left-{leave_after}", leave_after)
    left.metrics = left.run(capture.run, CaptureSpec(recommender=RECOMMENDER, **options))
    return left


@pytest.mark.parametrize(
    ("shard_rows", "dtype"), [(64, "float16"), (100, "float32"), (999, "float32")]
)
def test_an_interrupted_capture_ends_with_the_same_bytes(
    job: Any,
    cycle: Dataset,
    learned_config: ModelConfig,
    shard_rows: int,
    dtype: str,
) -> None:
    options = {"folds": 3, "shares": SHARES, "shard_rows": shard_rows, "dtype": dtype}
    # 320 cases in blocks that end within users and within shards.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("reclens.recommenders.capture._SORTED_CASES", 37)
        whole = interrupted(job, cycle, learned_config, 0, **options)
        assert whole.attempts == 1
        for leave_after in (1, 3):
            left = interrupted(job, cycle, learned_config, leave_after, **options)
            assert left.objects == whole.objects
            assert left.metrics == whole.metrics
            assert left.attempts > 2
            # What is stored is not made again.
            assert len(left.added) == len(set(left.added)) == whole.metrics["shards"]


@pytest.mark.parametrize("n_users", [10, 13, 943])
def test_users_are_divided_exactly_and_by_the_seed(n_users: int) -> None:
    drawn = capture.divide_users(n_users, cast("Any", SHARES), seed=1)
    counts = np.bincount(drawn, minlength=4)
    assert np.abs(counts - n_users * np.array(list(SHARES.values()))).max() <= 1
    assert np.array_equal(drawn, capture.divide_users(n_users, cast("Any", SHARES), seed=1))
    assert not np.array_equal(drawn, capture.divide_users(n_users, cast("Any", SHARES), seed=2))
    assert not np.array_equal(drawn, np.sort(drawn))


def test_a_training_that_cannot_be_evaluated_ends_before_its_first_epoch(
    tmp_path: Path, dataset_of
) -> None:
    again = dataset_of([[0, 1, 0, 1], [1, 0, 1, 0]], None, 2)
    write_dataset(again, tmp_path / DATASET)
    job = FolderJob(tmp_path)
    with pytest.raises(InvalidInput, match=f"no user of {DATASET} can be evaluated on valid"):
        train.run(RecommenderSpec(dataset=DATASET), cast("Any", job))
    assert job.published == []
