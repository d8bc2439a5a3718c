"""Whatever a policy says, it says the same when it comes back from the store."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reclens.api.steering.v1 import steering_pb2 as pb
from reclens.contracts import StoredPolicy, canonical_json
from reclens.errors import InvalidInput, InvalidSpec
from reclens_gateway.policies.messages import (
    policy_message,
    stored_constraints,
    stored_edits,
    stored_mode,
)
from reclens_gateway.resolving.policies import names_latents

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
    stored = StoredPolicy(
        policy_id=policy.policy_id,
        version=policy.version,
        description=policy.description,
        release=policy.release,
        edits=stored_edits(list(policy.edits)),
        mode=stored_mode(policy.mode, field="mode"),
        constraints=stored_constraints(policy),
        autoencoder=policy.autoencoder,
        author=policy.author,
        changed_at=policy.changed_at,
        comment=policy.comment,
    )
    again = StoredPolicy.parse(canonical_json(stored.canonical()))
    assert again == stored
    assert policy_message(again) == policy


def test_a_mode_that_there_is_not_is_refused() -> None:
    with pytest.raises(InvalidInput, match="no mode 7"):
        stored_mode(7, field="policy.mode")


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
    ],
)
def test_what_is_no_edit_cannot_be_stored(edit: dict) -> None:
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
