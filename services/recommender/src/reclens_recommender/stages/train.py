"""Stage: a data set to an evaluated recommender, trained here or brought from elsewhere."""

from __future__ import annotations

from typing import Any

import torch

from reclens.contracts import ModuleConfig, Progress, RecommenderSpec
from reclens.data import (
    Dataset,
    Split,
    evaluable_users,
    read_dataset,
    refuse_unevaluable,
)
from reclens.device import device_label, resolve_device
from reclens.extensions import PackageSource
from reclens.platform.jobs.context import JobContext
from reclens.recommenders import (
    Recommender,
    RecommenderTrainer,
    bring_recommender,
    check_recommender,
    evaluate,
    save_recommender,
)
from reclens.recommenders.registry import RECOMMENDERS
from reclens.recommenders.samples import other_model
from reclens.recommenders.storage import difference


def run(spec: RecommenderSpec, job: JobContext) -> dict[str, Any]:
    """Train until NDCG@10 on valid stops rising, or bring weights, and evaluate by full ranking.

    Objects made: ``config.json`` and ``weights.safetensors``; ``samples.safetensors`` too of a
    model of another package.

    Returns:
        ``model`` (its kind, or its name where another package offers it, then with ``source``, its
        package, version and a hash of its code), ``valid`` and ``test``
        (``hr@10``, ``ndcg@10``, ...); where trained here also ``epochs``, ``best_epoch`` and
        ``history`` (a row per epoch).

    Raises:
        InvalidInput: no user of the data set can be evaluated, the configuration does not fit it,
            the loss is not finite, or a model of another package does not keep what ``Recommender``
            promises.
        NotFound: no installed package offers the model.
        NotReady: the worker's device is not there.
        MissingData: the weights to bring are not there.
    """
    device = resolve_device(job.settings.device)
    job.computes_on(device_label(device))
    dataset = read_dataset(job.store.fetch_all(spec.dataset))
    # Said now, and not after the last epoch.
    counts = {s.label: len(evaluable_users(dataset, s)) for s in (Split.VALID, Split.TEST)}
    refuse_unevaluable(counts, spec.dataset)
    config = spec.model
    if isinstance(config, ModuleConfig) and config.weights is not None:
        model, metrics = _brought(config, dataset, job, device)
    else:
        model, metrics = _trained(spec, dataset, job, device)
    for name in save_recommender(model, job.folder):
        job.add(job.folder / name)
    if not isinstance(config, ModuleConfig):
        return {"model": config.kind, **metrics}
    source = RECOMMENDERS.source(config.name)._asdict()
    return {"model": config.name, "source": source, **metrics}


def check_reuse(spec: RecommenderSpec, metrics: dict[str, Any]) -> None:
    """Refuse a recommender that exists where other code than is installed here has made it.

    Raises:
        VersionMismatch: names both.
    """
    config, then = spec.model, metrics.get("source")
    if then is None or not isinstance(config, ModuleConfig):
        return
    if config.name in RECOMMENDERS.names():
        then, now = PackageSource(**then), RECOMMENDERS.source(config.name)
        if then != now:
            raise other_model("was made by other code", difference(then, now))


def _trained(
    spec: RecommenderSpec, dataset: Dataset, job: JobContext, device: torch.device
) -> tuple[Recommender, dict[str, Any]]:
    trainer = RecommenderTrainer(spec.model, dataset, spec.seed, device)
    if isinstance(spec.model, ModuleConfig):
        check_recommender(trainer.model)
    job.drive(trainer)
    job.progress(Progress(stage="evaluate"))
    return trainer.finish()


def _brought(
    config: ModuleConfig, dataset: Dataset, job: JobContext, device: torch.device
) -> tuple[Recommender, dict[str, Any]]:
    assert config.weights is not None
    with job.settings.data.opened(config.weights.path, "model.weights.path") as file:
        model = bring_recommender(config, config.weights, dataset, file).to(device)
    check_recommender(model)
    job.progress(Progress(stage="evaluate"))
    return model, {
        split.label: evaluate(model, dataset, split) for split in (Split.VALID, Split.TEST)
    }
