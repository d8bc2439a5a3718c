"""Stage: a recommender to the representations that pass its probe site."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from reclens.contracts import CaptureSpec, Progress, UserSplit

if TYPE_CHECKING:
    from reclens.platform.jobs.context import JobContext


def run(spec: CaptureSpec, job: JobContext) -> dict[str, Any]:
    """Feed every case to the recommender and store what passes the site, shard by shard.

    Returns:
        ``cases``, ``users``, ``d_model``, ``shards``, ``bytes``, ``site``, ``kind`` of the cases,
        the number of cases per user ``split``, and per ``origin`` that occurs.

    Raises:
        InvalidInput: the site does not fit the model.
        NotReady: the worker's device is not there.
    """
    from reclens.data import read_dataset
    from reclens.device import device_label, resolve_device
    from reclens.probing import ProbeSite
    from reclens.recommenders import (
        ORIGINS,
        capture_cases,
        case_kind,
        count_cases,
        load_recommender,
    )
    from reclens_recommender.stages.shards import ShardWriter

    dataset = read_dataset(job.store.fetch_all(job.store.lineage(spec.recommender)["dataset"]))
    device = resolve_device(job.settings.device)
    job.computes_on(device_label(device))
    model = load_recommender(job.store.fetch_all(spec.recommender), device)
    site = model.site if spec.site is None else ProbeSite(**spec.site.model_dump())
    kind = case_kind(model, spec.cases)
    per_user = count_cases(dataset, kind, spec.folds)
    split_of_user = divide_users(dataset.n_users, spec.shares, spec.seed)

    writer = ShardWriter(dataset, split_of_user, spec)
    bytes_written, per_origin = 0, np.zeros(len(ORIGINS), dtype=np.int64)

    def upload(paths: list[Any]) -> int:
        size = 0
        for path in paths:
            size += path.stat().st_size
            job.add(path)
            path.unlink()
        return size

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
        bytes_written += upload(writer.write(cases, job.folder))
        per_origin += np.bincount(cases.origin, minlength=len(ORIGINS))
        done, total = int(per_origin.sum()), int(per_user.sum())
        job.progress(Progress(stage="capture", step=done, total=total, unit="cases"))
    bytes_written += upload(writer.flush(job.folder))
    return {
        "cases": int(per_origin.sum()),
        "users": int((per_user > 0).sum()),
        "d_model": writer.d_model,
        "shards": writer.shards,
        "bytes": bytes_written,
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
