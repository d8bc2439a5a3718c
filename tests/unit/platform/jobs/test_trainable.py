"""Trainings that nothing can be evaluated of are refused where they are submitted."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from reclens.contracts import DatasetSpec, PipelineSpec, RecommenderSpec
from reclens.data import import_dataset
from reclens.errors import InvalidInput, NotFound, StoreRefused, StoreUnavailable
from reclens.platform.jobs.trainable import refuse_untrainable

HEAD = "user_id,item_id,timestamp\n"
SEEN_AGAIN = f"{HEAD}u,a,1\nu,b,2\nu,a,3\nu,a,4\n"
NEW = f"{HEAD}u,a,1\nu,b,2\nu,c,3\n"


class Manifests:
    """A store that has the account of one import, or raises."""

    def __init__(self, text: str, folder: Path, error: Exception | None = None) -> None:
        (folder / "interactions.csv").write_text(text)
        source = {"format": "table", "path": str(folder)}
        self.spec = DatasetSpec.parse({"name": "mine", "source": source})
        self.ref = self.spec.artifact_ref()
        self.metrics: dict[str, Any] = {
            "account": import_dataset(self.spec, folder).account.canonical()
        }
        self.error = error

    def manifest(self, ref: str) -> Any:
        assert ref == self.ref
        if self.error is not None:
            raise self.error
        return SimpleNamespace(metrics=self.metrics)


def _submit(store: Manifests) -> None:
    refuse_untrainable(RecommenderSpec(dataset=store.ref), cast("Any", store))


def test_nobody_to_evaluate_is_refused(tmp_path: Path) -> None:
    store = Manifests(SEEN_AGAIN, tmp_path)
    with pytest.raises(InvalidInput, match=f"no user of {store.ref} can be evaluated on valid"):
        _submit(store)
    with pytest.raises(InvalidInput, match="can be evaluated"):
        refuse_untrainable(PipelineSpec(dataset=store.spec), cast("Any", store))


def test_what_can_be_evaluated_is_submitted(tmp_path: Path) -> None:
    store = Manifests(NEW, tmp_path)
    _submit(store)
    refuse_untrainable(store.spec, cast("Any", Manifests(SEEN_AGAIN, tmp_path)))


@pytest.mark.parametrize("error", [NotFound("no"), StoreRefused("no"), StoreUnavailable("no")])
def test_what_cannot_be_told_is_left_to_the_worker(tmp_path: Path, error: Exception) -> None:
    _submit(Manifests(SEEN_AGAIN, tmp_path, error))


def test_imports_of_before_have_no_account(tmp_path: Path) -> None:
    store = Manifests(SEEN_AGAIN, tmp_path)
    store.metrics = {}
    _submit(store)
