"""Sums and prices worked out by hand."""

from __future__ import annotations

import json

import pytest

from reclens.concepts.labels.llm_usage import Usage


def test_usage_adds_up_field_by_field():
    total = Usage(questions=1, calls=2, prompt_tokens=10, seconds=0.5, repaired=1) + Usage(
        questions=1, cached=1, cached_prompt_tokens=7, abstained=1, prompt_tokens=1
    )
    assert total == Usage(
        questions=2,
        calls=2,
        prompt_tokens=11,
        cached=1,
        cached_prompt_tokens=7,
        repaired=1,
        abstained=1,
        seconds=0.5,
    )


def test_a_sum_says_what_was_paid_now_and_before():
    metrics = (
        Usage(questions=1, calls=1, prompt_tokens=3_000_000, completion_tokens=250_000)
        + Usage(questions=1, cached=1, cached_completion_tokens=500_000)
    ).metrics(prompt_price=0.5, completion_price=2.0)
    assert metrics["llm_cost"] == pytest.approx(3 * 0.5 + 0.25 * 2)
    assert metrics["llm_cached_cost"] == pytest.approx(0.5 * 2)
    assert (metrics["llm_questions"], metrics["llm_calls"], metrics["llm_cached"]) == (2, 1, 1)
    assert json.loads(json.dumps(metrics)) == metrics
