"""Answers over the wire are the recommender's own, and edits do what the equations say."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from serving_stack import outcome_of
from torch import Tensor

from reclens.api.inference.v1 import inference_pb2 as inference
from reclens.api.steering.v1 import steering_pb2 as pb
from reclens.recommenders import UserBatch

HISTORY = ["item-5", "item-17", "item-2", "item-30"]


def own_scores(serving, batch: UserBatch, x: Tensor | None = None) -> np.ndarray:
    """Scores of the model in this process; with ``x`` given, of that representation."""
    model = serving.world.model
    with torch.inference_mode():
        scores = model(batch) if x is None else x @ model.item_weights().T + model.item_biases()
    return scores[0].numpy()


def own_representation(serving, batch: UserBatch) -> Tensor:
    model = serving.world.model
    with torch.inference_mode(), model.site.capture(model) as captured:
        model(batch)
    return captured.tensor


def spread(serving, vector: Tensor) -> float:
    """Standard deviation of what a vector adds to the scores of all items."""
    return float(
        (serving.world.model.item_weights().detach().double() @ vector.double()).std(correction=0)
    )


def assert_same_bits(items, scores: np.ndarray, excluded: set[int]) -> None:
    """``items`` are the candidates' own scores, best first, ties by index, to the last bit."""
    order = sorted(
        (i for i in range(len(scores)) if i not in excluded), key=lambda i: (-scores[i], i)
    )
    assert [item.item_id for item in items] == [f"item-{i}" for i in order[: len(items)]]
    got = np.array([item.score for item in items], dtype=np.float32)
    assert got.tobytes() == scores[order[: len(items)]].tobytes()


@pytest.mark.parametrize("include_seen", [True, False])
def test_unedited_answer_of_a_known_user_is_the_recommenders_own_bit_for_bit(
    serving, include_seen: bool
) -> None:
    for user in (0, 5, 11):
        answer = serving.steering.Recommend(
            pb.RecommendRequest(
                subject=pb.Subject(user_id=f"user-{user}"), top_k=40, include_seen=include_seen
            )
        )
        seen = set() if include_seen else set(serving.world.dataset.history(user).tolist())
        assert len(answer.items) == 40 - len(seen)
        assert_same_bits(answer.items, own_scores(serving, serving.world.batch(user)), seen)
        assert [item.rank for item in answer.items] == [i.baseline_rank for i in answer.items]
        assert (answer.effect.overlap, answer.effect.relative_shift) == (1.0, 0.0)


def test_unedited_answer_of_a_bare_history_is_the_recommenders_own_bit_for_bit(serving) -> None:
    answer = serving.steering.Recommend(
        pb.RecommendRequest(
            subject=pb.Subject(history=pb.ItemHistory(item_ids=HISTORY)), top_k=1000
        )
    )
    batch = UserBatch.of([np.array([5, 17, 2, 30])])
    assert_same_bits(answer.items, own_scores(serving, batch), {5, 17, 2, 30})


def test_idle_edits_leave_every_bit_and_are_named(serving) -> None:
    silent = serving.world.silent[0]
    answer = serving.steering.Recommend(
        pb.RecommendRequest(
            subject=pb.Subject(user_id="user-0"),
            top_k=40,
            include_seen=True,
            edits=[
                pb.Edit(latent=silent, scale=3.0),
                pb.Edit(latent=serving.world.firing[0], add=0.0),
                pb.Edit(latent=serving.world.dead, add=0.4),
            ],
        )
    )
    assert_same_bits(answer.items, own_scores(serving, serving.world.batch(0)), set())
    assert [idle.index for idle in answer.effect.idle_edits] == [0, 1, 2]
    assert "do not fire" in answer.effect.idle_edits[0].reason
    assert answer.effect.edited_latents == 0


def test_edit_of_a_latent_scores_by_the_moved_representation(serving) -> None:
    world = serving.world
    latent = world.firing[0]
    answer = serving.steering.Recommend(
        pb.RecommendRequest(
            subject=pb.Subject(user_id="user-0"),
            top_k=40,
            include_seen=True,
            edits=[pb.Edit(latent=latent, add=0.7)],
            include_baseline=True,
        )
    )
    x = own_representation(serving, world.batch(0))
    direction = world.sae.W_dec[latent].detach()
    push = 0.7 * spread(serving, x[0]) / spread(serving, direction) * direction
    scores = own_scores(serving, world.batch(0), x + push)
    got = {item.item_id: item.score for item in answer.items}
    assert got == pytest.approx({f"item-{i}": s for i, s in enumerate(scores)}, abs=1e-4)
    assert [i.score for i in answer.items] == sorted(got.values(), reverse=True)
    assert_same_bits(answer.baseline, own_scores(serving, world.batch(0)), set())
    assert answer.effect.relative_shift == pytest.approx(float(push.norm() / x.norm()), rel=1e-4)
    assert answer.effect.edited_latents == 1
    assert not answer.effect.idle_edits


def test_ranks_and_overlap_are_measured_against_the_untouched_ranking(serving) -> None:
    world = serving.world
    seen = set(world.dataset.history(0).tolist())
    scores = own_scores(serving, world.batch(0))
    untouched = sorted(set(range(40)) - seen, key=lambda i: (-scores[i], i))
    answer = serving.steering.Recommend(
        pb.RecommendRequest(
            subject=pb.Subject(user_id="user-0"),
            top_k=10,
            edits=[pb.Edit(concept_id="comedy", add=-1.0)],
        )
    )
    items = [int(item.item_id[5:]) for item in answer.items]
    assert [item.baseline_rank for item in answer.items] == [
        untouched.index(item) + 1 for item in items
    ]
    kept = len(set(items) & set(untouched[:10])) / 10
    assert answer.effect.overlap == pytest.approx(kept)
    assert kept < 1


def test_reconstruct_mode_answers_from_the_reconstruction(serving) -> None:
    world = serving.world
    answer = serving.steering.Recommend(
        pb.RecommendRequest(
            subject=pb.Subject(user_id="user-3"), mode=pb.STEERING_MODE_RECONSTRUCT, top_k=5
        )
    )
    with torch.inference_mode():
        x = world.sae(own_representation(serving, world.batch(3)))
    scores = own_scores(serving, world.batch(3), x)
    for item in answer.items:
        assert item.score == pytest.approx(scores[int(item.item_id[5:])], abs=1e-4)


@pytest.mark.parametrize("edits", [[], [pb.Edit(concept_id="film-noir", add=0.7)]])
def test_contributions_unexplained_and_biases_add_up_to_the_scores(serving, edits) -> None:
    answer = serving.steering.Recommend(
        pb.RecommendRequest(
            subject=pb.Subject(user_id="user-0"), top_k=7, edits=edits, explain=True
        )
    )
    why = answer.explanation
    total = np.array(why.unexplained, dtype=np.float64) + np.array(why.biases)
    for latent in why.latents:
        total += np.array(latent.contributions)
    assert np.abs(total - [item.score for item in answer.items]).max() < 1e-4
    strengths = [max(abs(e.activation), abs(e.edited_activation)) for e in why.latents]
    assert strengths == sorted(strengths, reverse=True)


def test_explanation_names_the_firing_latents_in_units_of_their_percentile(serving) -> None:
    world = serving.world
    answer = serving.steering.Explain(pb.ExplainRequest(subject=pb.Subject(user_id="user-0")))
    with torch.inference_mode():
        z = world.sae.encode(own_representation(serving, world.batch(0))).dense(32)[0]
    expected = {j: float(z[j]) / (float(world.p99[j]) or 1.0) for j in range(32) if z[j] > 0}
    got = {entry.latent: entry.activation for entry in answer.explanation.latents}
    assert got == pytest.approx(expected, rel=1e-4)
    by_latent = {entry.latent: entry for entry in answer.explanation.latents}
    first = by_latent[world.firing[0]]
    assert (first.concept_id, first.label) == ("film-noir", "Film-Noir")
    assert first.confidence == pytest.approx(0.9)
    history = [f"item-{i}" for i in world.dataset.history(0)]
    assert [item.item_id for item in answer.history] == history
    assert answer.history[0].title == f"Title {history[0][5:]}"
    total = sum(np.array(entry.contributions) for entry in answer.explanation.latents)
    total = total + np.array(answer.explanation.unexplained) + np.array(answer.explanation.biases)
    assert total == pytest.approx([item.score for item in answer.items], abs=1e-4)


def test_answers_carry_titles_versions_and_the_request_id(serving) -> None:
    answer = serving.steering.Recommend(
        pb.RecommendRequest(subject=pb.Subject(user_id="user-1"), request_id="my-id")
    )
    release = serving.world.release
    assert len(answer.items) == 10
    assert answer.items[0].title == f"Title {answer.items[0].item_id[5:]}"
    assert answer.items[0].tags
    assert answer.request_id == "my-id"
    assert answer.versions == pb.Versions(
        release="default",
        release_version=release.version,
        recommender=release.recommender,
        autoencoder=release.autoencoder,
        concepts=release.concepts,
    )
    unnamed = serving.steering.Recommend(pb.RecommendRequest(subject=pb.Subject(user_id="user-1")))
    assert unnamed.request_id


def test_model_describes_what_is_loaded(serving) -> None:
    model = serving.ranking.GetModel(inference.GetModelRequest(release="default"))
    assert model.model == serving.world.model.config.kind
    assert model.site == serving.world.model.site.module
    assert (model.d_model, model.n_latents, model.n_items, model.n_users) == (8, 32, 40, 12)
    assert not model.refusal


def test_batch_answers_as_single_calls_do_and_entries_fail_alone(serving) -> None:
    entries = [
        pb.RecommendRequest(subject=pb.Subject(user_id="user-2"), request_id="a"),
        pb.RecommendRequest(subject=pb.Subject(user_id="nobody")),
        pb.RecommendRequest(
            subject=pb.Subject(user_id="user-2"),
            edits=[pb.Edit(concept_id="film-noire", add=0.4)],
        ),
        pb.RecommendRequest(
            subject=pb.Subject(history=pb.ItemHistory(item_ids=HISTORY)),
            edits=[pb.Edit(concept_id="comedy", add=0.4)],
            request_id="d",
        ),
        pb.RecommendRequest(subject=pb.Subject(user_id="user-2"), release="other"),
    ]
    batch = serving.steering.BatchRecommend(pb.BatchRecommendRequest(requests=entries))
    outcomes = list(batch.outcomes)
    assert outcomes[0].response == serving.steering.Recommend(entries[0])
    assert outcomes[3].response == serving.steering.Recommend(entries[3])
    failures = [(o.failure.code, o.failure.field) for o in (outcomes[1], outcomes[2], outcomes[4])]
    assert failures == [(5, "subject.user_id"), (5, "edits[0].concept_id"), (3, "release")]
    assert "film-noir" in outcomes[2].failure.message


def _forget_everything(model) -> None:
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()


def test_equal_scores_are_in_order_of_the_item_index(stack) -> None:
    world = stack.publisher.world(kind="bprmf", spoil=_forget_everything)
    server = stack.start_inference()
    stack.refresh(server)
    question = inference.RankRequest(subject={"user_id": "user-4"}, top_k=40, exclude_seen=True)
    ranked = outcome_of(stack.inference(server), question).response.ranked
    seen = set(world.dataset.history(4).tolist())
    assert list(ranked.items) == [i for i in range(40) if i not in seen]
    assert list(ranked.baseline_ranks) == list(range(1, 41 - len(seen)))
