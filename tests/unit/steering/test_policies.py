"""Whatever a policy says, it says the same when it comes back from the store."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reclens.api.steering.v1 import steering_pb2 as pb
from reclens.contracts import canonical_json
from reclens.errors import InvalidSpec
from reclens.steering.policies import StoredPolicy
from reclens.steering.wire import names_latents

strengths = st.floats(-100, 100)
targets = st.one_of(
    st.integers(0, 2**32 - 1).map(lambda latent: {"latent": latent}),
    st.text(max_size=20).map(lambda concept: {"concept_id": concept}),
)
levels = st.one_of(
    strengths.map(lambda level: {"above": level}), strengths.map(lambda level: {"below": level})
)
conditions = st.builds(lambda target, level: pb.Condition(**target, **level), targets, levels)
parts = st.builds(lambda target, weight: pb.BlendPart(**target, weight=weight), targets, strengths)
blends = st.lists(parts, min_size=1, max_size=4).map(lambda some: {"blend": pb.Blend(parts=some)})
operations = st.one_of(
    *(strengths.map(lambda x, name=name: {name: x}) for name in ("set", "scale", "add")),
    st.just({"ablate": pb.Ablate()}),
)
edits = st.builds(
    lambda target, operation, when: pb.Edit(**target, **operation, when=when),
    st.one_of(targets, blends),
    operations,
    st.lists(conditions, max_size=3),
)
constraints = st.builds(
    lambda items, limits: pb.Constraints(exclude_item_ids=items, tag_limits=limits),
    st.lists(st.text(max_size=20), max_size=4),
    st.lists(
        st.builds(
            lambda tag, n: pb.TagLimit(tag=tag, max_items=n), st.text(), st.integers(0, 2**32 - 1)
        ),
        max_size=3,
    ),
)
policies = st.builds(
    lambda **fields: pb.Policy(
        policy_id="any",
        version=3,
        release="default",
        autoencoder="autoencoders/0123456789abcdef",
        changed_at="2026-01-01T00:00:00+00:00",
        **fields,
    ),
    description=st.text(max_size=30),
    comment=st.text(max_size=30),
    author=st.text(max_size=10),
    edits=st.lists(edits, max_size=4),
    mode=st.sampled_from([0, 1, 2]),
    constraints=st.one_of(st.none(), constraints),
)


@settings(max_examples=60, deadline=None)
@given(policies)
def test_a_policy_survives_the_store(policy: pb.Policy) -> None:
    stamp = {
        name: getattr(policy, name) for name in ("release", "autoencoder", "author", "changed_at")
    }
    stored = StoredPolicy.of(policy, **stamp).model_copy(update={"version": policy.version})
    again = StoredPolicy.parse(canonical_json(stored.canonical()))
    assert again == stored
    assert again.message() == policy


STORED = (
    '{"author":"ann","autoencoder":"autoencoders/0123456789abcdef",'
    '"changed_at":"2026-01-01T00:00:00+00:00","comment":"","constraints":{"exclude_item_ids":["5"],'
    '"tag_limits":[{"max_items":2,"tag":"Horror"}]},"deleted":false,"description":"",'
    '"edits":[{"add":1.0,"blend":{"parts":[{"latent":0,"weight":2.0},'
    '{"concept_id":"noir","weight":-0.5}]},"when":[{"above":0.0,"concept_id":"noir"}]},'
    '{"ablate":{},"latent":7,"when":[]},{"concept_id":"noir","set":0.1,"when":[]}],'
    '"mode":"residual","policy_id":"calm","release":"default","request_id":"r1","version":3}'
)


def test_what_is_in_stores_is_read_and_written_byte_for_byte() -> None:
    policy = StoredPolicy.parse(STORED)
    assert canonical_json(policy.canonical()).decode() == STORED
    assert policy.message().edits[0].blend.parts[1].weight == -0.5
    assert policy.message().mode == pb.STEERING_MODE_RESIDUAL
    gone = StoredPolicy(policy_id="calm", version=4, changed_at="", deleted=True)
    assert canonical_json(gone.canonical()).decode() == (
        '{"author":"","changed_at":"","comment":"","deleted":true,"description":"","edits":[],'
        '"mode":"unspecified","policy_id":"calm","release":"","request_id":"","version":4}'
    )


@pytest.mark.parametrize(
    ("edit", "names"),
    [
        (pb.Edit(latent=0, add=1), True),
        (pb.Edit(concept_id="a", add=1), False),
        (pb.Edit(blend=pb.Blend(parts=[pb.BlendPart(concept_id="a", weight=1)]), add=1), False),
        (pb.Edit(blend=pb.Blend(parts=[pb.BlendPart(latent=0, weight=1)]), add=1), True),
        (pb.Edit(concept_id="a", add=1, when=[pb.Condition(latent=0, above=0)]), True),
        (pb.Edit(concept_id="a", add=1, when=[pb.Condition(concept_id="b", above=0)]), False),
    ],
)
def test_which_edits_name_latents(edit: pb.Edit, names: bool) -> None:
    assert names_latents([pb.Edit(concept_id="z", scale=0), edit]) is names


@pytest.mark.parametrize(
    "edit",
    [
        {"add": 1.0},
        {"latent": 1},
        {"latent": 1, "concept_id": "a", "add": 1.0},
        {"latent": 1, "add": 1.0, "set": 1.0},
        {"latent": -1, "add": 1.0},
        {"blend": {"parts": []}, "add": 1.0},
        {"blend": {"parts": [{"weight": 1.0}]}, "add": 1.0},
        {"latent": 1, "add": 1.0, "when": [{"latent": 1}]},
        {"latent": 1, "add": 1.0, "surprise": 1},
        {"latent": 1, "add": "NaN"},
        {"latent": 1, "add": "Infinity"},
        3,
        None,
    ],
)
def test_what_is_no_edit_cannot_be_stored(edit: object) -> None:
    with pytest.raises(InvalidSpec, match=r"edits\.0"):
        StoredPolicy.parse(
            {
                "policy_id": "any",
                "version": 1,
                "release": "default",
                "autoencoder": "autoencoders/0123456789abcdef",
                "changed_at": "2026-01-01T00:00:00+00:00",
                "edits": [edit],
            }
        )
