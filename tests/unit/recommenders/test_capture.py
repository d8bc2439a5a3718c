"""Captured cases against the model asked one by one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from reclens.contracts import BprMfConfig, LightGcnConfig, ModelConfig, SasRecConfig
from reclens.data import Dataset
from reclens.errors import InvalidInput
from reclens.probing import ProbeSite
from reclens.recommenders import (
    ORIGINS,
    CaseBatch,
    UserBatch,
    build_recommender,
    capture,
    capture_cases,
    case_kind,
    count_cases,
)


@pytest.fixture
def data(dataset_of) -> Dataset:
    """Three users with 7, 3 and 4 items."""
    return dataset_of([[0, 1, 2, 3, 4, 5, 6], [7, 1, 0], [2, 2, 3, 8]], None, 9)


@pytest.fixture
def captured(config: ModelConfig, data: Dataset) -> list[CaseBatch]:
    model = build_recommender(config, 3, 9, seed=0)
    kind = case_kind(model, "auto")
    return list(capture_cases(model, data, kind=kind, folds=3, top_k=4, batch_size=3))


def test_every_prefix_is_a_case_cut_to_what_the_model_sees(
    sasrec_config: SasRecConfig, data: Dataset
) -> None:
    model = build_recommender(sasrec_config, 3, 9, seed=0)
    (cases,) = capture_cases(model, data, kind="prefixes")
    assert cases.user_index.tolist() == [0] * 7 + [1] * 3 + [2] * 4
    assert [context.tolist() for context in cases.contexts[4:10]] == [
        [0, 1, 2, 3, 4],
        [1, 2, 3, 4, 5],
        [2, 3, 4, 5, 6],
        [7],
        [7, 1],
        [7, 1, 0],
    ]


def test_every_user_is_a_case_with_the_whole_history(
    bprmf_config: BprMfConfig, data: Dataset
) -> None:
    model = build_recommender(bprmf_config, 3, 9, seed=0)
    (cases,) = capture_cases(model, data, kind="users")
    assert cases.user_index.tolist() == [0, 1, 2]
    assert [context.tolist() for context in cases.contexts] == [
        data.history(user).tolist() for user in range(3)
    ]


def test_cases_are_what_the_model_answers_alone(
    config: ModelConfig, captured: list[CaseBatch]
) -> None:
    model = build_recommender(config, 3, 9, seed=0).eval()
    (cases,) = captured
    for row in range(len(cases)):
        context = cases.contexts[row]
        with torch.no_grad(), model.site.capture(model) as site:
            user = int(cases.user_index[row])
            asked = -1 if ORIGINS[cases.origin[row]] == "folded" else user
            scores = model(UserBatch.of([context], [asked]))[0].numpy()
        assert np.allclose(cases.representation[row], site.tensor[0].numpy(), atol=1e-6)
        candidates = np.setdiff1d(np.arange(9), context)
        best = candidates[np.argsort(-scores[candidates])][:4]
        found = cases.top_items[row][cases.top_items[row] >= 0]
        assert found.tolist() == best.tolist()
        assert np.allclose(cases.top_scores[row][: len(found)], scores[best], atol=1e-6)


def test_places_without_a_candidate_are_empty(bprmf_config: BprMfConfig, data: Dataset) -> None:
    model = build_recommender(bprmf_config, 3, 9, seed=0)
    (cases,) = capture_cases(model, data, kind="users", top_k=9)
    assert (cases.top_items >= 0).sum(axis=1).tolist() == [2, 6, 6]
    assert cases.top_items[0, 2:].tolist() == [-1] * 7


def test_cases_stream_in_order_and_do_not_depend_on_the_cut(
    config: ModelConfig,
    data: Dataset,
    captured: list[CaseBatch],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (whole,) = captured
    monkeypatch.setattr(capture, "_SORTED_CASES", 2)
    model = build_recommender(config, 3, 9, seed=0)
    parts = list(capture_cases(model, data, kind=case_kind(model, "auto"), folds=3, top_k=4))
    assert [len(part) for part in parts[:-1]] == [2] * (len(parts) - 1)
    for name in ("user_index", "origin", "top_items"):
        joined = np.concatenate([getattr(part, name) for part in parts])
        assert np.array_equal(joined, getattr(whole, name))
    joined = np.concatenate([part.representation for part in parts])
    assert np.allclose(joined, whole.representation, atol=1e-6)


def test_cases_can_be_counted_beforehand(data: Dataset) -> None:
    assert count_cases(data, "prefixes").tolist() == [7, 3, 4]
    assert count_cases(data, "users").tolist() == [1, 1, 1]
    assert count_cases(data, "folds", 5).tolist() == [6, 6, 6]


def test_another_site_can_be_probed(sasrec_config: SasRecConfig, data: Dataset) -> None:
    model = build_recommender(sasrec_config, 3, 9, seed=0)
    site = ProbeSite("encoder.blocks.0.feed_forward.0")
    (cases,) = capture_cases(model, data, kind="prefixes", site=site)
    assert cases.representation.shape == (14, 4 * 16)


def test_the_kind_of_case_follows_the_model(
    sasrec_config: SasRecConfig, bprmf_config: BprMfConfig
) -> None:
    sasrec = build_recommender(sasrec_config, 3, 9, seed=0)
    bprmf = build_recommender(bprmf_config, 3, 9, seed=0)
    assert case_kind(sasrec, "auto") == "prefixes"
    assert case_kind(sasrec, "users") == "users"
    assert case_kind(bprmf, "auto") == "folds"
    assert case_kind(bprmf, "users") == "users"
    for model, unfit in ((bprmf, "prefixes"), (sasrec, "folds")):
        with pytest.raises(InvalidInput) as caught:
            case_kind(model, unfit)
        assert caught.value.field == "cases"


def test_a_user_is_captured_as_learned_and_as_a_stranger_with_parts_of_the_history(
    lightgcn_config: LightGcnConfig, data: Dataset
) -> None:
    model = build_recommender(lightgcn_config, 3, 9, seed=0)
    (cases,) = capture_cases(model, data, kind="folds", folds=40)
    assert cases.user_index.tolist() == [0] * 41 + [1] * 41 + [2] * 41
    for user in range(3):
        history = data.history(user)
        rows = range(41 * user, 41 * (user + 1))
        assert [ORIGINS[cases.origin[row]] for row in rows] == ["learned"] + ["folded"] * 40
        assert cases.contexts[rows[0]].tolist() == history.tolist()
        parts = [cases.contexts[row].tolist() for row in rows[1:]]
        assert {len(part) for part in parts} == set(range(-(-len(history) // 4), len(history) + 1))
        assert all(is_subsequence(part, history.tolist()) for part in parts)
        assert np.isin(history, np.concatenate(parts)).all()


def test_parts_of_a_history_are_drawn_by_seed_and_user_alone(
    bprmf_config: BprMfConfig, data: Dataset, dataset_of
) -> None:
    model = build_recommender(bprmf_config, 3, 9, seed=0)

    def parts(of: Dataset, seed: int) -> list[list[int]]:
        (cases,) = capture_cases(model, of, kind="folds", folds=6, seed=seed)
        return [context.tolist() for context in cases.contexts]

    others_changed = dataset_of([[8, 7, 6, 5], [7, 1, 0], [2, 2, 3, 8]], None, 9)
    assert parts(data, 1) == parts(data, 1)
    assert parts(data, 1) != parts(data, 2)
    assert parts(data, 1)[7:] == parts(others_changed, 1)[7:]


def is_subsequence(part: list[int], whole: list[int]) -> bool:
    left = iter(whole)
    return all(item in left for item in part)


def test_sites_without_one_vector_per_case_are_refused(
    sasrec_config: SasRecConfig, data: Dataset
) -> None:
    model = build_recommender(sasrec_config, 3, 9, seed=0)
    for site in (ProbeSite("encoder.norm", "all"), ProbeSite("encoder.position_embedding", "row")):
        with pytest.raises(InvalidInput) as caught:
            list(capture_cases(model, data, kind="prefixes", site=site))
        assert caught.value.field.startswith("site.")


def test_a_number_that_is_not_finite_is_refused_with_case_and_dimension(
    sasrec_config: SasRecConfig, data: Dataset
) -> None:
    model = build_recommender(sasrec_config, 3, 9, seed=0)
    with torch.no_grad():
        model.get_submodule("item_embedding").weight[8 + 1, 2] = torch.inf  # row 0 is padding
    site = ProbeSite("item_embedding", position="last")
    with pytest.raises(InvalidInput, match=r"user in row 2, with 4 items.*dimension 2 .* inf"):
        list(capture_cases(model, data, kind="prefixes", site=site))
