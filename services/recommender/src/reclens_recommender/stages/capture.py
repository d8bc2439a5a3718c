"""Stage: a recommender to the representations that pass its probe site, in Parquet shards."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, get_args

import numpy as np
import pyarrow as pa

from reclens.contracts import CaptureSpec, Progress
from reclens.contracts.specs.activations import UserSplit
from reclens.contracts.tables import ACTIVATION_SHARD
from reclens.data import Dataset, read_dataset
from reclens.device import device_label, resolve_device
from reclens.errors import InvalidInput
from reclens.platform.jobs.context import JobContext
from reclens.probing import ProbeSite
from reclens.recommenders import (
    ORIGINS,
    CaseBatch,
    CaseKind,
    Recommender,
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
        InvalidInput: the site does not fit the model, or a number is not finite or too large for
            ``dtype``; names user and dimension.
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

    capture = Capture(job, spec, dataset, model, kind=kind, site=site, split_of_user=split_of_user)
    job.drive(capture)
    return {
        "cases": sum(capture.per_origin),
        "users": int((per_user > 0).sum()),
        "d_model": capture.d_model,
        "shards": capture.shards,
        "bytes": capture.bytes,
        "site": f"{site.module}[{site.position}]",
        "kind": kind,
        **{
            f"{split}_cases": int(per_user[split_of_user == code].sum())
            for code, split in enumerate(get_args(UserSplit))
        },
        **{
            f"{origin}_cases": count
            for origin, count in zip(ORIGINS, capture.per_origin, strict=True)
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


class Capture:
    """Captures cases, and adds a table ``ACTIVATION_SHARD`` to the job's artifact whenever
    ``spec.shard_rows`` are together. It goes on after the cases that it has.

    Attributes:
        d_model: width of the representation; 0 before the first shard.
        shards: files written so far.
        bytes: their size.
        per_origin: cases in them by origin, as in ``ORIGINS``.
    """

    def __init__(
        self,
        job: JobContext,
        spec: CaptureSpec,
        dataset: Dataset,
        model: Recommender,
        *,
        kind: CaseKind,
        site: ProbeSite,
        split_of_user: np.ndarray,
    ) -> None:
        self._job = job
        self._spec = spec
        self._dataset = dataset
        self._model = model
        self._kind: CaseKind = kind
        self._site = site
        self._user_ids = pa.array(dataset.users.ids, pa.string())
        self._item_ids = pa.array(dataset.items.ids, pa.string())
        self._splits = pa.array(get_args(UserSplit), pa.string())
        self._origins = pa.array(ORIGINS, pa.string())
        self._split_of_user = split_of_user
        self._waiting: list[pa.Table] = []
        self.d_model = self.shards = self.bytes = 0
        self.per_origin = [0] * len(ORIGINS)

    def steps(self) -> Iterator[Progress]:
        """Capture some thousand cases at a time, and write the files that became full."""
        total = int(count_cases(self._dataset, self._kind, self._spec.folds).sum())
        captured = capture_cases(
            self._model,
            self._dataset,
            kind=self._kind,
            folds=self._spec.folds,
            seed=self._spec.seed,
            site=self._site,
            top_k=self._spec.top_k,
            start=sum(self.per_origin) + self._n_waiting,
        )
        for cases in captured:
            self._waiting.append(self._table(cases))
            while self._n_waiting >= self._spec.shard_rows:
                self._write_shard(self._spec.shard_rows)
            done = sum(self.per_origin) + self._n_waiting
            yield Progress(stage="capture", step=done, total=total, unit="cases")
        if self._n_waiting:
            self._write_shard(self._n_waiting)

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """What the shards hold, and the cases after them."""
        names = ("d_model", "shards", "bytes", "per_origin")
        meta = {name: getattr(self, name) for name in names}
        # In the batches in which they came: the next shard's pages depend on them.
        return {"waiting": table_to_bytes(self._waiting)} if self._n_waiting else {}, meta

    def restore(self, tensors: dict[str, np.ndarray], meta: dict[str, Any]) -> None:
        """Go on after them."""
        self.d_model, self.shards, self.bytes = meta["d_model"], meta["shards"], meta["bytes"]
        self.per_origin = list(meta["per_origin"])
        self._waiting = [table_from_bytes(tensors["waiting"])] if tensors else []

    @property
    def _n_waiting(self) -> int:
        return sum(len(table) for table in self._waiting)

    def _write_shard(self, rows: int) -> None:
        waiting = pa.concat_tables(self._waiting)
        table = waiting.slice(0, rows)
        path = self._job.folder / ACTIVATION_SHARD.file.format(self.shards)
        ACTIVATION_SHARD.write(table, path)
        size = path.stat().st_size
        self._job.add(path)
        path.unlink()
        self._waiting = [waiting.slice(rows)]
        self.shards += 1
        self.bytes += size
        self.d_model = table.schema.field("representation").type.list_size
        origins = table["origin"].to_numpy()
        self.per_origin = [
            count + int((origins == origin).sum())
            for count, origin in zip(self.per_origin, ORIGINS, strict=True)
        ]

    def _stored(self, cases: CaseBatch) -> np.ndarray:
        """Representations in the type that they are stored in."""
        with np.errstate(over="ignore"):
            numbers = cases.representation.astype(self._spec.dtype)
        too_large = np.argwhere(~np.isfinite(numbers))
        if len(too_large):
            row, dimension = too_large[0]
            user = self._dataset.users.ids[cases.user_index[row]]
            raise InvalidInput(
                f"dimension {dimension} of user {user!r} with {len(cases.contexts[row])} items is "
                f"{cases.representation[row, dimension]:.6g}, which float16 cannot hold.",
                field="dtype",
                remedy="capture with dtype float32.",
            )
        return numbers

    def _table(self, cases: CaseBatch) -> pa.Table:
        d_model = cases.representation.shape[1]
        dtype = pa.float16() if self._spec.dtype == "float16" else pa.float32()
        numbers = self._stored(cases).ravel()
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
                    pa.array(numbers, dtype), d_model
                ),
                "top_items": _lists(n_found, self._item_ids, cases.top_items[found]),
                "top_scores": pa.ListArray.from_arrays(
                    _offsets(n_found), pa.array(cases.top_scores[found], pa.float32())
                ),
            }
        )


def table_to_bytes(tables: Sequence[pa.Table]) -> np.ndarray:
    """Rows of some tables as an Arrow stream, uint8, for a checkpoint."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, tables[0].schema) as writer:
        for table in tables:
            writer.write_table(table)
    return np.frombuffer(sink.getvalue(), dtype=np.uint8)


def table_from_bytes(stream: np.ndarray) -> pa.Table:
    """One table of these rows."""
    return pa.ipc.open_stream(stream.tobytes()).read_all()


def _lists(lengths: Sequence[int] | np.ndarray, ids: pa.Array, indices: np.ndarray) -> pa.ListArray:
    """Lists of external ids, of so many each, from indices one after another."""
    return pa.ListArray.from_arrays(_offsets(lengths), ids.take(pa.array(indices)))


def _offsets(lengths: Sequence[int] | np.ndarray) -> pa.Array:
    return pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int32())
