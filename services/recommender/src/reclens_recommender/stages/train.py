"""Stage: a data set to a trained, evaluated recommender."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reclens.contracts import Progress, RecommenderSpec

if TYPE_CHECKING:
    from reclens.adapters.jobs import JobContext


def run(spec: RecommenderSpec, job: JobContext) -> dict[str, Any]:
    """Train until NDCG@10 on valid stops rising, and evaluate by full ranking.

    Objects made: ``config.json`` and ``weights.safetensors``.

    Returns:
        ``model`` (its kind), ``valid`` and ``test`` (``hr@10``, ``ndcg@10``, ...), ``epochs``,
        ``best_epoch`` and ``history`` (a row per epoch).

    Raises:
        InvalidInput: the configuration does not fit the data set, or the loss is not finite.
    """
    from reclens.data import read_dataset
    from reclens.recommenders import RecommenderTrainer, save_recommender

    dataset = read_dataset(job.store.fetch_all(spec.dataset))
    trainer = RecommenderTrainer(spec.model, dataset, spec.seed)
    job.drive(trainer)
    job.progress(Progress(stage="evaluate"))
    model, metrics = trainer.finish()
    for name in save_recommender(model, job.folder):
        job.add(job.folder / name)
    return {"model": spec.model.kind, **metrics}
