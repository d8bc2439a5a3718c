"""The device setting: what it may say, and what it means."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from pydantic import ValidationError

from reclens.device import device_label, resolve_device
from reclens.errors import InvalidInput, NotReady
from reclens.platform.settings.models import WorkerSettings
from reclens_recommender.serving.settings import InferenceSettings


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> int:
    """A machine on which torch sees so many GPUs."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: request.param > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: request.param)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"GPU {device.index}")
    return request.param


@pytest.mark.parametrize(
    ("gpus", "name", "device", "label"),
    [
        (0, "auto", "cpu", "cpu"),
        (0, "cpu", "cpu", "cpu"),
        (2, "auto", "cuda:0", "cuda:0 (GPU 0)"),
        (2, "cpu", "cpu", "cpu"),
        (2, "cuda", "cuda:0", "cuda:0 (GPU 0)"),
        (2, "cuda:1", "cuda:1", "cuda:1 (GPU 1)"),
    ],
    indirect=["gpus"],
)
def test_the_setting_means_this_device(gpus: int, name: str, device: str, label: str) -> None:
    assert resolve_device(name) == torch.device(device)
    assert device_label(resolve_device(name)) == label


@pytest.mark.parametrize(
    ("gpus", "name", "message", "remedy"),
    [
        (0, "cuda", "sees no GPU", "CUDA build"),
        (0, "cuda:1", "sees no GPU", "CUDA build"),
        (2, "cuda:2", "cuda:0 to cuda:1", "name one of them"),
    ],
    indirect=["gpus"],
)
def test_a_gpu_that_is_not_there_is_an_error_and_never_the_cpu(
    gpus: int, name: str, message: str, remedy: str
) -> None:
    with pytest.raises(NotReady, match=message) as caught:
        resolve_device(name)
    assert caught.value.field == "RECLENS_DEVICE"
    assert remedy in caught.value.remedy


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:x", "CPU", "cuda:-1"])
@pytest.mark.parametrize("settings", [WorkerSettings, InferenceSettings])
def test_anything_else_is_refused(
    monkeypatch: pytest.MonkeyPatch, settings: type[WorkerSettings], name: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        resolve_device(name)
    assert caught.value.field == "RECLENS_DEVICE"
    monkeypatch.setenv("RECLENS_DEVICE", name)
    with pytest.raises(ValidationError, match="device"):
        settings()


@pytest.mark.parametrize("settings", [WorkerSettings, InferenceSettings])
def test_workers_and_servers_read_the_same_variable(
    monkeypatch: pytest.MonkeyPatch, settings: type[WorkerSettings]
) -> None:
    monkeypatch.delenv("RECLENS_DEVICE", raising=False)
    assert settings().device == "auto"
    monkeypatch.setenv("RECLENS_DEVICE", "cuda:1")
    assert settings().device == "cuda:1"


def test_a_worker_has_not_touched_torch_before_it_forks() -> None:
    code = (
        "import sys; from reclens.platform.settings.models import WorkerSettings; WorkerSettings();"
        "import reclens_trainer.main, reclens_recommender.main, reclens.platform.celery.worker;"
        "from reclens.contracts import job_kinds; job_kinds(); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
