"""Where torch computes: the setting's text to a device, resolved where it is used.

Asking torch for a GPU initialises CUDA, which does not survive a fork. So whoever forks, as a
Celery worker does, passes the text on and resolves it in the process that computes.
"""

from __future__ import annotations

import re

import torch

from reclens.errors import InvalidInput, NotReady

SETTING = "RECLENS_DEVICE"
"""The environment variable that the text comes from."""
_FORM = re.compile(r"auto|cpu|cuda(?::(\d+))?")


def resolve_device(name: str) -> torch.device:
    """The device that ``name`` asks for.

    Args:
        name: ``cpu``; ``cuda``, the first GPU; ``cuda:N``, the GPU of that number; ``auto``, the
            first GPU where there is one, else the CPU.

    Raises:
        InvalidInput: ``name`` is none of these.
        NotReady: a GPU is asked for that torch does not see. It is never replaced by the CPU.
    """
    form = _FORM.fullmatch(name)
    if form is None:
        raise InvalidInput(
            f"{name!r} is no device.", field=SETTING, remedy="use auto, cpu, cuda or cuda:N."
        )
    if name == "cpu" or (name == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    number = int(form[1] or 0)
    if not torch.cuda.is_available():
        raise NotReady(
            f"{name} is asked for, but torch {torch.__version__} sees no GPU.",
            field=SETTING,
            remedy="set it to cpu or auto, or install the CUDA build of torch and NVIDIA's driver.",
        )
    if number >= torch.cuda.device_count():
        raise NotReady(
            f"{name} is asked for, but the GPUs here are cuda:0 to "
            f"cuda:{torch.cuda.device_count() - 1}.",
            field=SETTING,
            remedy="name one of them, or set it to auto.",
        )
    return torch.device("cuda", number)


def device_label(device: torch.device) -> str:
    """The device in words, for manifests: ``cpu``, or ``cuda:0 (NVIDIA H100)``."""
    if device.type != "cuda":
        return str(device)
    return f"{device} ({torch.cuda.get_device_name(device)})"
