"""Whether a training can be evaluated, as far as whoever submits it can tell."""

from __future__ import annotations

from reclens.contracts import PipelineSpec, RecommenderSpec
from reclens.contracts.account import ImportAccount
from reclens.contracts.base import Contract
from reclens.data import refuse_unevaluable
from reclens.errors import RecLensError
from reclens.platform.store.artifacts import ArtifactStore


def refuse_untrainable(spec: Contract, store: ArtifactStore) -> None:
    """Refuse a training on a data set of which no user can be evaluated, by the account of its
    import. What cannot be told from here (it is not imported yet, or not to be read), the worker
    tells before the first epoch.

    Args:
        spec: of any job.
        store: with its inputs.

    Raises:
        InvalidInput: nobody can be evaluated on valid, or on test.
    """
    ref = _data_set(spec)
    if ref is None:
        return
    try:
        told = store.manifest(ref).metrics.get("account")
    except RecLensError:
        return
    if told is not None:
        splits = ImportAccount.parse(told).splits
        refuse_unevaluable({name: splits[name].evaluable_users for name in ("valid", "test")}, ref)


def _data_set(spec: Contract) -> str | None:
    if isinstance(spec, PipelineSpec):
        return spec.dataset.artifact_ref()
    return spec.dataset if isinstance(spec, RecommenderSpec) else None
