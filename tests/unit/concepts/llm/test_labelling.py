"""A dictionary labelled and judged by a language model's look-alike, on the planted world.

Its label is the first keyword that it is offered; its grade tells whether a word of the label
stands in a case.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from planted_world import World, planted_world

from reclens.concepts.labels.joining import join_latents
from reclens.concepts.labels.labelling import LabelledLatent, LabellingContext, prepare_labelling
from reclens.concepts.labels.llm_usage import Usage
from reclens.concepts.llm.chat import ChatAnswer
from reclens.concepts.llm.failures import check_usage
from reclens.concepts.llm.labelling import LlmLabeller
from reclens.contracts import ConceptsOptions
from reclens.errors import LlmRefused

N_PLANTED = 12
TOO_LONG = (
    '{"error": "Input validation error: `inputs` must have less than 4096 tokens. Given: 5120", '
    '"error_type": "validation"}'
)
THOUGHT = """{"model": "m", "choices": [{"index": 0, "finish_reason": "length", "message":
    {"role": "assistant", "content": null, "reasoning_content": "Let me look at"}}]}"""


class Kept(dict[tuple[str, str], ChatAnswer]):
    """A cache in memory."""

    def get(self, prompt: str, key: str) -> ChatAnswer | None:  # type: ignore[override]
        return super().get((prompt, key))

    def put(self, prompt: str, key: str, answer: ChatAnswer) -> None:
        self[prompt, key] = answer


@pytest.fixture(scope="module")
def world() -> World:
    return planted_world()


def _context(world: World, **options) -> LabellingContext:
    return prepare_labelling(
        world.construct,
        world.verify,
        world.items,
        np.full(world.n_latents, 2.0),
        options=ConceptsOptions(**options),
    )


@pytest.fixture(scope="module")
def asks_for_both(world: World) -> LabellingContext:
    return _context(world, source="llm", judges=("llm", "keywords"))


def _all(context: LabellingContext, client, **options) -> list[LabelledLatent]:
    labeller = LlmLabeller(context, client, **options)
    return list(labeller.label(range(context.n_latents)))


def test_the_model_names_what_is_planted_and_judges_it_right(
    asks_for_both, world, make_client, tgi
):
    latents = _all(asks_for_both, make_client(tgi), concurrency=4)
    labelling = join_latents(asks_for_both, latents)
    planted = labelling.rows[:N_PLANTED]
    assert [row.label for row in planted] == [
        world.items.tags[25 * row.latent][0] for row in planted
    ]
    assert {(row.source, row.prompt_version, row.model) for row in planted} == {
        ("llm", "label-1", "default")
    }
    for row in planted:
        by_model, by_keywords = row.judgements
        assert (by_model.judge, by_keywords.judge) == ("llm", "keywords")
        # Ten firing and ten silent cases, of which the model sees the first five items.
        assert (by_model.n_positive, by_model.n_negative) == (10, 10)
        assert row.confidence == by_model.confidence
    figures = labelling.metrics["judges"]
    assert figures["llm"]["auroc_median"] > 0.65
    assert 0.3 < figures["llm"]["shuffled_auroc_median"] < 0.6
    assert figures["keywords"]["auroc_median"] > 0.95
    assert sum(one.usage.calls for one in latents) == len(tgi.requests)


def test_what_was_asked_once_is_not_asked_again(asks_for_both, make_client, tgi):
    cache, client = Kept(), make_client(tgi)
    first = _all(asks_for_both, client, cache=cache, concurrency=4)
    asked = len(tgi.requests)
    again = _all(asks_for_both, client, cache=cache, concurrency=2)
    assert len(tgi.requests) == asked
    assert [one.row for one in again] == [one.row for one in first]
    assert sum(one.usage.calls for one in again) == 0
    assert sum(one.usage.cached for one in again) == asked


def test_a_latent_is_labelled_alike_whatever_others_are_asked_for(asks_for_both, make_client, tgi):
    client = make_client(tgi)
    whole = _all(asks_for_both, client)
    alone = list(LlmLabeller(asks_for_both, client).label([5]))
    without_time = replace(alone[0], usage=replace(alone[0].usage, seconds=0))
    assert without_time == replace(whole[5], usage=replace(whole[5].usage, seconds=0))


@pytest.mark.parametrize("behaviour", [{"text": '{"name": 7}'}, {"text": "no JSON"}])
def test_where_the_model_gives_no_answer_keywords_stay(world, make_client, tgi, behaviour):
    context = _context(world, source="llm", judges=("keywords",))
    # Every question is asked twice, of three the first.
    for _ in range(N_PLANTED):
        tgi.behave(behaviour, behaviour, {}, {})
    latents = _all(context, make_client(tgi))
    asked = [one for one in latents[:N_PLANTED] if one.usage.questions]
    assert [one.row.source for one in asked] == ["keywords", "llm", "llm"] * (N_PLANTED // 3)
    assert all(one.row.label and one.row.trusted for one in asked)
    failed = [one.usage for one in asked if one.row.source == "keywords"]
    # One repair each, no more.
    assert {(one.invalid, one.abstained, one.calls) for one in failed} == {(1, 1, 2)}


@pytest.mark.parametrize(
    ("behaviour", "failure"),
    [
        ({"status": 422}, ("refused .nearly. every question, 3 of 3, the last", "llm", 3)),
        ({"body": TOO_LONG}, ("3 of 3, .* less than 4096 tokens. Given: 5120", "llm", 3)),
        ({"body": THOUGHT}, ("3 of 3, .* thinking used up max_tokens", "llm.max_tokens", 3)),
        ({"text": "no JSON"}, ("no valid answer .* 10 of 10, .* no complete JSON", "llm", 20)),
    ],
    ids=["refused", "refused with status 200", "thinking", "invalid"],
)
def test_where_no_question_is_answered_the_labelling_fails_and_says_why(
    world, make_client, tgi, behaviour, failure
):
    problem, field, asked = failure
    context = _context(world, source="llm", judges=("keywords",))
    tgi.always(**behaviour)
    with pytest.raises(LlmRefused, match=problem) as caught:
        _all(context, make_client(tgi))
    assert caught.value.field == field
    assert "llm.max_tokens" in caught.value.remedy or "RECLENS_LLM__DIALECT" in caught.value.remedy
    # The one that was in flight when the last one came back, and its repair.
    assert asked <= len(tgi.requests) <= asked + 2


def test_a_judge_without_an_answer_fails_the_labelling_whatever_the_labels_are(
    world, make_client, tgi
):
    context = _context(world, source="llm", judges=("keywords", "llm"), llm={"max_tokens": 200})
    for _ in range(3):
        tgi.behave({}, {"body": THOUGHT}, {}, {"body": THOUGHT})
    with pytest.raises(LlmRefused, match="thinking used up"):
        _all(context, make_client(tgi))


def test_a_range_whose_questions_failed_over_several_stretches_fails_too():
    check_usage(Usage(questions=20, invalid=17, refused=1))
    check_usage(Usage(questions=2, invalid=2))
    with pytest.raises(LlmRefused, match="18 of 20"):
        check_usage(Usage(questions=20, invalid=18))
    with pytest.raises(LlmRefused, match=r"refused \(nearly\) every question, 3 of 3"):
        check_usage(Usage(questions=3, refused=3))


def test_a_model_that_only_judges_is_not_asked_for_names(world, make_client, tgi):
    context = _context(world, judges=("keywords", "llm"))
    latents = _all(context, make_client(tgi), concurrency=4)
    rows = [one.row for one in latents[:N_PLANTED]]
    assert {row.source for row in rows} == {"keywords"}
    assert all([one.judge for one in row.judgements] == ["keywords", "llm"] for row in rows)
    prompts = {str(entry["body"]["messages"][0]["content"])[:40] for entry in tgi.requests}
    assert len(prompts) == 1


def test_the_control_is_another_latents_final_label_and_is_not_paid_for(
    asks_for_both, world, make_client, tgi
):
    latents = _all(asks_for_both, make_client(tgi), cache=Kept(), concurrency=4)
    planted = [one.row for one in latents[:N_PLANTED]]
    assert all(row.judgements[0].shuffled_auroc is not None for row in planted)
    # A question for the name, and one about it with the own and one with another's cases: the
    # names of others, that controls are made of, are asked for once only.
    assert sum(one.usage.calls for one in latents) == len(tgi.requests)
    assert len({entry["prompt_hash"] for entry in tgi.requests}) == len(tgi.requests)
