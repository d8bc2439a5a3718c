"""Random draws as a pure function of seeds: nothing to save, nothing to restore."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def derived_seed(*parts: int) -> int:
    """One 63-bit seed from several non-negative numbers, e.g. root seed, epoch and step."""
    # SeedSequence fills up with zeros, so without the count (5,) and (5, 0) would be the same.
    words = np.random.SeedSequence((len(parts), *parts)).generate_state(1, dtype=np.uint64)
    return int(words[0] >> np.uint64(1))


@contextmanager
def seeded(*parts: int, device: torch.device | None = None) -> Iterator[None]:
    """Run the block with torch's global generator seeded by ``parts``; put it back afterwards.

    ``device``: where else the block draws, so that the generator there is put back as well.

    Module initialisers and dropout draw from the global generator only. Seeding it anew for every
    step makes each draw depend on the step alone, so a resumed run needs no generator states.
    """
    # Without a list, all GPUs of the machine would be asked for their generators.
    gpus = [device] if device is not None and device.type == "cuda" else []
    with torch.random.fork_rng(devices=gpus):
        torch.manual_seed(derived_seed(*parts))
        yield
