"""A round follows from its seed alone, and all kinds of fault, job and process come up."""

from __future__ import annotations

import pytest
from chaos.faults import CLASSES
from chaos.schedule import FAULTS, OWNER, REQUESTS, draw


def test_a_seed_always_draws_the_same_round():
    assert [draw(seed) for seed in range(1, 60)] == [draw(seed) for seed in range(1, 60)]


def test_as_many_rounds_in_a_row_as_there_are_kinds_have_every_one():
    assert {draw(seed).fault for seed in range(40, 40 + len(FAULTS))} == set(FAULTS)


def test_two_hundred_rounds_have_every_kind_of_job_and_every_variant():
    plans = [draw(seed) for seed in range(1, 201)]
    assert {plan.job for plan in plans} == set(REQUESTS) == set(OWNER)
    for name, kind in FAULTS.items():
        assert {plan.variant for plan in plans if plan.fault == name} == set(kind.variants)


@pytest.mark.parametrize("name", FAULTS)
def test_every_kind_can_be_asked_for_and_is_made(name: str):
    plan = draw(1, name)
    assert plan.fault == name
    assert (plan.request == 0) == FAULTS[name].at_submission
    assert name in CLASSES


def test_a_round_says_what_it_does():
    assert str(draw(1)) == (
        f"worker-killed (whole) on {draw(1).job}, {draw(1).phase} request {draw(1).request}, "
        f"{draw(1).seconds:g} s"
    )
