"""What RecLens refuses of models from outside, and how it tells."""

from __future__ import annotations

import hashlib
import importlib
import pickle
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from reclens import extensions
from reclens.contracts import ModuleConfig, WeightsFile
from reclens.data import Dataset
from reclens.errors import InvalidInput, InvalidSpec, MissingData, NotFound, RecLensError
from reclens.probing import ProbeSite
from reclens.recommenders import (
    Recommender,
    UserBatch,
    bring_recommender,
    build_recommender,
    check_recommender,
    load_recommender,
    save_recommender,
)

pytestmark = pytest.mark.usefixtures("shop_models")

GRU = ModuleConfig(name="gru4rec", options={"d_model": 8})
TOWERS = ModuleConfig(name="two-tower", options={"d_model": 8})


class MeanOfItems(Recommender):
    """Keeps every promise; the broken ones below differ in one thing each."""

    site: ClassVar[ProbeSite] = ProbeSite("tower", position="row")
    reads_history: ClassVar[bool] = True

    def __init__(self, config: Any, n_users: int, n_items: int) -> None:
        super().__init__(config, n_users, n_items)
        self.items = nn.Embedding(n_items, 4)
        self.tower = nn.Linear(4, 4)

    def represent(self, batch: UserBatch) -> torch.Tensor:
        present = (batch.history >= 0)[..., None]
        taken = self.items(batch.history.clamp(min=0)) * present
        return self.tower(taken.sum(dim=1) / present.sum(dim=1))

    def item_weights(self) -> torch.Tensor:
        return self.items.weight


class ChangesXAfterItsSite(MeanOfItems):
    def represent(self, batch: UserBatch) -> torch.Tensor:
        return super().represent(batch) + 1


class BypassesItsSite(MeanOfItems):
    def represent(self, batch: UserBatch) -> torch.Tensor:
        super().represent(batch)
        present = (batch.history >= 0)[..., None]
        taken = self.items(batch.history.clamp(min=0)) * present
        return self.tower.forward(taken.sum(dim=1) / present.sum(dim=1))


class CountsPadding(MeanOfItems):
    def represent(self, batch: UserBatch) -> torch.Tensor:
        return self.tower(self.items(batch.history.clamp(min=0)).mean(dim=1))


class KeepsPartOutsideItsState(MeanOfItems):
    def __init__(self, config: Any, n_users: int, n_items: int) -> None:
        super().__init__(config, n_users, n_items)
        self.popularity = torch.rand(n_items)

    def item_biases(self) -> torch.Tensor:
        return self.popularity


class IsNotFinite(MeanOfItems):
    def item_biases(self) -> torch.Tensor:
        return torch.full((self.n_items,), torch.nan)


@pytest.fixture
def offered(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes a class of this module what the entry point stands for."""

    def offer(cls: type[Recommender]) -> Recommender:
        monkeypatch.setattr(
            "reclens.recommenders.registry.installed_recommender", lambda config: cls
        )
        return build_recommender(GRU, 5, 30, seed=0)

    return offer


def test_a_model_that_keeps_the_promises_passes_and_stays_in_its_mode(offered: Any) -> None:
    model = offered(MeanOfItems).train()
    check_recommender(model)
    assert model.training
    for config in (GRU, TOWERS):
        check_recommender(build_recommender(config, 5, 30, seed=0))


@pytest.mark.parametrize(
    ("cls", "told"),
    [
        (ChangesXAfterItsSite, "not x @ item_weights"),
        (BypassesItsSite, "bypasses its site"),
        (CountsPadding, "differently in a batch"),
        (KeepsPartOutsideItsState, "not in its state_dict"),
        (IsNotFinite, "not finite"),
    ],
)
def test_a_broken_promise_is_told(offered: Any, cls: type[Recommender], told: str) -> None:
    with pytest.raises(InvalidInput, match=told) as caught:
        check_recommender(offered(cls))
    assert caught.value.field == "model"
    assert caught.value.remedy


def test_a_name_that_is_not_installed_is_told_with_those_that_are() -> None:
    with pytest.raises(NotFound) as caught:
        build_recommender(ModuleConfig(name="nothing"), 5, 30, seed=0)
    assert caught.value.field == "model.name"
    assert "gru4rec" in str(caught.value.remedy)


def test_an_import_path_is_not_a_name() -> None:
    with pytest.raises(InvalidSpec):
        ModuleConfig.parse({"name": "os:system"})
    with pytest.raises(NotFound):
        build_recommender(ModuleConfig(name="os.system"), 5, 30, seed=0)


def test_another_version_is_refused() -> None:
    build_recommender(GRU.model_copy(update={"version": "1.0"}), 5, 30, seed=0)
    with pytest.raises(InvalidInput) as caught:
        build_recommender(GRU.model_copy(update={"version": "0.9"}), 5, 30, seed=0)
    assert caught.value.field == "model.version"


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("shop_models.gru4rec:Gru4Rec", "is not a subclass"),
        ("shop_models.gru4rec:Absent", "cannot be imported"),
        ("shop_models.absent:Absent", "cannot be imported"),
        ("reclens.recommenders:Recommender", "lacks item_weights, represent"),
    ],
)
def test_an_entry_point_that_is_no_recommender_is_told(
    monkeypatch: pytest.MonkeyPatch, value: str, told: str
) -> None:
    point = EntryPoint("mine", value, "reclens.recommenders")
    monkeypatch.setattr(extensions, "entry_points", lambda group: [point])
    with pytest.raises(InvalidInput, match=told):
        build_recommender(ModuleConfig(name="mine"), 5, 30, seed=0)


def test_a_stored_model_whose_package_is_gone_is_not_called_damaged(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    save_recommender(build_recommender(GRU, 5, 30, seed=0), tmp_path)
    monkeypatch.setattr(extensions, "entry_points", lambda group: [])
    with pytest.raises(NotFound, match="gru4rec"):
        load_recommender(tmp_path)


def test_a_model_without_an_objective_cannot_be_trained(dataset: Dataset) -> None:
    from reclens.recommenders import RecommenderTrainer

    with pytest.raises(InvalidInput, match="no objective") as caught:
        RecommenderTrainer(TOWERS, dataset, seed=0)
    assert "weights" in str(caught.value.remedy)


class TestWeights:
    def bring(self, path: Path, dataset: Dataset, sha256: str | None = None) -> Recommender:
        digest = sha256 or hashlib.sha256(path.read_bytes()).hexdigest()
        return bring_recommender(TOWERS, WeightsFile(path=str(path), sha256=digest), dataset)

    def net(self, n_items: int) -> nn.Module:
        return importlib.import_module("shop_models.two_tower").TwoTower(n_items, d_model=8)

    def refused(self, *args: Any, **options: Any) -> RecLensError:
        with pytest.raises(RecLensError) as caught:
            self.bring(*args, **options)
        return caught.value

    def test_other_bytes_are_refused(self, tmp_path: Path, dataset: Dataset) -> None:
        save_file(self.net(dataset.n_items).state_dict(), tmp_path / "w")
        assert self.bring(tmp_path / "w", dataset).n_items == dataset.n_items
        error = self.refused(tmp_path / "w", dataset, sha256="0" * 64)
        assert (type(error), error.field) == (InvalidInput, "model.weights.sha256")

    def test_a_pickle_is_never_read(self, tmp_path: Path, dataset: Dataset) -> None:
        class Bomb:
            def __reduce__(self) -> Any:
                return (Path.touch, (tmp_path / "ran",))

        (tmp_path / "w.pt").write_bytes(pickle.dumps(Bomb()))
        error = self.refused(tmp_path / "w.pt", dataset)
        assert (type(error), error.field) == (InvalidInput, "model.weights.path")
        assert "safetensors" in str(error.remedy)
        assert not (tmp_path / "ran").exists()

    def test_a_missing_file_is_told(self, tmp_path: Path, dataset: Dataset) -> None:
        error = self.refused(tmp_path / "w", dataset, sha256="0" * 64)
        assert (type(error), error.field) == (MissingData, "model.weights.path")

    def test_weights_of_another_catalogue_are_refused(
        self, tmp_path: Path, dataset: Dataset
    ) -> None:
        save_file(self.net(dataset.n_items + 1).state_dict(), tmp_path / "w")
        error = self.refused(tmp_path / "w", dataset)
        assert (type(error), error.field) == (InvalidInput, "model.weights.path")
        assert str(dataset.n_items) in str(error.remedy)
