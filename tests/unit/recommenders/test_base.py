"""The batch of users, and what every registered recommender must do."""

from __future__ import annotations

import numpy as np
import pytest

from reclens.contracts import ModelConfig
from reclens.errors import InvalidInput
from reclens.recommenders import UserBatch
from reclens.recommenders.registry import REGISTRY
from reclens.testing.recommenders import HISTORIES, RecommenderSuite


class TestUserBatch:
    def test_fills_on_the_left(self) -> None:
        batch = UserBatch.of([np.array([3, 1]), np.array([], dtype=np.int64), np.array([4])])
        assert batch.history.tolist() == [[3, 1], [-1, -1], [-1, 4]]
        assert batch.user_index.tolist() == [-1, -1, -1]

    def test_keeps_the_most_recent(self) -> None:
        batch = UserBatch.of(HISTORIES, [7, 8, 9], max_length=2)
        assert batch.history.tolist() == [[1, 4], [-1, 1], [8, 7]]
        assert batch.user_index.tolist() == [7, 8, 9]
        assert len(batch) == 3

    def test_needs_a_user_for_every_history(self) -> None:
        with pytest.raises(InvalidInput) as caught:
            UserBatch.of(HISTORIES, [1])
        assert caught.value.field == "user_index"


class TestEveryRecommender(RecommenderSuite):
    """The fixture ``config`` is one of every kind that comes with RecLens."""

    @pytest.fixture
    def config(self, config: ModelConfig) -> ModelConfig:
        return config

    def test_all_kinds_are_tested(self, config: ModelConfig) -> None:
        assert config.kind in REGISTRY
        assert len(REGISTRY) == 3
