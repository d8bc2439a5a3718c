"""What a recommender answered for some cases when it was stored, and whether it still does.

Weights in other code are another model. The code of an installed package may change under the same
version, so a model is known by what it answers.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from reclens.errors import VersionMismatch
from reclens.recommenders.base import UNKNOWN_USER, Recommender, UserBatch
from reclens.weights import corrupt, read_tensors

SAMPLES: Final = "samples.safetensors"

_LENGTHS = (1, 1, 2, 3, 4, 6, 9, 13, 20, 50)
_BEYOND = 3
"""Items by which one history is longer than the model sees."""
_MAX_ITEMS = 1000
"""Items whose scores are stored, at most; evenly spread."""
_TOLERANCE = 1e-3


def write_samples(model: Recommender, folder: Path) -> str:
    """Write sample cases and what the model makes of them; returns the file's name."""
    rng = np.random.default_rng(0)
    lengths = [*_LENGTHS, (model.max_length or _LENGTHS[-1]) + _BEYOND]
    histories = [rng.integers(model.n_items, size=length) for length in lengths]
    users = [UNKNOWN_USER if row % 2 else row % model.n_users for row in range(len(lengths))]
    items = torch.from_numpy(
        np.unique(np.linspace(0, model.n_items - 1, _MAX_ITEMS).astype(np.int64))
    )
    batch = UserBatch.of(histories, users)
    x, scores = _answer(model, batch, items)
    tensors = {"history": batch.history, "user_index": batch.user_index, "items": items}
    save_file({**tensors, "x": x, "scores": scores}, folder / SAMPLES)
    return SAMPLES


def verify_samples(model: Recommender, folder: Path, writer: str, differs: str) -> None:
    """See that the model makes of the sample cases in ``folder`` what it made of them then.

    Args:
        model: as it was loaded.
        folder: of the artifact.
        writer: what should have written the file, for errors.
        differs: how the package that is installed differs from the one it was stored with.

    Raises:
        MissingData: the file is not there.
        CorruptArtifact: it cannot be read.
        VersionMismatch: the model answers otherwise.
    """
    kept = read_tensors(folder / SAMPLES, writer)
    if lacking := {"user_index", "history", "items", "x", "scores"} - kept.keys():
        raise corrupt(folder / SAMPLES, f"lacks {', '.join(sorted(lacking))}")
    batch = UserBatch(kept["user_index"], kept["history"])
    try:
        x, scores = _answer(model, batch, kept["items"])
    except Exception as error:  # of code that may have become any other
        raise other_model(f"fails on sample cases ({error!r})", differs) from error
    # In half precision, rounding is what it was when they were written.
    coarsest = max(torch.finfo(kept[name].dtype).eps for name in ("x", "scores"))
    for what, now, then in (
        ("x", x, kept["x"].float()),
        ("scores", scores, kept["scores"].float()),
    ):
        if not is_close(now.float(), then, max(_TOLERANCE, 8 * coarsest)):
            error = f" by up to {float((now - then).abs().max()):.3g}" * (now.shape == then.shape)
            raise other_model(f"gives other {what} for sample cases{error}", differs)


def other_model(what: str, differs: str) -> VersionMismatch:
    """The error for a model that is not what was stored."""
    return VersionMismatch(
        f"the recommender is not the one that was stored: it {what}; {differs}.",
        field="recommender",
        remedy="install the package that it was made with, or make it anew: "
        "`reclens submit FILE --force`, for a pipeline with `--stage recommender`.",
    )


def is_close(a: Tensor, b: Tensor, tolerance: float) -> bool:
    """Whether numbers are equal but for rounding; relative to the largest of them."""
    atol = tolerance / 10 * float(b.abs().max().clamp(min=1))
    return a.shape == b.shape and torch.allclose(a, b, rtol=tolerance, atol=atol)


@torch.no_grad()
def _answer(model: Recommender, batch: UserBatch, items: Tensor) -> tuple[Tensor, Tensor]:
    """What passes the site, and scores of ``items``, on the CPU."""
    was_training = model.training
    model.eval()
    try:
        with model.site.capture(model) as captured:
            scores = model(batch.to(model.device))
    finally:
        model.train(was_training)
    of_items = scores[:, items.to(scores.device)]
    return captured.tensor.cpu().contiguous(), of_items.cpu().contiguous()
