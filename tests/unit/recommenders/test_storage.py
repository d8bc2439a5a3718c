"""A recommender to disk and back."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from reclens.contracts import ModelConfig
from reclens.errors import CorruptArtifact, MissingData
from reclens.recommenders import UserBatch, build_recommender, load_recommender, save_recommender


def test_comes_back_as_it_was(config: ModelConfig, tmp_path: Path) -> None:
    model = build_recommender(config, 4, 10, seed=5).eval()
    assert save_recommender(model, tmp_path / "a") == ["config.json", "weights.safetensors"]
    again = load_recommender(tmp_path / "a")
    batch = UserBatch.of([np.array([3, 1]), np.array([2])], [1, -1])
    assert torch.equal(again(batch), model(batch))
    assert type(again) is type(model)
    assert again.config == config
    assert (again.n_users, again.n_items) == (4, 10)
    assert not again.training


def test_the_same_model_gives_the_same_bytes(config: ModelConfig, tmp_path: Path) -> None:
    for name in ("a", "b"):
        save_recommender(build_recommender(config, 4, 10, seed=5), tmp_path / name)
    for name in ("config.json", "weights.safetensors"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.parametrize("name", ["config.json", "weights.safetensors"])
def test_a_missing_file_is_named(config: ModelConfig, tmp_path: Path, name: str) -> None:
    save_recommender(build_recommender(config, 4, 10, seed=5), tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(MissingData) as caught:
        load_recommender(tmp_path)
    assert caught.value.field == name


def test_damage_is_told(config: ModelConfig, tmp_path: Path) -> None:
    save_recommender(build_recommender(config, 4, 10, seed=5), tmp_path)
    described = json.loads((tmp_path / "config.json").read_text())
    weights = (tmp_path / "weights.safetensors").read_bytes()
    damaged = [
        ("config.json", b"{"),
        ("config.json", b"\xff"),
        ("config.json", json.dumps({**described, "more": "x" * (1 << 20)}).encode()),
        ("weights.safetensors", b""),
        ("config.json", json.dumps({**described, "n_items": 11}).encode()),
        ("config.json", json.dumps({**described, "config": {"kind": "other"}}).encode()),
        ("weights.safetensors", weights[:-5]),
    ]
    for name, data in damaged:
        before = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(data)
        with pytest.raises(CorruptArtifact):
            load_recommender(tmp_path)
        (tmp_path / name).write_bytes(before)
    load_recommender(tmp_path)
