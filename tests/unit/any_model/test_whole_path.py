"""Two models of a stranger's package: specification, training or weights, capture, serve, steer."""

from __future__ import annotations

import hashlib
import importlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from reclens.contracts import (
    AutoencoderConfig,
    AutoencoderSpec,
    CaptureSpec,
    ConceptsSpec,
    PipelineSpec,
    RecommenderSpec,
    Release,
)
from reclens.contracts.specs.pipeline import PIPELINE_RUN
from reclens.contracts.specs.recommender import RECOMMENDER_TRAIN
from reclens.data import Dataset
from reclens.recommenders import UserBatch, load_recommender
from reclens.steering import LatentEdit, Operation
from reclens.steering.engine import steer
from reclens_recommender.serving.queries import RankQuery, rank
from reclens_recommender.serving.representations import Subject
from reclens_recommender.serving.served_model import ServedModel, load_served_model
from reclens_recommender.serving.settings import InferenceSection
from reclens_recommender.stages import capture, train
from reclens_trainer.stages import train as autoencoder

pytestmark = pytest.mark.usefixtures("shop_models")


def served(stages: Any, recommender: RecommenderSpec, dataset_ref: str) -> ServedModel:
    """Capture, decompose and load what ``recommender`` made."""
    captured = CaptureSpec(recommender=recommender.artifact_ref(), top_k=5)
    metrics = stages.run(capture.run, captured)
    assert metrics["kind"] == "prefixes"
    assert metrics["history_cases"] == metrics["cases"] == 60 * 8
    config = AutoencoderConfig(n_latents=32, k=4, n_epochs=6, batch_size=64)
    dictionary = AutoencoderSpec(activations=captured.artifact_ref(), config=config)
    stages.run(autoencoder.run, dictionary)
    concepts = ConceptsSpec(autoencoder=dictionary.artifact_ref(), dataset=dataset_ref)
    release = Release(
        name="shop",
        recommender=recommender.artifact_ref(),
        autoencoder=dictionary.artifact_ref(),
        concepts=concepts.artifact_ref(),
        version="0123456789abcdef",
        published_at="2024-01-01T00:00:00+00:00",
    )
    return load_served_model(stages.store, release, "cpu", InferenceSection())


def prove_steering(model: ServedModel, history: list[str]) -> None:
    """Without edits, bit for bit the model's own answer; with one, another."""
    indices = np.array([model.dataset.items.index_of(item) for item in history])
    batch = UserBatch.of([indices])
    p99 = torch.from_numpy(model.steering.p99)
    with torch.inference_mode():
        own = model.model(batch)
        with model.site.intervene(model.model, lambda x: steer(x, model.sae, p99, [])):
            unedited = model.model(batch)
    assert torch.equal(unedited, own)

    subject = Subject(-1, indices, indices.tobytes())
    (plain,) = rank(model, [RankQuery(subject, 10, include_latents=True)])
    assert list(plain.ranked.scores) == own[0][list(plain.ranked.items)].tolist()
    strongest = plain.latents[0].latent
    edits = (LatentEdit.of((strongest,), Operation.ABLATE),)
    (edited,) = rank(model, [RankQuery(subject, 10, edits=edits)])
    assert edited.relative_shift > 0.01
    assert edited.ranked.scores != plain.ranked.scores
    with torch.inference_mode():
        x = steer(_x(model, batch), model.sae, p99, edits)
        expected = (x @ model.model.item_weights().T + model.model.item_biases())[0]
    np.testing.assert_allclose(
        edited.ranked.scores, expected[list(edited.ranked.items)].numpy(), atol=1e-4
    )


def _x(model: ServedModel, batch: UserBatch) -> torch.Tensor:
    with model.site.capture(model.model) as captured:
        model.model(batch)
    return captured.tensor


def test_a_model_that_reclens_trains(
    stages: Any, dataset_ref: str, job_of: Any, tmp_path: Path
) -> None:
    written = job_of("train.yaml", PIPELINE_RUN.task)
    options = PipelineSpec.parse(written).recommender
    small = options.model.model_copy(
        update={"options": {"d_model": 16}, "learning_rate": 1e-2, "max_epochs": 10}
    )
    spec = RecommenderSpec(dataset=dataset_ref, model=small)
    metrics = stages.run(train.run, spec)
    assert metrics["model"] == "gru4rec"
    assert metrics["test"]["hr@10"] > 0.9
    assert metrics["epochs"] >= 2

    folder = stages.store.fetch_all(spec.artifact_ref())
    model = load_recommender(folder)
    assert type(model).__module__ == "shop_models.gru4rec_recommender"
    assert json.loads((folder / "config.json").read_text())["config"]["version"] == "1.0"
    prove_steering(served(stages, spec, dataset_ref), ["i3", "i4", "i5"])


def test_a_model_whose_weights_are_brought(
    stages: Any, dataset_ref: str, dataset: Dataset, job_of: Any, tmp_path: Path
) -> None:
    module = importlib.import_module("shop_models.two_tower")
    torch.manual_seed(5)
    net = module.TwoTower(dataset.n_items, d_model=16)
    path = tmp_path / "two_tower.safetensors"
    save_file(net.state_dict(), path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    spec = RecommenderSpec.parse(
        job_of(
            "bring.yaml",
            RECOMMENDER_TRAIN.task,
            DATASET=dataset_ref,
            WEIGHTS=str(path),
            SHA256=digest,
        )
    )
    metrics = stages.run(train.run, spec)
    assert metrics["model"] == "two-tower"
    assert metrics.keys() == {"model", "source", "valid", "test"}
    assert metrics["source"]["package"] == "shop-models"
    assert metrics["source"]["version"] == "1.0"

    path.unlink()  # the artifact has its own copy
    model = load_recommender(stages.store.fetch_all(spec.artifact_ref()))
    taken = net.items.weight[[2, 7]].mean(dim=0)
    with torch.no_grad():
        # The network by hand, without any part of RecLens.
        expected = net.item_tower(net.items.weight) @ net.user_tower(taken)
        expected += net.popularity.weight[:, 0]
        scores = model(UserBatch.of([np.array([2, 7])]))[0]
    assert torch.allclose(scores, expected, atol=1e-5)
    prove_steering(served(stages, spec, dataset_ref), ["i2", "i7"])


def test_the_example_in_python_runs(dataset: Dataset) -> None:
    adapter = importlib.import_module("shop_models.two_tower_recommender").TwoTowerRecommender
    config = RecommenderSpec.parse(
        {
            "dataset": "datasets/0123456789abcdef",
            "model": {"kind": "module", "name": "two-tower"},
        }
    ).model
    torch.manual_seed(1)
    model = adapter(config, dataset.n_users, dataset.n_items).eval()
    example = importlib.import_module("steer")
    edited, untouched = example.steered_scores(model, dataset, np.array([1, 2, 3]))
    assert edited.shape == untouched.shape == (1, dataset.n_items)
    assert not torch.allclose(edited, untouched, atol=1e-4)
