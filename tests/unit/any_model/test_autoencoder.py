"""An autoencoder of a stranger's package: the inherited suite, a job, labels, serving, steering."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from outside_package import OutsidePackage, files_of_page, installed

from reclens.contracts import (
    AutoencoderConfig,
    AutoencoderSpec,
    CaptureSpec,
    ConceptShardSpec,
    ConceptsSpec,
    RecommenderSpec,
    Release,
)
from reclens.contracts.specs.autoencoder import InstalledAutoencoderConfig
from reclens.errors import InvalidInput, InvalidSpec, NotFound
from reclens.recommenders import UserBatch
from reclens.sae import build_autoencoder, load_autoencoder
from reclens.sae.architectures.saelens import save_saelens
from reclens.steering import LatentEdit, Operation
from reclens.steering.engine import steer
from reclens_labeler.stages import join, label
from reclens_recommender.serving.queries import RankQuery, rank
from reclens_recommender.serving.representations import Subject
from reclens_recommender.serving.served_model import load_served_model
from reclens_recommender.serving.settings import InferenceSection
from reclens_recommender.stages import capture, train
from reclens_trainer.stages import train as autoencoder

REF = "activations/0123456789abcdef"


@pytest.fixture(scope="module")
def files() -> dict[str, str]:
    """The files of the page."""
    return {**files_of_page("autoencoder.md"), "shop_saes/__init__.py": ""}


@pytest.fixture(scope="module")
def shop_saes(
    files: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OutsidePackage]:
    """The stranger's package."""
    with installed(files, tmp_path_factory) as package:
        yield package


def test_it_passes_the_inherited_suite(
    shop_saes: OutsidePackage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # of products this small, more threads only wait
    shop_saes.run_tests("test_l1_relu.py")


@pytest.mark.usefixtures("shop_saes")
def test_it_is_trained_labelled_served_and_steered(
    stages: Any, dataset_ref: str, files: dict[str, str]
) -> None:
    model = {"kind": "sasrec", "d_model": 16, "max_epochs": 2}
    recommender = RecommenderSpec.parse({"dataset": dataset_ref, "model": model})
    stages.run(train.run, recommender)
    captured = CaptureSpec(recommender=recommender.artifact_ref(), top_k=5)
    stages.run(capture.run, captured)
    written = yaml.safe_load(files["train.yaml"].replace("ACTIVATIONS", captured.artifact_ref()))
    assert written["task"] == "reclens.autoencoder.train.v1"
    small = {**written["spec"]["config"], "n_latents": 32, "k": 4, "n_epochs": 6, "batch_size": 64}
    spec = AutoencoderSpec.parse({**written["spec"], "config": small})
    metrics = stages.run(autoencoder.run, spec)
    assert metrics["fvu"] < metrics["random_fvu"]
    sae = load_autoencoder(stages.store.fetch_all(spec.artifact_ref()))
    assert type(sae).__name__ == "L1ReluAutoencoder"
    assert sae.config.l1_coefficient == 0.01  # type: ignore[attr-defined]

    concepts = ConceptsSpec(autoencoder=spec.artifact_ref(), dataset=dataset_ref)
    for shard in ConceptShardSpec.of(concepts, sae.n_latents):
        labelled = stages.run(label.run, shard)
        assert labelled["latents"] == 32
    stages.run(join.run, concepts)

    release = Release(
        name="shop",
        recommender=recommender.artifact_ref(),
        autoencoder=spec.artifact_ref(),
        concepts=concepts.artifact_ref(),
        version="0123456789abcdef",
        published_at="2024-01-01T00:00:00+00:00",
    )
    served = load_served_model(stages.store, release, "cpu", InferenceSection())
    history = np.array([3, 4, 5])
    batch, p99 = UserBatch.of([history]), torch.from_numpy(served.steering.p99)
    with torch.inference_mode():
        own = served.model(batch)
        with served.site.intervene(served.model, lambda x: steer(x, served.sae, p99, [])):
            assert torch.equal(served.model(batch), own)
    subject = Subject(-1, history, history.tobytes())
    (plain,) = rank(served, [RankQuery(subject, 10, include_latents=True)])
    edits = (LatentEdit.of((plain.latents[0].latent,), Operation.ABLATE),)
    (edited,) = rank(served, [RankQuery(subject, 10, edits=edits)])
    assert edited.ranked.scores != plain.ranked.scores


WITHOUT_TORCH = """
import json, sys
sys.modules["torch"] = None
from reclens.contracts import AutoencoderSpec
spec = AutoencoderSpec.parse(json.loads(sys.argv[1]))
print(json.dumps([spec.artifact_ref(), spec.canonical()["config"]["l1_coefficient"]]))
"""


def test_without_torch_or_the_package_it_has_the_same_id(shop_saes: OutsidePackage) -> None:
    # An integer, where the package's own configuration would make a float of it.
    given = {"activations": REF, "config": {"kind": "l1-relu", "l1_coefficient": 1}}
    here = AutoencoderSpec.parse(given)
    assert isinstance(here.config, InstalledAutoencoderConfig)
    for paths in ([str(shop_saes.site)], []):
        code = f"import sys; sys.path[:0] = {paths!r}\n{WITHOUT_TORCH}"
        done = subprocess.run(
            [sys.executable, "-c", code, json.dumps(given)],
            capture_output=True,
            text=True,
            check=True,
        )
        assert json.loads(done.stdout) == [here.artifact_ref(), 1]
    assert AutoencoderSpec.parse(here.model_dump_json()) == here


@pytest.mark.usefixtures("shop_saes")
def test_its_own_fields_are_checked_where_it_is_installed() -> None:
    with pytest.raises(InvalidSpec) as caught:
        AutoencoderSpec.parse(
            {"activations": REF, "config": {"kind": "l1-relu", "l1_coefficient": -1}}
        )
    assert caught.value.field == "config.l1_coefficient"
    with pytest.raises(InvalidSpec) as caught:
        AutoencoderConfig.parse({"kind": "l1-relu", "l1_coefficeint": 1})
    assert caught.value.field == "l1_coefficeint"


@pytest.mark.usefixtures("shop_saes")
def test_its_own_class_of_configuration_stands_in_a_specification_as_what_was_given() -> None:
    from shop_saes.l1_relu import L1ReluConfig  # type: ignore[import-not-found]

    config = L1ReluConfig(l1_coefficient=0.5, n_latents=8, k=2)
    typed = AutoencoderSpec(activations=REF, config=config)
    given = {"kind": "l1-relu", "l1_coefficient": 0.5, "n_latents": 8, "k": 2}
    assert typed == AutoencoderSpec.parse({"activations": REF, "config": given})
    assert isinstance(build_autoencoder(config, 4).config, L1ReluConfig)


@pytest.mark.usefixtures("shop_saes")
def test_saelens_has_no_counterpart(tmp_path: Any) -> None:
    sae = build_autoencoder(AutoencoderConfig.parse({"kind": "l1-relu", "n_latents": 8, "k": 2}), 4)
    with pytest.raises(InvalidInput, match="l1-relu"):
        save_saelens(sae, tmp_path)


def test_what_is_not_installed_is_carried_but_not_built() -> None:
    config = AutoencoderConfig.parse({"kind": "somewhere-else", "depth": 3})
    assert config.canonical()["depth"] == 3
    with pytest.raises(NotFound, match="somewhere-else"):
        build_autoencoder(config, 4)
