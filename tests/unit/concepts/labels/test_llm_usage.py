"""Sums and prices worked out by hand."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from reclens.concepts.llm import LlmAccount, Usage


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


def test_an_account_says_what_was_paid_now_and_before():
    account = LlmAccount(prompt_price=0.5, completion_price=2.0)
    account.add(Usage(questions=1, calls=1, prompt_tokens=3_000_000, completion_tokens=250_000))
    account.add(Usage(questions=1, cached=1, cached_completion_tokens=500_000))
    metrics = account.metrics()
    assert metrics["llm_cost"] == pytest.approx(3 * 0.5 + 0.25 * 2)
    assert metrics["llm_cached_cost"] == pytest.approx(0.5 * 2)
    assert (metrics["llm_questions"], metrics["llm_calls"], metrics["llm_cached"]) == (2, 1, 1)
    assert json.loads(json.dumps(metrics)) == metrics


def test_threads_lose_nothing():
    account = LlmAccount()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: account.add(Usage(calls=1, seconds=0.5)), range(2000)))
    assert (account.total.calls, account.total.seconds) == (2000, 1000.0)
