"""A recommender on disk: ``config.json`` and ``weights.safetensors``, or weights from elsewhere.

One of another package is stored with the package's version and a hash of its source, and with what
it answers for some cases: weights in other code are another model.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter
from safetensors import SafetensorError
from safetensors.torch import load

from reclens.contracts import ModelConfig, ModuleConfig, WeightsFile
from reclens.data import Dataset
from reclens.errors import CorruptArtifact, InvalidInput, MissingData, RecLensError
from reclens.extensions import PackageSource
from reclens.recommenders.base import Recommender
from reclens.recommenders.registry import RECOMMENDERS, build_recommender
from reclens.recommenders.samples import other_model, verify_samples, write_samples
from reclens.weights import CONFIG, WEIGHTS, read_description, read_tensors, write_model

_WRITER = "`save_recommender`"
# PyTorch lists the names of all tensors that the file should not have.
_LONGEST_QUOTE = 400
_CONFIG: TypeAdapter[Any] = TypeAdapter(ModelConfig)


def save_recommender(model: Recommender, folder: Path) -> list[str]:
    """Write the model into ``folder`` (made if need be) and return the files' names."""
    described = {
        "config": model.config.canonical(),
        "n_users": model.n_users,
        "n_items": model.n_items,
    }
    if not isinstance(model.config, ModuleConfig):
        return write_model(folder, described, model.state_dict())
    described["source"] = RECOMMENDERS.source(model.config.name)._asdict()
    names = write_model(folder, described, model.state_dict())
    return [*names, write_samples(model, folder)]


def load_recommender(folder: Path, device: torch.device | str = "cpu") -> Recommender:
    """Read what ``save_recommender`` wrote; the model is on ``device``, in eval mode.

    Raises:
        MissingData: a file is not there.
        CorruptArtifact: a file cannot be read, or the weights do not fit the configuration.
        NotFound: no package is installed here that offers the model.
        InvalidInput: a package offers it in another version, or it cannot be used.
        VersionMismatch: what is installed does not answer as the model did when it was stored.
    """
    text = read_description(folder / CONFIG, _WRITER)
    tensors = read_tensors(folder / WEIGHTS, _WRITER)
    source = config = None
    try:
        described = json.loads(text)
        config = _CONFIG.validate_python(described["config"])
        # Those of before have none.
        source = PackageSource(**described["source"]) if "source" in described else None
        model = build_recommender(config, described["n_users"], described["n_items"], seed=0)
        model.load_state_dict(tensors)
    except RecLensError:
        raise  # Not installed here is another fault than damaged.
    except (ValueError, KeyError, TypeError, RuntimeError) as error:
        if source is not None and config is not None:
            now = RECOMMENDERS.source(config.name)
            if source != now:
                raise other_model(f"cannot be built ({error})", difference(source, now)) from error
        raise CorruptArtifact(
            f"the recommender in {folder} cannot be read: {error}",
            remedy="fetch the artifact again, or train it again.",
        ) from error
    model = model.to(device).eval()
    if source is not None:
        now = RECOMMENDERS.source(model.config.name)
        verify_samples(model, folder, _WRITER, difference(source, now))
    return model


def difference(then: PackageSource, now: PackageSource) -> str:
    """How a package differs from what it was, in words."""
    if then == now:
        return f"{now.package} {now.version} is as it was, so something that it uses has changed"
    changed = f"{then.package} {then.version} was installed, now {now.package} {now.version} is"
    return f"{changed}, with other source (SHA-256 {now.sha256[:12]}, then {then.sha256[:12]})"


def bring_recommender(
    config: ModuleConfig, weights: WeightsFile, dataset: Dataset, file: Path | None = None
) -> Recommender:
    """Build the model of ``config`` and give it ``weights``; it is in eval mode.

    The weights must be of the users and items of ``dataset``, in its order of indices: natural
    order of ids (``2`` before ``10``).

    Args:
        config: of the model.
        weights: file and checksum, as the specification names them.
        dataset: that the model is of.
        file: what to read. None: what ``weights`` names.

    Raises:
        NotFound: no installed package offers the model.
        MissingData: there is no such file.
        InvalidInput: the file is another than the specification pins, is not safetensors, or does
            not fit the model.
    """
    path = Path(weights.path)
    try:
        data = (file or path).read_bytes()
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
    except SafetensorError:
        raise InvalidInput(
            f"{path} is not a safetensors file.",
            field="model.weights.path",
            remedy="write it with safetensors.torch.save_file(model.state_dict(), path); pickled "
            "checkpoints are not read.",
        ) from None
    try:
        model.load_weights(tensors)
    except (RuntimeError, KeyError) as error:
        raise InvalidInput(
            f"the weights in {path} do not fit {config.name!r}: {str(error)[:_LONGEST_QUOTE]}",
            field="model.weights.path",
            remedy=f"the data set has {dataset.n_users} users and {dataset.n_items} items; correct "
            "`options`, or the model's `load_weights`.",
        ) from None
    return model.eval()
