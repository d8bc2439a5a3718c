"""A model whose weights were trained elsewhere, from a safetensors file."""

from __future__ import annotations

import hashlib
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load

from reclens.contracts import ModuleConfig, WeightsFile
from reclens.data import Dataset
from reclens.errors import InvalidInput, MissingData
from reclens.recommenders.base import Recommender
from reclens.recommenders.registry import build_recommender


def bring_recommender(config: ModuleConfig, weights: WeightsFile, dataset: Dataset) -> Recommender:
    """Build the model of ``config`` and give it ``weights``; it is in eval mode.

    The weights must be of the users and items of ``dataset``, in its order of indices: natural
    order of ids (``2`` before ``10``).

    Raises:
        NotFound: no installed package offers the model.
        MissingData: there is no such file.
        InvalidInput: the file is another than the specification pins, is not safetensors, or does
            not fit the model.
    """
    path = Path(weights.path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise MissingData(
            f"cannot read {path} ({error.strerror}).",
            field="model.weights.path",
            remedy="put the file where every worker can read it.",
        ) from error
    found = hashlib.sha256(data).hexdigest()
    if found != weights.sha256:
        raise InvalidInput(
            f"{path} has the SHA-256 {found}, not {weights.sha256}.",
            field="model.weights.sha256",
            remedy="bring the file that the specification pins, or pin this one.",
        )
    model = build_recommender(config, dataset.n_users, dataset.n_items, seed=0)
    model.observe(dataset)
    try:
        tensors = load(data)
    except SafetensorError as error:
        raise InvalidInput(
            f"{path} is not a safetensors file ({error}).",
            field="model.weights.path",
            remedy="write it with safetensors.torch.save_file(model.state_dict(), path); pickled "
            "checkpoints are not read.",
        ) from error
    try:
        model.load_weights(tensors)
    except (RuntimeError, KeyError) as error:
        raise InvalidInput(
            f"the weights in {path} do not fit {config.name!r}: {error}",
            field="model.weights.path",
            remedy=f"the data set has {dataset.n_users} users and {dataset.n_items} items; correct "
            "`options`, or the model's `load_weights`.",
        ) from error
    return model.eval()
