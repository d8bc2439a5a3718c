"""Names become rows and latents; what cannot be asked names its field."""

from __future__ import annotations

import asyncio
import math

import pytest
from hand_catalog import catalog_of
from served_by_hand import SERVED

from reclens.api.inference.v1 import inference_pb2 as inference
from reclens.api.steering.v1 import steering_pb2 as pb
from reclens.concepts.catalog.concepts import ConceptIndex
from reclens.concepts.catalog.items import ItemEntry
from reclens.contracts.tables.concepts import LatentLabel
from reclens.errors import InvalidInput, NotFound, RecLensError
from reclens.steering.edits import LatentGroup
from reclens.steering.wire import add_latent_edits, resolve_edits
from reclens_gateway.resolving import (
    ResolvedPolicy,
    ResolvedRequest,
    ServedRelease,
    resolve_policy,
    resolve_request,
)

WEIGHED = ServedRelease(
    release=SERVED.release,
    items=SERVED.items,
    concepts=ConceptIndex(
        [
            LatentLabel(0, "noir", "Noir", confidence=0.7),
            LatentLabel(1),
            LatentLabel(2, "noir", "Noir", confidence=0.9),
        ]
    ),
    n_latents=3,
)


async def proposed(request: inference.ProposeRequest, seconds: float) -> inference.ProposeResponse:
    """What the inference service might answer, whatever is asked."""
    return inference.ProposeResponse(latents=[1, 0], shares=[0.8, -0.6], weights=[1, -0.25])


def loaded(served: ServedRelease) -> ServedRelease:
    """``served``, knowing what its concepts push."""

    async def load() -> None:
        deadline = asyncio.get_running_loop().time() + 30
        names = [concept.concept_id for concept in served.concepts.concepts]
        await served.pushes.load(names, proposed, deadline, 30)

    asyncio.run(load())
    return served


loaded(SERVED)
# No item carries its concept.
loaded(WEIGHED)


def group(latents, weights, share=1.0) -> inference.LatentGroup:
    return inference.LatentGroup(latents=latents, weights=weights, share=share)


def edit(**fields) -> inference.LatentEdit:
    request = inference.RankRequest()
    add_latent_edits(resolve_edits([pb.Edit(**fields)], WEIGHED.pushes), request.edits)
    return request.edits[0]


def test_latent_is_pushed_by_what_it_does_to_scores() -> None:
    assert edit(latent=1, add=-0.5) == inference.LatentEdit(
        groups=[group([1], [1])],
        operation=inference.EDIT_OPERATION_ADD,
        strength=-0.5,
        unit=inference.STRENGTH_UNIT_SCORE_SPREAD,
    )


def test_latents_of_a_concept_weigh_as_far_as_its_label_is_right_on_them() -> None:
    resolved = edit(concept_id="noir", add=0.4)
    assert list(resolved.groups[0].latents) == [2, 0]
    # 0.9 and 0.7 are 0.4 and 0.2 better than chance.
    assert list(resolved.groups[0].weights) == pytest.approx([1, 0.5])
    assert resolved.unit == inference.STRENGTH_UNIT_SCORE_SPREAD


def test_concept_is_added_with_what_raises_its_items_and_set_by_its_own_latents() -> None:
    added, less, fixed = resolve_edits(
        [
            pb.Edit(concept_id="noir", add=0.2),
            pb.Edit(
                blend=pb.Blend(parts=[pb.BlendPart(concept_id="noir", weight=-3)]),
                add=0.2,
                when=[pb.Condition(concept_id="noir", above=0)],
            ),
            pb.Edit(concept_id="noir", set=1),
        ],
        SERVED.pushes,
    )
    assert added.groups[0] == LatentGroup((1, 0), (1, -0.25))
    assert less.groups[0] == LatentGroup((1, 0), (1, -0.25), share=-3)
    assert list(less.conditions[0].latents) == [0]
    assert list(fixed.groups[0].latents) == [0]


def test_parts_of_a_blend_are_groups_with_shares() -> None:
    parts = [pb.BlendPart(concept_id="noir", weight=2), pb.BlendPart(latent=1, weight=-0.5)]
    resolved = edit(blend=pb.Blend(parts=parts), add=0.3)
    assert [list(one.latents) for one in resolved.groups] == [[2, 0], [1]]
    assert [one.share for one in resolved.groups] == [2, -0.5]
    assert resolved.unit == inference.STRENGTH_UNIT_SCORE_SPREAD


def test_conditions_look_at_latents() -> None:
    tests = [pb.Condition(concept_id="noir", above=0.25), pb.Condition(latent=1, below=1)]
    assert list(edit(latent=1, ablate=pb.Ablate(), when=tests).conditions) == [
        inference.LatentCondition(
            latents=[2, 0], comparison=inference.COMPARISON_ABOVE, level=0.25
        ),
        inference.LatentCondition(latents=[1], comparison=inference.COMPARISON_BELOW, level=1),
    ]


PART = pb.BlendPart(latent=1, weight=1)


def blend(*parts: pb.BlendPart) -> dict:
    return {"blend": pb.Blend(parts=parts)}


@pytest.mark.parametrize(
    ("fields", "kind", "field"),
    [
        ({**blend(PART), "scale": 2}, InvalidInput, "operation"),
        ({**blend(), "add": 1}, InvalidInput, "blend.parts"),
        ({**blend(*[PART] * 101), "add": 1}, InvalidInput, "blend.parts"),
        ({**blend(PART, PART), "add": 1}, InvalidInput, "blend.parts[1].latent"),
        (
            {**blend(pb.BlendPart(latent=1, weight=0)), "add": 1},
            InvalidInput,
            "blend.parts[0].weight",
        ),
        (
            {**blend(pb.BlendPart(latent=1, weight=math.nan)), "add": 1},
            InvalidInput,
            "blend.parts[0].weight",
        ),
        (
            {**blend(pb.BlendPart(latent=3, weight=1)), "add": 1},
            InvalidInput,
            "blend.parts[0].latent",
        ),
        ({**blend(pb.BlendPart(weight=1)), "add": 1}, InvalidInput, "blend.parts[0].target"),
        (
            {"latent": 1, "add": 1, "when": [pb.Condition(latent=1, above=0)] * 11},
            InvalidInput,
            "when",
        ),
        (
            {"latent": 1, "add": 1, "when": [pb.Condition(above=1)]},
            InvalidInput,
            "when[0].target",
        ),
        (
            {"latent": 1, "add": 1, "when": [pb.Condition(latent=1)]},
            InvalidInput,
            "when[0].comparison",
        ),
        (
            {"latent": 1, "add": 1, "when": [pb.Condition(latent=1, above=-1)]},
            InvalidInput,
            "when[0].above",
        ),
        (
            {"latent": 1, "add": 1, "when": [pb.Condition(latent=1, below=math.inf)]},
            InvalidInput,
            "when[0].below",
        ),
        (
            {"latent": 1, "add": 1, "when": [pb.Condition(concept_id="nor", above=1)]},
            NotFound,
            "when[0].concept_id",
        ),
    ],
)
def test_edit_that_cannot_be_resolved_names_its_field(
    fields, kind: type[RecLensError], field: str
) -> None:
    with pytest.raises(kind) as caught:
        resolve_edits([pb.Edit(latent=0, add=0), pb.Edit(**fields)], WEIGHED.pushes)
    assert caught.value.field == f"edits[1].{field}"


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"concept_id": "nor", "add": 1}, "concept_id"),
        (
            {**blend(PART, pb.BlendPart(concept_id="nor", weight=1)), "add": 1},
            "blend.parts[1].concept_id",
        ),
    ],
)
def test_concept_that_there_is_not_is_found_by_a_check(fields, field: str) -> None:
    # Of these nothing can be learnt, so that what is asked is checked before.
    with pytest.raises(NotFound) as caught:
        resolve_edits([pb.Edit(**fields)], WEIGHED.pushes, check_only=True)
    assert caught.value.field == f"edits[0].{field}"


def asked(policy: ResolvedPolicy | None = None, **fields) -> ResolvedRequest:
    request = pb.RecommendRequest(subject=pb.Subject(user_id="u"), top_k=5, **fields)
    return resolve_request(SERVED, request, policy)


def limits(**most: int) -> list[pb.TagLimit]:
    return [pb.TagLimit(tag=tag.replace("_", "-"), max_items=n) for tag, n in most.items()]


def test_excluded_ids_become_rows_and_unknown_ones_are_counted() -> None:
    given = pb.Constraints(exclude_item_ids=["3", "x", "1", "3", "y", "x"])
    one = asked(constraints=given)
    assert sorted(one.rank.excluded_items) == [1, 3]
    assert one.unknown_excluded == 2


def resolved_policy(**fields) -> ResolvedPolicy:
    policy = pb.Policy(autoencoder=SERVED.release.autoencoder, **fields)
    return resolve_policy(policy, SERVED, field="policy")


def test_policy_comes_first_and_the_stricter_limit_counts() -> None:
    policy = resolved_policy(
        policy_id="calm",
        version=4,
        edits=[pb.Edit(concept_id="noir", add=0.1)],
        mode=pb.STEERING_MODE_RECONSTRUCT,
        constraints=pb.Constraints(
            exclude_item_ids=["1", "x"], tag_limits=limits(Comedy=2, Film_Noir=1)
        ),
    )
    own = pb.Constraints(exclude_item_ids=["1", "2"], tag_limits=limits(Comedy=0, Film_Noir=3))
    one = asked(policy=policy, edits=[pb.Edit(latent=1, add=0.2)], constraints=own)
    assert [edit.strength for edit in one.rank.edits] == [0.1, 0.2]
    assert [edit.WhichOneof("target") for edit in one.edits] == ["concept_id", "latent"]
    assert sorted(one.rank.excluded_items) == [1, 2]
    kept = {limit.tag: limit.max_items for limit in one.rank.tag_limits}
    assert kept == {"Comedy": 0, "Film-Noir": 1}
    assert one.rank.mode == inference.STEERING_MODE_RECONSTRUCT
    assert one.policy == pb.PolicyRef(policy_id="calm", version=4)
    again = asked(policy=policy, mode=pb.STEERING_MODE_RESIDUAL)
    assert again.rank.mode == inference.STEERING_MODE_RESIDUAL
    # A policy is shared by requests: none of them leaves anything in it.
    assert [edit.strength for edit in again.rank.edits] == [0.1]
    assert list(again.rank.excluded_items) == [1]
    assert again.unknown_excluded == 1


def test_more_items_than_one_may_exclude_are_too_many_of_both() -> None:
    many = ServedRelease(
        release=SERVED.release,
        items=catalog_of([ItemEntry(str(row)) for row in range(10_002)]),
        concepts=SERVED.concepts,
        n_latents=SERVED.n_latents,
    )
    excluded = pb.Constraints(exclude_item_ids=[str(row) for row in range(6000)])
    policy = resolve_policy(pb.Policy(constraints=excluded), many, field="policy")

    def also(last: int) -> ResolvedRequest:
        own = pb.Constraints(exclude_item_ids=[str(row) for row in range(5000, last)])
        request = pb.RecommendRequest(subject=pb.Subject(user_id="u"), constraints=own)
        return resolve_request(many, request, policy)

    assert list(also(10_000).rank.excluded_items) == list(range(10_000))
    with pytest.raises(InvalidInput, match="those of the policy included") as refused:
        also(10_001)
    assert refused.value.field == "constraints.exclude_item_ids"


@pytest.mark.parametrize(
    ("constraints", "kind", "field"),
    [
        (pb.Constraints(exclude_item_ids=["1"] * 10_001), InvalidInput, "exclude_item_ids"),
        (pb.Constraints(tag_limits=limits(Comdy=1)), NotFound, "tag_limits[0].tag"),
        (pb.Constraints(tag_limits=limits(Comedy=1) * 2), InvalidInput, "tag_limits[1].tag"),
        (pb.Constraints(tag_limits=limits(Comedy=1) * 101), InvalidInput, "tag_limits"),
    ],
)
def test_constraints_that_cannot_be_kept_name_their_field(constraints, kind, field) -> None:
    with pytest.raises(kind) as caught:
        asked(constraints=constraints)
    assert caught.value.field == f"constraints.{field}"


def test_unknown_tag_comes_with_near_ones() -> None:
    with pytest.raises(NotFound, match="did you mean Film-Noir"):
        asked(constraints=pb.Constraints(tag_limits=limits(film_nor=1)))


def test_edits_are_too_many_with_those_of_the_policy() -> None:
    policy = resolved_policy(policy_id="calm", edits=[pb.Edit(latent=0, add=1)] * 60)
    with pytest.raises(InvalidInput, match="at most 40 with this policy"):
        asked(policy=policy, edits=[pb.Edit(latent=0, add=1)] * 41)
