"""What any recommender must do.

Inherit `RecommenderSuite` and override the fixture ``config``.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from reclens.contracts import ModelConfig
from reclens.errors import InvalidInput
from reclens.recommenders import (
    UserBatch,
    build_recommender,
    check_recommender,
    load_recommender,
    save_recommender,
)

HISTORIES = [np.array([3, 1, 4]), np.array([1]), np.array([5, 9, 2, 6, 8, 7])]
USERS = [0, 3, -1]


class RecommenderSuite:
    """Override ``config``. Models are built for four users and ten items."""

    @pytest.fixture
    def config(self) -> ModelConfig:
        """A small configuration of the model."""
        raise NotImplementedError

    def test_it_keeps_what_a_recommender_promises(self, config: ModelConfig) -> None:
        check_recommender(build_recommender(config, 4, 10, seed=0), tolerance=1e-5)

    def test_users_are_told_apart(self, config: ModelConfig) -> None:
        model = build_recommender(config, 4, 10, seed=0).eval()
        with torch.no_grad():
            x = model.represent(UserBatch.of(HISTORIES, USERS, model.max_length))
        assert x.shape == (3, model.d_model)
        assert not torch.allclose(x[0], x[1], atol=1e-2)

    def test_the_seed_alone_decides_the_initial_weights(self, config: ModelConfig) -> None:
        before = torch.random.get_rng_state()
        first = build_recommender(config, 4, 10, seed=1)
        torch.manual_seed(99)
        again = build_recommender(config, 4, 10, seed=1)
        other = build_recommender(config, 4, 10, seed=2)
        assert all(
            torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True)
        )
        assert not torch.equal(first.item_weights(), other.item_weights())
        torch.random.set_rng_state(before)
        build_recommender(config, 4, 10, seed=1)
        assert torch.equal(torch.random.get_rng_state(), before)

    @pytest.mark.parametrize(
        ("history", "user", "field"), [([10], 0, "history"), ([0], 4, "user_index")]
    )
    def test_indices_that_do_not_exist_are_refused(
        self, config: ModelConfig, history: list[int], user: int, field: str
    ) -> None:
        model = build_recommender(config, 4, 10, seed=0)
        with pytest.raises(InvalidInput) as caught:
            model(UserBatch.of([np.array(history)], [user]))
        assert caught.value.field == field

    def test_nobody_in_particular_is_refused(self, config: ModelConfig) -> None:
        model = build_recommender(config, 4, 10, seed=0)
        empty = np.array([], dtype=np.int64)
        for histories in ([empty], [np.array([1]), empty]):
            with pytest.raises(InvalidInput) as caught:
                model(UserBatch.of(histories))
            assert caught.value.field == "history"

    def test_no_edit_changes_no_bit(self, config: ModelConfig) -> None:
        model = build_recommender(config, 4, 10, seed=0).eval()
        batch = UserBatch.of(HISTORIES, USERS)
        with torch.no_grad():
            untouched = model(batch)
            with model.site.intervene(model, lambda x: x):
                assert torch.equal(model(batch), untouched)

    def test_it_is_stored_and_answers_as_before(self, config: ModelConfig, tmp_path: Path) -> None:
        model = build_recommender(config, 4, 10, seed=0).eval()
        save_recommender(model, tmp_path)
        loaded = load_recommender(tmp_path)
        batch = UserBatch.of(HISTORIES, USERS)
        assert loaded.config == config
        with torch.no_grad():
            assert torch.equal(loaded(batch), model(batch))
