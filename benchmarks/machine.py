"""What a benchmark ran on."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any


def machine(threads: int, device: str = "cpu") -> dict[str, Any]:
    """What a benchmark ran on, for its results.

    Args:
        threads: of PyTorch and of compiled loops.
        device: where the models ran.
    """
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        models = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        cpu = models[0].split(":", 1)[1].strip() if models else cpu
    gpu = {}
    if device != "cpu":
        import torch

        gpu = {"gpu": torch.cuda.get_device_name(device), "cuda": torch.version.cuda}
    return {
        **gpu,
        "cpu": cpu,
        "cores": os.cpu_count(),
        "threads": threads,
        "python": platform.python_version(),
        "torch": metadata.version("torch"),
    }
