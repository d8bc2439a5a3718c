"""Serving off the CPU: on a pretended device, which refuses tensors of another."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from pretend_device import DEVICE, pretend_device

from reclens.contracts import AutoencoderConfig, BprMfConfig, ModelConfig, SasRecConfig
from reclens.errors import NotReady
from reclens.recommenders import build_recommender
from reclens.sae import build_autoencoder
from reclens.steering.edits import LatentEdit, Mode, Operation, Unit
from reclens_recommender.serving.ranking import RankQuestion, rank
from reclens_recommender.serving.served_model import ServedModel
from reclens_recommender.serving.server import running_inference
from reclens_recommender.serving.settings import InferenceSettings
from reclens_recommender.serving.wire import response_of

N_ITEMS, N_LATENTS = 30, 16
MODELS = [
    SasRecConfig(d_model=8, n_layers=1, max_length=6, dropout=0.0),
    BprMfConfig(d_model=8),
]


class _Ids:
    ids = tuple(f"i{item}" for item in range(N_ITEMS))

    def index_of(self, item_id: str) -> int:
        return self.ids.index(item_id)


def served_on(device: torch.device | str, config: ModelConfig) -> ServedModel:
    """A served model with random weights, the same on every device."""
    model = build_recommender(config, 5, N_ITEMS, seed=1).to(device).eval()
    sae = build_autoencoder(AutoencoderConfig(n_latents=N_LATENTS, k=4), 8)
    sae = sae.to(device).eval().requires_grad_(False)
    dataset: Any = SimpleNamespace(items=_Ids(), n_items=N_ITEMS, n_users=5)
    release: Any = None
    return ServedModel(
        release=release,
        model=model,
        site=model.site,
        sae=sae,
        p99=torch.linspace(0, 2, N_LATENTS).to(device),
        dataset=dataset,
        item_weights=model.item_weights().detach(),
        item_biases=model.item_biases().detach(),
    )


@pytest.mark.parametrize("mode", [Mode.RESIDUAL, Mode.RECONSTRUCT])
@pytest.mark.parametrize("config", MODELS, ids=["sasrec", "bprmf"])
def test_an_answer_from_there_is_the_answer_of_the_cpu(
    monkeypatch: pytest.MonkeyPatch, config: ModelConfig, mode: Mode
) -> None:
    # Inference mode forgets the versions by which a subclass of tensors tracks its views.
    monkeypatch.setattr(torch, "inference_mode", torch.no_grad)
    edits = (
        LatentEdit((3, 5), Operation.ADD, 0.5, Unit.INPUT_NORM, (1.0, 1.0)),
        LatentEdit((7,), Operation.SET, 1.0, Unit.P99, (1.0,)),
        LatentEdit((0,), Operation.SCALE, 2.0, Unit.P99, (1.0,)),
    )
    question = RankQuestion(
        user_id=None,
        history=("i3", "i7", "i4"),
        top_k=5,
        exclude_seen=True,
        edits=edits,
        mode=mode,
        include_baseline=True,
        include_latents=True,
    )
    here_served = served_on("cpu", config)
    here = response_of(here_served, rank(here_served, question))
    with pretend_device():
        served = served_on(DEVICE, config)
        there = response_of(served, rank(served, question))
    assert [item.item_id for item in there.items] == [item.item_id for item in here.items]
    assert [item.item_id for item in there.baseline] == [item.item_id for item in here.baseline]
    assert [one.latent for one in there.latents] == [one.latent for one in here.latents]
    for one, other in zip(there.latents, here.latents, strict=True):
        np.testing.assert_allclose(one.contributions, other.contributions, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(there.unexplained, here.unexplained, rtol=1e-4, atol=1e-5)


async def test_a_server_does_not_start_without_its_gpu() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(NotReady, match="sees no GPU"):
        async with running_inference(InferenceSettings(device="cuda")):
            pass
