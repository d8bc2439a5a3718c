"""Training: interrupted or not, the same bytes."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch

from reclens.contracts import ModelConfig, SasRecConfig
from reclens.data import Dataset, Split
from reclens.errors import InvalidInput, NotReady
from reclens.recommenders import RecommenderTrainer, evaluate
from reclens.recommenders.randomness import derived_seed, seeded


def run(trainer: RecommenderTrainer, n_steps: int | None = None) -> int:
    """Take ``n_steps`` steps, or all that are left; returns how many there were."""
    taken = 0
    steps = trainer.steps()
    while taken != n_steps and next(steps, None) is not None:
        taken += 1
    return taken


def as_bytes(trainer: RecommenderTrainer) -> tuple[dict[str, bytes], str]:
    tensors, meta = trainer.state()
    return {name: array.tobytes() for name, array in tensors.items()}, json.dumps(meta)


@pytest.fixture
def data(config: ModelConfig, cycle: Dataset, camps: Dataset) -> Dataset:
    return cycle if config.kind == "sasrec" else camps


# Within the first epoch, within a later one after a validation, and at the very end.
@pytest.mark.parametrize("cut", [1, 27, None])
def test_a_resumed_run_equals_an_uninterrupted_one(
    config: ModelConfig, data: Dataset, cut: int | None
) -> None:
    config = config.model_copy(update={"max_epochs": 6})
    whole = RecommenderTrainer(config, data, seed=3)
    total = run(whole)
    before = RecommenderTrainer(config, data, seed=3)
    taken = run(before, cut)
    tensors, meta = before.state()
    # On with another random state of the process, from JSON, while the first goes on, too.
    torch.manual_seed(12345)
    after = RecommenderTrainer(config, data, seed=3)
    after.restore(tensors, json.loads(json.dumps(meta)))
    assert as_bytes(after) == as_bytes(before)
    assert taken + run(after) == total
    assert as_bytes(after) == as_bytes(whole)
    assert after.finish()[1] == whole.finish()[1]


def test_cuts_fall_within_epochs(config: ModelConfig, data: Dataset) -> None:
    trainer = RecommenderTrainer(config, data, seed=3)
    run(trainer, 27)
    _, meta = trainer.state()
    assert meta["epoch"] >= config.validate_every
    assert meta["batch"] > 0


def test_state_is_a_copy(config: ModelConfig, data: Dataset) -> None:
    trainer = RecommenderTrainer(config, data, seed=3)
    run(trainer, 1)
    tensors, _ = trainer.state()
    kept = {name: array.copy() for name, array in tensors.items()}
    run(trainer, 1)
    assert all(np.array_equal(tensors[name], kept[name]) for name in kept)


def test_the_random_state_of_the_process_is_left_alone(config: ModelConfig, data: Dataset) -> None:
    before = torch.random.get_rng_state()
    run(RecommenderTrainer(config, data, seed=3), 12)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_the_best_weights_on_valid_are_returned(config: ModelConfig, data: Dataset) -> None:
    trainer = RecommenderTrainer(config, data, seed=0)
    run(trainer)
    model, metrics = trainer.finish()
    validated = {row["epoch"]: row["ndcg@10"] for row in metrics["history"] if "ndcg@10" in row}
    assert metrics["valid"]["ndcg@10"] == max(validated.values())
    assert validated[metrics["best_epoch"]] == max(validated.values())
    assert metrics["test"] == evaluate(model, data, Split.TEST)
    assert metrics["epochs"] == len(metrics["history"])
    assert not model.training


def test_stops_after_so_many_validations_without_gain(cycle: Dataset) -> None:
    # A step too small to change a ranking: the first validation is the best.
    config = SasRecConfig(
        d_model=8, max_length=5, learning_rate=1e-12, validate_every=2, patience=3, max_epochs=50
    )
    trainer = RecommenderTrainer(config, cycle, seed=0)
    run(trainer)
    _, metrics = trainer.finish()
    assert (metrics["epochs"], metrics["best_epoch"]) == (8, 2)


def test_the_last_epoch_is_validated_in_any_case(cycle: Dataset) -> None:
    config = SasRecConfig(d_model=8, max_length=5, validate_every=10, max_epochs=3)
    trainer = RecommenderTrainer(config, cycle, seed=0)
    assert run(trainer) == 3 * 3
    assert trainer.finish()[1]["best_epoch"] == 3


def test_progress_counts_steps_and_tells_the_loss(config: ModelConfig, data: Dataset) -> None:
    trainer = RecommenderTrainer(config, data, seed=0)
    progress = list(trainer.steps())
    assert [p.step for p in progress] == list(range(1, len(progress) + 1))
    assert progress[-1].metrics["loss"] < progress[0].metrics["loss"]
    assert "ndcg@10" not in progress[0].metrics
    assert {"hr@10", "ndcg@10"} <= progress[-1].metrics.keys()
    assert progress[0].total is not None
    assert progress[0].total >= len(progress)


def test_is_not_finished_before_its_end(config: ModelConfig, data: Dataset) -> None:
    trainer = RecommenderTrainer(config, data, seed=0)
    run(trainer, 5)
    with pytest.raises(NotReady):
        trainer.finish()


def test_refuses_a_state_of_another_run(config: ModelConfig, data: Dataset) -> None:
    tensors, meta = RecommenderTrainer(config, data, seed=0).state()
    with pytest.raises(InvalidInput, match="another configuration or seed"):
        RecommenderTrainer(config, data, seed=1).restore(tensors, meta)


def test_divergence_is_told_at_once(cycle: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = RecommenderTrainer(SasRecConfig(d_model=8, max_length=5), cycle, seed=0)
    with torch.no_grad():
        trainer.model.get_parameter("encoder.norm.weight").fill_(float("inf"))
    with pytest.raises(InvalidInput) as caught:
        run(trainer, 1)
    assert caught.value.field == "learning_rate"


def test_derived_seeds_differ_in_every_part_and_in_their_number() -> None:
    parts: list[tuple[Any, ...]] = [(5,), (5, 0), (5, 0, 0), (0, 5), (6,), (5, 1)]
    assert len({derived_seed(*p) for p in parts}) == len(parts)


def test_seeded_draws_depend_on_the_parts_alone() -> None:
    with seeded(1, 2):
        first = torch.rand(3)
    torch.rand(7)
    with seeded(1, 2):
        assert torch.equal(torch.rand(3), first)
