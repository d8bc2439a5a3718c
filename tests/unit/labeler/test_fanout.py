"""How a labelling ends whose shards were not all made."""

from __future__ import annotations

from reclens.contracts import ConceptShardSpec, ConceptsSpec, FailureReport
from reclens.errors import InternalError, InvalidInput, Partial
from reclens_labeler.fanout import failure_of

SPEC = ConceptsSpec(
    autoencoder="autoencoders/0123456789abcdef",
    dataset="datasets/0123456789abcdef",
    shard_latents=10,
)
SHARDS = ConceptShardSpec.of(SPEC, 50)
AWAY = FailureReport(reason="UNAVAILABLE", type="Unavailable", message="it slept.", retryable=True)
WRONG = FailureReport(
    reason="INVALID_INPUT",
    type="InvalidInput",
    message="the x is odd.",
    field="x",
    remedy="even.",
)
BUG = FailureReport(reason="INTERNAL", type="KeyError", message="'y'")


def test_missing_ranges_are_listed_by_reason_neighbours_as_one():
    missing = [SHARDS[0], SHARDS[1], SHARDS[2], SHARDS[4]]
    error = failure_of(5, missing, {0: AWAY, 10: AWAY, 20: WRONG, 40: AWAY})
    assert isinstance(error, Partial)
    assert error.sentence == (
        "4 of 5 shards were not made. latents 0-19, 40-49: Unavailable: it slept; "
        "latents 20-29: InvalidInput: the x is odd. "
        "Remedy: submit the same job again: it makes only those."
    )


def test_one_that_was_made_and_is_gone_is_missing_like_the_others():
    error = failure_of(5, SHARDS, dict.fromkeys(range(10, 50, 10), AWAY))
    assert isinstance(error, Partial)
    assert "latents 0-9: Gone: it was made and is gone again" in str(error)


def test_where_nothing_was_made_for_one_lasting_reason_that_reason_is_the_error():
    error = failure_of(5, SHARDS, dict.fromkeys(range(0, 50, 10), WRONG))
    assert type(error) is InvalidInput
    assert error.sentence == "x: the x is odd. Remedy: even."
    assert type(failure_of(5, SHARDS, dict.fromkeys(range(0, 50, 10), BUG))) is InternalError


def test_where_trying_again_may_help_or_reasons_differ_it_is_partial():
    every = range(0, 50, 10)
    assert isinstance(failure_of(5, SHARDS, dict.fromkeys(every, AWAY)), Partial)
    assert isinstance(failure_of(5, SHARDS, dict.fromkeys(every, WRONG) | {0: BUG}), Partial)
    assert isinstance(failure_of(6, SHARDS, dict.fromkeys(every, WRONG)), Partial)
