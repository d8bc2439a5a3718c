"""Serving off the CPU: on a pretended device, which refuses tensors of another."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pretend_device import DEVICE, pretend_device
from served_models import served_model

from reclens.errors import NotReady
from reclens.recommenders.base import UNKNOWN_USER
from reclens.steering.edits import LatentEdit, Mode, Operation, Unit
from reclens_recommender.serving.queries import RankQuery, rank
from reclens_recommender.serving.representations import Subject
from reclens_recommender.serving.server import running_inference
from reclens_recommender.serving.settings import InferenceSettings


@pytest.mark.parametrize("mode", [Mode.RESIDUAL, Mode.RECONSTRUCT])
@pytest.mark.parametrize("kind", ["sasrec", "bprmf"])
def test_an_answer_from_there_is_the_answer_of_the_cpu(
    monkeypatch: pytest.MonkeyPatch, kind: str, mode: Mode
) -> None:
    # Inference mode forgets the versions by which a subclass of tensors tracks its views.
    monkeypatch.setattr(torch, "inference_mode", torch.no_grad)
    edits = (
        LatentEdit.of((3, 5), Operation.ADD, 0.5, Unit.INPUT_NORM),
        LatentEdit.of((7,), Operation.SET, 1.0),
        LatentEdit.of((0,), Operation.SCALE, 2.0),
    )
    query = RankQuery(
        subject=Subject(UNKNOWN_USER, np.array([3, 7, 4]), b"3 7 4"),
        top_k=5,
        edits=edits,
        mode=mode,
        include_baseline=True,
        include_latents=True,
    )
    here = rank(served_model(kind), [query])[0]
    with pretend_device():
        there = rank(served_model(kind, device=DEVICE), [query])[0]
    assert there.ranked.items == here.ranked.items
    assert there.baseline.items == here.baseline.items
    assert there.ranked.baseline_ranks == here.ranked.baseline_ranks
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
