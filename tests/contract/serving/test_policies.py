"""Stored policies over the wire: what is stored is what is applied."""

from __future__ import annotations

from datetime import UTC, datetime

import grpc
from policy_calls import COMEDY, NOIR, answer, create, delete, recommend, ref, update
from refusals import refusal

from reclens.api.steering.v1 import steering_pb2 as pb

Code = grpc.StatusCode
INVALID = Code.INVALID_ARGUMENT
EVERYTHING = [
    NOIR,
    pb.Edit(latent=3, set=1.5, when=[pb.Condition(concept_id="comedy", above=0.0)]),
    pb.Edit(latent=4, ablate=pb.Ablate(), when=[pb.Condition(latent=2, below=0.25)]),
    pb.Edit(concept_id="western", scale=0.0),
    pb.Edit(latent=0, add=0.0),
    pb.Edit(
        blend=pb.Blend(
            parts=[
                pb.BlendPart(latent=7, weight=0.1),
                pb.BlendPart(concept_id="western", weight=-2.5),
            ]
        ),
        add=0.3,
    ),
]
CONSTRAINTS = pb.Constraints(
    exclude_item_ids=["item-1", "nowhere"],
    tag_limits=[pb.TagLimit(tag="Drama", max_items=0), pb.TagLimit(tag="Crime", max_items=2)],
)


def test_a_policy_comes_back_as_it_was_given(sasrec) -> None:
    began = datetime.now(UTC)
    made = create(
        sasrec.steering,
        "whole",
        *EVERYTHING,
        constraints=CONSTRAINTS,
        mode=pb.STEERING_MODE_RECONSTRUCT,
        description="for\nquiet evenings",
        comment="first",
        # Set by the service, whatever is written there.
        version=7,
        author="somebody",
        autoencoder="autoencoders/0000000000000000",
        deleted=True,
    )
    assert began.timestamp() - 1 <= datetime.fromisoformat(made.changed_at).timestamp()
    assert made == pb.Policy(
        policy_id="whole",
        version=1,
        description="for\nquiet evenings",
        release="default",
        edits=EVERYTHING,
        constraints=CONSTRAINTS,
        mode=pb.STEERING_MODE_RECONSTRUCT,
        autoencoder=sasrec.world.release.autoencoder,
        changed_at=made.changed_at,
        comment="first",
    )
    got = sasrec.steering.GetPolicy(pb.GetPolicyRequest(policy_id="whole")).policy
    assert got == made


def test_a_policy_is_applied_as_its_edits_are(sasrec) -> None:
    steering = sasrec.steering
    create(steering, "applied", NOIR, pb.Edit(latent=3, set=1.5), mode=pb.STEERING_MODE_RECONSTRUCT)
    named = steering.Recommend(recommend(policy=ref("applied")))
    assert named.policy == ref("applied", 1)
    reconstructed = {"mode": pb.STEERING_MODE_RECONSTRUCT}
    mine = answer(steering, NOIR, pb.Edit(latent=3, set=1.5), **reconstructed)
    assert answer(steering, policy=ref("applied")) == mine
    assert mine != answer(steering, **reconstructed)
    # With edits of the request's own, which come after, and a mode of its own.
    mine = answer(steering, NOIR, pb.Edit(latent=3, set=1.5), pb.Edit(latent=3, set=0.5), COMEDY)
    assert mine == answer(
        steering,
        pb.Edit(latent=3, set=0.5),
        COMEDY,
        policy=ref("applied"),
        mode=pb.STEERING_MODE_RESIDUAL,
    )


def test_a_request_that_names_a_version_gets_that_one(sasrec) -> None:
    steering = sasrec.steering
    first = create(steering, "pinned", NOIR)
    second = update(steering, first, COMEDY)
    assert (first.version, second.version) == (1, 2)
    assert answer(steering, policy=ref("pinned", 1)) == answer(steering, NOIR)
    assert answer(steering, policy=ref("pinned", 2)) == answer(steering, COMEDY)
    assert answer(steering, policy=ref("pinned")) == answer(steering, COMEDY)
    got = refusal(steering.Recommend, recommend(policy=ref("pinned", 3)))
    assert got[:3] == (Code.NOT_FOUND, "NOT_FOUND", "policy")
    assert "no version 3" in got[3]


def test_a_change_of_what_somebody_else_changed_is_refused(sasrec) -> None:
    steering = sasrec.steering
    first = create(steering, "raced", NOIR)
    update(steering, first, COMEDY)
    stale = pb.UpdatePolicyRequest(policy=first)
    assert refusal(steering.UpdatePolicy, stale)[:3] == (
        Code.ABORTED,
        "STALE_POLICY",
        "policy.version",
    )
    gone = pb.DeletePolicyRequest(policy_id="raced", version=1)
    assert refusal(steering.DeletePolicy, gone)[:3] == (Code.ABORTED, "STALE_POLICY", "version")
    again = pb.CreatePolicyRequest(policy=first)
    assert refusal(steering.CreatePolicy, again)[:3] == (
        Code.ALREADY_EXISTS,
        "ALREADY_EXISTS",
        "policy.policy_id",
    )
    assert answer(steering, policy=ref("raced")) == answer(steering, COMEDY)


def test_a_deleted_policy_is_refused_but_its_versions_stay(sasrec) -> None:
    steering = sasrec.steering
    create(steering, "gone", NOIR)
    marker = delete(steering, "gone", comment="not used")
    assert (marker.version, marker.deleted, marker.comment) == (2, True, "not used")
    for named in (ref("gone"), ref("gone", 1), ref("gone", 2)):
        code, _, field, message = refusal(steering.Recommend, recommend(policy=named))
        assert (code, field) == (Code.NOT_FOUND, "policy")
        assert "was deleted" in message
    assert refusal(steering.GetPolicy, pb.GetPolicyRequest(policy_id="gone"))[0] is Code.NOT_FOUND
    assert refusal(steering.DeletePolicy, pb.DeletePolicyRequest(policy_id="gone"))[:3] == (
        Code.NOT_FOUND,
        "NOT_FOUND",
        "policy_id",
    )
    listed = steering.ListPolicyVersions(pb.ListPolicyVersionsRequest(policy_id="gone")).policies
    assert [(one.version, one.deleted) for one in listed] == [(2, True), (1, False)]
    first = steering.GetPolicy(pb.GetPolicyRequest(policy_id="gone", version=1)).policy
    assert list(first.edits) == [NOIR]
    assert create(steering, "gone", COMEDY).version == 3
    assert answer(steering, policy=ref("gone")) == answer(steering, COMEDY)
    assert answer(steering, policy=ref("gone", 1)) == answer(steering, NOIR)
    assert refusal(steering.Recommend, recommend(policy=ref("gone", 2)))[0] is Code.NOT_FOUND


def test_more_than_a_hundred_edits_together_are_refused(sasrec) -> None:
    create(sasrec.steering, "long", *[pb.Edit(latent=n % 32, add=0.01) for n in range(60)])
    fits = [pb.Edit(latent=1, add=0.01)] * 40
    assert sasrec.steering.Recommend(recommend(*fits, policy=ref("long"))).items
    code, _, field, message = refusal(
        sasrec.steering.Recommend, recommend(*fits, fits[0], policy=ref("long"))
    )
    assert (code, field) == (INVALID, "edits")
    assert "40" in message


def test_limits_and_exclusions_of_both_hold(sasrec) -> None:
    steering = sasrec.steering
    untouched = [item.item_id for item in answer(steering, top_k=40).items]
    comedies = [item for item in untouched if not int(item[5:]) % 2]
    dramas = [item for item in untouched if int(item[5:]) % 2]
    create(
        steering,
        "limited",
        constraints=pb.Constraints(
            exclude_item_ids=[untouched[0], "nowhere", "elsewhere"],
            tag_limits=[
                pb.TagLimit(tag="Drama", max_items=1),
                pb.TagLimit(tag="Crime", max_items=4),
            ],
        ),
    )
    got = answer(
        steering,
        policy=ref("limited"),
        constraints=pb.Constraints(
            exclude_item_ids=[untouched[1], untouched[0], "nowhere"],
            tag_limits=[
                pb.TagLimit(tag="Drama", max_items=3),
                pb.TagLimit(tag="Crime", max_items=2),
            ],
        ),
    )
    allowed = [item for item in untouched if item not in untouched[:2]]
    kept = [item for item in dramas if item in allowed][:1]
    kept += [item for item in comedies if item in allowed][:2]
    assert [item.item_id for item in got.items] == [item for item in untouched if item in kept]
    assert got.effect.unknown_excluded_items == 2


def test_variants_of_a_comparison_name_policies(sasrec) -> None:
    create(sasrec.steering, "compared", NOIR)
    compared = sasrec.steering.Compare(
        pb.CompareRequest(
            subject=pb.Subject(user_id="user-0"),
            variants=[
                pb.Variant(name="stored", policy=ref("compared")),
                pb.Variant(name="none", policy=ref("nope")),
                pb.Variant(name="given", edits=[NOIR]),
            ],
        )
    )
    stored_, none, given = compared.outcomes
    assert stored_.answer == given.answer
    assert (none.failure.reason, none.failure.field) == ("NOT_FOUND", "policy")


def test_entries_of_a_batch_name_policies_of_their_own(sasrec) -> None:
    create(sasrec.steering, "batched", NOIR)
    batch = pb.BatchRecommendRequest(
        requests=[
            recommend(policy=ref("batched")),
            recommend(policy=ref("nope")),
            recommend(NOIR),
        ]
    )
    named, failed, mine = sasrec.steering.BatchRecommend(batch).outcomes
    assert named.response.policy == ref("batched", 1)
    assert (failed.failure.reason, failed.failure.field) == ("NOT_FOUND", "policy")
    assert named.response.items == mine.response.items
