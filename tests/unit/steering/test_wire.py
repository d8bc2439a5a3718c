"""Edits go over the wire and come back as they were."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reclens.api.inference.v1 import inference_pb2 as inference
from reclens.api.steering.v1 import steering_pb2 as pb
from reclens.errors import InvalidInput
from reclens.steering.edits import (
    Comparison,
    LatentCondition,
    LatentEdit,
    LatentGroup,
    Mode,
    Operation,
    Unit,
)
from reclens.steering.wire import (
    add_latent_edits,
    mode_number,
    named_concepts,
    read_latent_edits,
    read_mode,
)

strengths = st.floats(-100, 100)
latents = st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=4, unique=True).map(tuple)
groups = st.builds(
    lambda names, weight, share: LatentGroup(names, (weight,) * len(names), share),
    latents,
    strengths,
    strengths,
)
conditions = st.builds(LatentCondition, latents, st.sampled_from(Comparison), st.floats(0, 100))
edits = st.builds(
    LatentEdit,
    st.lists(groups, min_size=1, max_size=3).map(tuple),
    st.sampled_from(Operation),
    st.floats(0, 100),
    st.sampled_from(Unit),
    st.lists(conditions, max_size=3).map(tuple),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(edits, max_size=4))
def test_the_engines_edits_survive_the_wire(asked: list[LatentEdit]) -> None:
    request = inference.RankRequest()
    add_latent_edits(asked, request.edits)
    sent = inference.RankRequest.FromString(request.SerializeToString())
    assert read_latent_edits(sent.edits, field="edits") == tuple(asked)


@pytest.mark.parametrize(
    ("edit", "field"),
    [
        (inference.LatentEdit(), "edits[1].operation"),
        (inference.LatentEdit(operation=inference.EDIT_OPERATION_ABLATE), "edits[1].groups"),
        (
            inference.LatentEdit(
                operation=inference.EDIT_OPERATION_ABLATE, groups=[inference.LatentGroup()]
            ),
            "edits[1].groups[0].latents",
        ),
        (
            inference.LatentEdit(
                operation=inference.EDIT_OPERATION_ABLATE,
                groups=[inference.LatentGroup(latents=[1])],
                conditions=[inference.LatentCondition(latents=[1])],
            ),
            "edits[1].conditions[0].comparison",
        ),
    ],
)
def test_what_is_no_edit_names_its_field(edit: inference.LatentEdit, field: str) -> None:
    whole = inference.LatentEdit(
        operation=inference.EDIT_OPERATION_ABLATE, groups=[inference.LatentGroup(latents=[1])]
    )
    with pytest.raises(InvalidInput) as refused:
        read_latent_edits([whole, edit], field="edits")
    assert refused.value.field == field


def test_modes_are_read_from_both_services_numbers() -> None:
    assert read_mode(pb.STEERING_MODE_UNSPECIFIED) is Mode.RESIDUAL
    for mode in Mode:
        number = mode_number(mode)
        assert pb.SteeringMode.Name(number) == inference.SteeringMode.Name(number)
        assert read_mode(number) is mode
    with pytest.raises(InvalidInput, match="no mode 7") as refused:
        read_mode(7, field="policy.mode")
    assert refused.value.field == "policy.mode"


def test_each_concept_that_is_changed_is_named_once() -> None:
    parts = [pb.BlendPart(concept_id=name, weight=1) for name in "bac"]
    asked = [
        pb.Edit(concept_id="a", add=1),
        pb.Edit(latent=1, add=1, when=[pb.Condition(concept_id="seen", above=0)]),
        pb.Edit(blend=pb.Blend(parts=[*parts, pb.BlendPart(latent=2, weight=1)]), add=1),
    ]
    assert named_concepts(asked) == ["a", "b", "c"]
