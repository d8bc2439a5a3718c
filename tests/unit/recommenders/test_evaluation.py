"""Rankings worked out by hand."""

from __future__ import annotations

from math import log2

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from reclens.contracts import BprMfConfig
from reclens.data import Split, evaluable_users
from reclens.errors import InvalidInput
from reclens.recommenders import UserBatch, evaluate, seen_mask
from reclens.recommenders.evaluation import ranks_of_relevant, user_metrics
from reclens.recommenders.models.bprmf import BprMf


class FixedScores(BprMf):
    """Gives everybody the same scores, and remembers what it was shown."""

    def __init__(self, scores: list[float], n_users: int = 8) -> None:
        super().__init__(BprMfConfig(d_model=2), n_users, len(scores))
        self.scores = torch.tensor(scores)
        self.shown: list[list[int]] = []

    def forward(self, batch: UserBatch) -> Tensor:
        self.shown += [[item for item in row if item >= 0] for row in batch.history.tolist()]
        return self.scores.expand(len(batch), -1).clone()


class TestRanks:
    def test_seen_items_are_no_candidates(self) -> None:
        scores = torch.tensor([[5.0, 4.0, 3.0, 2.0, 1.0]])
        nothing, some = seen_mask([np.array([], dtype=int)], 5), seen_mask([np.array([0, 2])], 5)
        assert next(ranks_of_relevant(scores, nothing, [np.array([3])])).tolist() == [4]
        assert next(ranks_of_relevant(scores, some, [np.array([3])])).tolist() == [2]

    def test_ties_go_to_the_lower_index(self) -> None:
        scores = torch.tensor([[1.0, 2.0, 1.0, 1.0, 2.0]])
        seen = seen_mask([np.array([], dtype=int)], 5)
        ranks = [next(ranks_of_relevant(scores, seen, [np.array([i])])).item() for i in range(5)]
        assert ranks == [3, 1, 4, 5, 2]

    def test_several_relevant_items_rank_among_one_another(self) -> None:
        scores = torch.tensor([[0.1, 0.9, 0.5, 0.7], [4.0, 3.0, 2.0, 1.0]])
        seen = seen_mask([np.array([1]), np.array([], dtype=int)], 4)
        ranks = list(ranks_of_relevant(scores, seen, [np.array([0, 3]), np.array([2])]))
        assert [row.tolist() for row in ranks] == [[1, 3], [3]]

    @pytest.mark.parametrize("bad", [float("nan"), float("inf")])
    def test_scores_that_are_not_finite_are_no_ranking(self, bad: float) -> None:
        seen = torch.zeros(1, 2, dtype=torch.bool)
        with pytest.raises(InvalidInput, match="not finite"):
            next(ranks_of_relevant(torch.tensor([[bad, 1.0]]), seen, [np.array([1])]))


class TestUserMetrics:
    def test_one_relevant_item(self) -> None:
        metrics = user_metrics(np.array([3]), ks=(2, 3, 10))
        assert metrics == {
            "hr@2": 0.0,
            "ndcg@2": 0.0,
            "hr@3": 1.0,
            "ndcg@3": 0.5,
            "hr@10": 1.0,
            "ndcg@10": 0.5,
        }

    def test_several_relevant_items_against_the_best_list(self) -> None:
        metrics = user_metrics(np.array([1, 4, 30]), ks=(2, 5))
        assert metrics["hr@2"] == metrics["hr@5"] == 1.0
        assert metrics["ndcg@2"] == pytest.approx(1 / (1 + 1 / log2(3)))
        assert metrics["ndcg@5"] == pytest.approx((1 + 1 / log2(5)) / (1 + 1 / log2(3) + 1 / 2))


class TestEvaluate:
    def test_valid_sees_train_and_test_sees_both(self, dataset_of) -> None:
        data = dataset_of([[0, 1, 2, 3], [5, 4, 1, 0]], None, 6)
        model = FixedScores([6.0, 5.0, 4.0, 3.0, 2.0, 1.0])
        # Valid: user 0 has 0, 1 seen, wants 2 of [2, 3, ...]: rank 1.
        # User 1 has 5, 4 seen, wants 1 of [0, 1, ...]: rank 2.
        valid = evaluate(model, data, Split.VALID, ks=(1, 2))
        assert model.shown == [[0, 1], [5, 4]]
        assert valid["hr@1"] == 0.5
        assert valid["ndcg@2"] == pytest.approx((1 + 1 / log2(3)) / 2)
        model.shown.clear()
        # Test: user 0 wants 3 of [3, 4, 5]; user 1 wants 0 of [0, 2, 3].
        test = evaluate(model, data, Split.TEST, ks=(1,), batch_size=1)
        assert model.shown == [[0, 1, 2], [5, 4, 1]]
        assert test == {"hr@1": 1.0, "ndcg@1": 1.0}

    def test_users_without_a_past_or_without_anything_new_do_not_count(self, dataset_of) -> None:
        train, test = Split.TRAIN, Split.TEST
        data = dataset_of(
            [[0, 1], [1], [2, 2], [0]], [[train, test], [test], [train, test], [train]], 3
        )
        model = FixedScores([3.0, 1.0, 2.0])
        assert evaluate(model, data, test, ks=(1, 2)) == {
            "hr@1": 0.0,
            "ndcg@1": 0.0,
            "hr@2": 1.0,
            "ndcg@2": pytest.approx(1 / log2(3)),
        }
        assert model.shown == [[0]]

    def test_nobody_to_count_is_an_error(self, dataset_of) -> None:
        data = dataset_of([[0, 1]], [[Split.TRAIN, Split.TRAIN]], 3)
        with pytest.raises(InvalidInput, match="no user"):
            evaluate(FixedScores([1.0, 2.0, 3.0]), data, Split.TEST)

    def test_train_cannot_be_evaluated_on(self, dataset_of) -> None:
        data = dataset_of([[0, 1, 2]], None, 3)
        with pytest.raises(InvalidInput):
            evaluate(FixedScores([1.0, 2.0, 3.0]), data, Split.TRAIN)

    @given(
        st.lists(
            st.lists(st.tuples(st.integers(0, 3), st.sampled_from(list(Split))), max_size=6),
            min_size=1,
            max_size=6,
        )
    )
    def test_those_who_are_told_to_be_evaluable_are_evaluated(
        self, dataset_of, rows: list[list[tuple[int, Split]]]
    ) -> None:
        rows = [sorted(mine, key=lambda row: row[1]) for mine in [*rows, [(0, Split.TRAIN)]]]
        data = dataset_of(
            [[item for item, _ in mine] for mine in rows],
            [[split for _, split in mine] for mine in rows],
            4,
        )
        for split in (Split.VALID, Split.TEST):
            model, told = FixedScores([4.0, 3.0, 2.0, 1.0]), evaluable_users(data, split)
            if len(told):
                evaluate(model, data, split)
                before = tuple(part for part in Split if part < split)
                assert model.shown == [data.history(user, before).tolist() for user in told]
            else:
                with pytest.raises(InvalidInput, match="no user"):
                    evaluate(model, data, split)

    @pytest.mark.parametrize("training", [True, False])
    def test_the_mode_of_the_model_is_put_back(self, dataset_of, training: bool) -> None:
        model = FixedScores([1.0, 2.0, 3.0]).train(training)
        evaluate(model, dataset_of([[0, 1, 2]], None, 3), Split.TEST)
        assert model.training is training
