"""Stage: a recommender to the representations that pass its probe site, in Parquet shards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

import numpy as np
import pyarrow as pa

from reclens.contracts import CaptureSpec, Progress
from reclens.contracts.specs.activations import UserSplit
from reclens.contracts.tables import ACTIVATION_SHARD
from reclens.data import Dataset, read_dataset
from reclens.device import device_label, resolve_device
from reclens.platform.jobs.context import JobContext
from reclens.probing import ProbeSite
from reclens.recommenders import (
    ORIGINS,
    CaseBatch,
    capture_cases,
    case_kind,
    count_cases,
    load_recommender,
)


def run(spec: CaptureSpec, job: JobContext) -> dict[str, Any]:
    """Feed every case to the recommender and store what passes the site, shard by shard.

    Returns:
        ``cases``, ``users``, ``d_model``, ``shards``, ``bytes``, ``site``, ``kind`` of the cases,
        the number of cases per user ``split``, and per ``origin`` that occurs.

    Raises:
        InvalidInput: the site does not fit the model.
        NotReady: the worker's device is not there.
    """
    dataset = read_dataset(job.store.fetch_all(job.store.lineage(spec.recommender)["dataset"]))
    device = resolve_device(job.settings.device)
    job.computes_on(device_label(device))
    model = load_recommender(job.store.fetch_all(spec.recommender), device)
    site = model.site if spec.site is None else ProbeSite(**spec.site.model_dump())
    kind = case_kind(model, spec.cases)
    per_user = count_cases(dataset, kind, spec.folds)
    split_of_user = divide_users(dataset.n_users, spec.shares, spec.seed)

    writer = ShardWriter(job, dataset, split_of_user, spec)
    per_origin = np.zeros(len(ORIGINS), dtype=np.int64)
    captured = capture_cases(
        model,
        dataset,
        kind=kind,
        folds=spec.folds,
        seed=spec.seed,
        site=site,
        top_k=spec.top_k,
    )
    for cases in captured:
        writer.write(cases)
        per_origin += np.bincount(cases.origin, minlength=len(ORIGINS))
        done, total = int(per_origin.sum()), int(per_user.sum())
        job.progress(Progress(stage="capture", step=done, total=total, unit="cases"))
    writer.flush()
    return {
        "cases": int(per_origin.sum()),
        "users": int((per_user > 0).sum()),
        "d_model": writer.d_model,
        "shards": writer.shards,
        "bytes": writer.bytes,
        "site": f"{site.module}[{site.position}]",
        "kind": kind,
        **{
            f"{split}_cases": int(per_user[split_of_user == code].sum())
            for code, split in enumerate(get_args(UserSplit))
        },
        **{
            f"{origin}_cases": int(count)
            for origin, count in zip(ORIGINS, per_origin, strict=True)
            if count
        },
    }


def divide_users(n_users: int, shares: dict[UserSplit, float], seed: int) -> np.ndarray:
    """Draw each user's split, with exact shares up to rounding.

    Returns:
        Index into ``UserSplit``'s names, uint8 [n_users].
    """
    bounds = np.cumsum([shares[split] for split in get_args(UserSplit)])
    order = np.random.default_rng(seed).permutation(n_users)
    split_of_user = np.empty(n_users, dtype=np.uint8)
    split_of_user[order] = np.searchsorted(bounds[:-1], (np.arange(n_users) + 0.5) / n_users)
    return split_of_user


# --- shards --------------------------------------------------------------------------------------


class ShardWriter:
    """Gathers cases, and adds a table ``ACTIVATION_SHARD`` to the job's artifact whenever
    ``spec.shard_rows`` are together.

    Attributes:
        d_model: width of the representation; 0 before the first case.
        shards: files written so far.
        bytes: their size.
    """

    def __init__(
        self, job: JobContext, dataset: Dataset, split_of_user: np.ndarray, spec: CaptureSpec
    ) -> None:
        self._job = job
        self._user_ids = pa.array(dataset.users.ids, pa.string())
        self._item_ids = pa.array(dataset.items.ids, pa.string())
        self._splits = pa.array(get_args(UserSplit), pa.string())
        self._origins = pa.array(ORIGINS, pa.string())
        self._split_of_user = split_of_user
        self._spec = spec
        self._waiting: list[pa.Table] = []
        self._n_waiting = 0
        self.d_model = self.shards = self.bytes = 0

    def write(self, cases: CaseBatch) -> None:
        """Take ``cases`` in, and write the files that became full."""
        self._waiting.append(self._table(cases))
        self._n_waiting += len(cases)
        while self._n_waiting >= self._spec.shard_rows:
            self._write_rows(self._spec.shard_rows)

    def flush(self) -> None:
        """Write what is left."""
        if self._n_waiting:
            self._write_rows(self._n_waiting)

    def _write_rows(self, rows: int) -> None:
        table = pa.concat_tables(self._waiting)
        path = self._job.folder / ACTIVATION_SHARD.file.format(self.shards)
        ACTIVATION_SHARD.write(table.slice(0, rows), path)
        self.shards += 1
        self.bytes += path.stat().st_size
        self._job.add(path)
        path.unlink()
        self._waiting = [table.slice(rows)]
        self._n_waiting -= rows

    def _table(self, cases: CaseBatch) -> pa.Table:
        self.d_model = cases.representation.shape[1]
        dtype = pa.float16() if self._spec.dtype == "float16" else pa.float32()
        numbers = cases.representation.astype(self._spec.dtype).ravel()
        lengths = [len(context) for context in cases.contexts]
        found = cases.top_items >= 0
        n_found = found.sum(axis=1)
        return pa.table(
            {
                "user_id": self._user_ids.take(pa.array(cases.user_index)),
                "split": self._splits.take(pa.array(self._split_of_user[cases.user_index])),
                "origin": self._origins.take(pa.array(cases.origin)),
                "context": _lists(lengths, self._item_ids, np.concatenate(cases.contexts)),
                "representation": pa.FixedSizeListArray.from_arrays(
                    pa.array(numbers, dtype), self.d_model
                ),
                "top_items": _lists(n_found, self._item_ids, cases.top_items[found]),
                "top_scores": pa.ListArray.from_arrays(
                    _offsets(n_found), pa.array(cases.top_scores[found], pa.float32())
                ),
            }
        )


def _lists(lengths: Sequence[int] | np.ndarray, ids: pa.Array, indices: np.ndarray) -> pa.ListArray:
    """Lists of external ids, of so many each, from indices one after another."""
    return pa.ListArray.from_arrays(_offsets(lengths), ids.take(pa.array(indices)))


def _offsets(lengths: Sequence[int] | np.ndarray) -> pa.Array:
    return pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int32())
