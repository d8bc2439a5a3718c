"""A comparison answers each variant as Recommend would, beside one untouched answer."""

from __future__ import annotations

import pytest

from reclens.api.steering.v1 import steering_pb2 as pb
from reclens.client import SteeringClient, failure_error, less, more
from reclens.errors import InvalidInput, NotFound


@pytest.fixture
def client(sasrec):
    with SteeringClient(sasrec.gateway.address) as client:
        yield client


def test_each_variant_is_answered_as_alone(client) -> None:
    variants = {"up": [more("comedy", 1.0)], "down": [less("comedy", 1.0)], "none": []}
    compared = client.compare(variants, user_id="user-0", top_k=6, request_id="c")
    alone = {
        name: client.recommend(user_id="user-0", top_k=6, edits=edits)
        for name, edits in variants.items()
    }
    assert [outcome.name for outcome in compared.outcomes] == list(variants)
    for outcome in compared.outcomes:
        assert list(outcome.answer.items) == list(alone[outcome.name].items)
        assert outcome.answer.effect == alone[outcome.name].effect
    assert list(compared.baseline) == list(alone["none"].items)
    assert compared.versions == alone["none"].versions
    assert compared.request_id == "c"


def test_variant_is_refused_alone(client) -> None:
    compared = client.compare({"bad": [more("comdy")], "good": [more("comedy")]}, user_id="user-0")
    bad, good = compared.outcomes
    error = failure_error(bad.failure)
    assert isinstance(error, NotFound)
    assert error.field == "edits[0].concept_id"
    assert "comedy" in error.message
    assert len(good.answer.items) == 10


def test_modes_differ_between_variants(client) -> None:
    variants = [
        pb.Variant(name="own"),
        pb.Variant(name="rebuilt", mode=pb.STEERING_MODE_RECONSTRUCT),
    ]
    own, rebuilt = client.compare(variants, user_id="user-0").outcomes
    assert own.answer.effect.relative_shift == 0
    assert rebuilt.answer.effect.relative_shift > 0


@pytest.mark.parametrize(
    ("variants", "options", "kind", "field"),
    [
        ({}, {"user_id": "user-0"}, InvalidInput, "variants"),
        ({str(i): [] for i in range(33)}, {"user_id": "user-0"}, InvalidInput, "variants"),
        ({"x" * 129: []}, {"user_id": "user-0"}, InvalidInput, "variants[0].name"),
        ({"a": []}, {"user_id": "nobody"}, NotFound, "subject.user_id"),
        ({"a": []}, {"user_id": "user-0", "top_k": 1001}, InvalidInput, "top_k"),
    ],
)
def test_what_no_variant_could_be_answered_with_is_refused_as_a_whole(
    client, variants, options, kind, field
) -> None:
    with pytest.raises(kind) as caught:
        client.compare(variants, **options)
    assert caught.value.field == field
