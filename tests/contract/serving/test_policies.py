"""Stored policies over the wire: what is stored is what is applied, by every gateway."""

from __future__ import annotations

import json
import math
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import grpc
import pytest
import structlog
from cut_wire import CutWire
from refusals import refusal

from reclens.adapters.policy_log import PolicyLog
from reclens.api.steering.v1 import steering_pb2 as pb
from reclens.contracts import StoredPolicy, sha256_hex
from reclens.errors import Unavailable

Code = grpc.StatusCode
INVALID = Code.INVALID_ARGUMENT
NOIR = pb.Edit(concept_id="film-noir", add=0.5)
COMEDY = pb.Edit(concept_id="comedy", add=-0.7)
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


def recommend(*edits: pb.Edit, **fields) -> pb.RecommendRequest:
    return pb.RecommendRequest(subject=pb.Subject(user_id="user-0"), edits=edits, **fields)


def create(steering, policy_id: str, *edits: pb.Edit, **given) -> pb.Policy:
    policy = pb.Policy(policy_id=policy_id, edits=edits, **given)
    return steering.CreatePolicy(pb.CreatePolicyRequest(policy=policy)).policy


def update(steering, policy: pb.Policy, *edits: pb.Edit, **given) -> pb.Policy:
    new = pb.Policy(policy_id=policy.policy_id, version=policy.version, edits=edits, **given)
    return steering.UpdatePolicy(pb.UpdatePolicyRequest(policy=new)).policy


def delete(steering, policy_id: str, **given) -> pb.Policy:
    request = pb.DeletePolicyRequest(policy_id=policy_id, **given)
    return steering.DeletePolicy(request).policy


def ref(policy_id: str, version: int = 0) -> pb.PolicyRef:
    return pb.PolicyRef(policy_id=policy_id, version=version)


def answer(steering, *edits: pb.Edit, **given) -> pb.RecommendResponse:
    """The answer, but for what must differ from call to call."""
    response = steering.Recommend(recommend(*edits, request_id="same", **given))
    response.ClearField("policy")
    return response


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


@pytest.mark.parametrize(
    ("given", "code", "field"),
    [
        ({"policy_id": ""}, INVALID, "policy.policy_id"),
        ({"policy_id": "Upper"}, INVALID, "policy.policy_id"),
        ({"policy_id": "1st"}, INVALID, "policy.policy_id"),
        ({"policy_id": "a/../b"}, INVALID, "policy.policy_id"),
        ({"policy_id": "line\n"}, INVALID, "policy.policy_id"),
        ({"policy_id": "x" * 64}, INVALID, "policy.policy_id"),
        ({"description": "x" * 1001}, INVALID, "policy.description"),
        ({"description": "\x1b[31m"}, INVALID, "policy.description"),
        ({"comment": "x" * 1001}, INVALID, "policy.comment"),
        ({"release": "other"}, Code.NOT_FOUND, "policy.release"),
        ({"mode": 7}, INVALID, "policy.mode"),
        ({"edits": [NOIR] * 101}, INVALID, "policy.edits"),
        ({"edits": [NOIR, pb.Edit(latent=32, add=1)]}, INVALID, "policy.edits[1].latent"),
        (
            {"edits": [pb.Edit(concept_id="nope", add=1)]},
            Code.NOT_FOUND,
            "policy.edits[0].concept_id",
        ),
        ({"edits": [pb.Edit(latent=1, add=math.nan)]}, INVALID, "policy.edits[0].add"),
        ({"edits": [pb.Edit(latent=1, set=-1)]}, INVALID, "policy.edits[0].set"),
        ({"edits": [pb.Edit(add=1)]}, INVALID, "policy.edits[0].target"),
        ({"edits": [pb.Edit(latent=1)]}, INVALID, "policy.edits[0].operation"),
        (
            {"edits": [pb.Edit(latent=1, add=1, when=[pb.Condition(latent=40, above=0)])]},
            INVALID,
            "policy.edits[0].when[0].latent",
        ),
        (
            {"edits": [pb.Edit(blend=pb.Blend(), add=1)]},
            INVALID,
            "policy.edits[0].blend.parts",
        ),
        (
            {"constraints": pb.Constraints(tag_limits=[pb.TagLimit(tag="Nope")])},
            Code.NOT_FOUND,
            "policy.constraints.tag_limits[0].tag",
        ),
        (
            {"constraints": pb.Constraints(exclude_item_ids=["x"] * 10_001)},
            INVALID,
            "policy.constraints.exclude_item_ids",
        ),
        (
            {
                "constraints": pb.Constraints(
                    exclude_item_ids=["x" * 60 + str(n) for n in range(5000)]
                )
            },
            INVALID,
            "policy",
        ),
    ],
)
def test_what_a_request_would_be_refused_for_is_not_stored(sasrec, given, code, field) -> None:
    policy = pb.Policy(**{"policy_id": "bad", **given})
    for method, request in (
        (sasrec.steering.CreatePolicy, pb.CreatePolicyRequest(policy=policy)),
        (sasrec.steering.UpdatePolicy, pb.UpdatePolicyRequest(policy=policy)),
    ):
        policy.version = 1
        request.policy.version = 1
        got = refusal(method, request)
        assert (got[0], got[2]) == (code, field)
    assert sasrec.gateway.policies.log.versions("bad") == []


@pytest.mark.parametrize(
    ("method", "request_", "code", "field"),
    [
        ("GetPolicy", pb.GetPolicyRequest(), INVALID, "policy_id"),
        ("GetPolicy", pb.GetPolicyRequest(policy_id="nope"), Code.NOT_FOUND, "policy_id"),
        ("DeletePolicy", pb.DeletePolicyRequest(policy_id="nope"), Code.NOT_FOUND, "policy_id"),
        ("DeletePolicy", pb.DeletePolicyRequest(policy_id="a b"), INVALID, "policy_id"),
        (
            "DeletePolicy",
            pb.DeletePolicyRequest(policy_id="nope", comment="\0"),
            INVALID,
            "comment",
        ),
        (
            "UpdatePolicy",
            pb.UpdatePolicyRequest(policy=pb.Policy(policy_id="nope")),
            INVALID,
            "policy.version",
        ),
        (
            "UpdatePolicy",
            pb.UpdatePolicyRequest(policy=pb.Policy(policy_id="nope", version=1)),
            Code.NOT_FOUND,
            "policy.policy_id",
        ),
        ("CreatePolicy", pb.CreatePolicyRequest(), INVALID, "policy.policy_id"),
        ("ListPolicies", pb.ListPoliciesRequest(page_size=1001), INVALID, "page_size"),
        ("ListPolicies", pb.ListPoliciesRequest(page_token="?"), INVALID, "page_token"),
        (
            "ListPolicyVersions",
            pb.ListPolicyVersionsRequest(policy_id="nope"),
            Code.NOT_FOUND,
            "policy_id",
        ),
        ("Recommend", recommend(policy=ref("nope")), Code.NOT_FOUND, "policy"),
        ("Recommend", recommend(policy=ref("../../x" * 1000)), Code.NOT_FOUND, "policy"),
        ("Recommend", recommend(policy=ref("", 3)), INVALID, "policy.policy_id"),
        ("Recommend", recommend(policy=ref("")), INVALID, "policy.policy_id"),
    ],
)
def test_calls_name_the_field_that_cannot_be_used(sasrec, method, request_, code, field) -> None:
    got = refusal(getattr(sasrec.steering, method), request_)
    assert (got[0], got[2]) == (code, field)


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


def test_lists_go_by_pages(stack) -> None:
    stack.publisher.world()
    gateway = stack.start_gateway("127.0.0.1:1", load_seconds=1)
    stack.refresh(gateway)
    stack.loop.run(gateway.policies.refresh())
    steering = stack.steering(gateway)
    names = ["a", "b", "c", "d", "e"]
    for name in reversed(names):
        made = create(steering, name, NOIR)
    delete(steering, "c")
    for _ in range(4):
        made = update(steering, made, NOIR)
    first = steering.ListPolicies(pb.ListPoliciesRequest(page_size=2))
    assert [one.policy_id for one in first.policies] == ["a", "b"]
    # What comes before does not shift the next page.
    create(steering, "aa", NOIR)
    token = first.next_page_token
    second = steering.ListPolicies(pb.ListPoliciesRequest(page_size=2, page_token=token))
    assert [one.policy_id for one in second.policies] == ["d", "e"]
    assert not second.next_page_token
    begun = steering.ListPolicyVersions(pb.ListPolicyVersionsRequest(policy_id="a", page_size=2))
    assert [one.version for one in begun.policies] == [5, 4]
    update(steering, made, NOIR)
    rest = steering.ListPolicyVersions(
        pb.ListPolicyVersionsRequest(policy_id="a", page_size=3, page_token=begun.next_page_token)
    )
    assert [one.version for one in rest.policies] == [3, 2, 1]
    assert not rest.next_page_token
    other = pb.ListPolicyVersionsRequest(policy_id="b", page_token=begun.next_page_token)
    assert refusal(steering.ListPolicyVersions, other)[2] == "page_token"


def test_pages_stay_small_where_policies_are_large(sasrec, monkeypatch) -> None:
    monkeypatch.setattr("reclens_gateway.calls.policies.MAX_PAGE_BYTES", 5000)
    made = create(sasrec.steering, "large", description="x" * 1000)
    for _ in range(6):
        made = update(sasrec.steering, made, description="x" * 1000)
    seen: list[int] = []
    request = pb.ListPolicyVersionsRequest(policy_id="large")
    while True:
        page = sasrec.steering.ListPolicyVersions(request)
        assert 1 <= len(page.policies) <= 4
        seen += [one.version for one in page.policies]
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert seen == [7, 6, 5, 4, 3, 2, 1]


def test_policies_outlive_their_gateway_and_reach_others(stack) -> None:
    stack.publisher.world()
    server = stack.start_inference()
    first, second = (stack.start_gateway(server.address) for _ in range(2))
    stack.refresh(server, first, second)
    stack.loop.run(second.policies.refresh())
    here, there = stack.steering(first), stack.steering(second)
    made = create(here, "shared", NOIR)
    # A name that is not known is looked for at once.
    assert answer(there, policy=ref("shared")) == answer(here, NOIR)
    update(here, made, COMEDY)
    assert answer(here, policy=ref("shared")) == answer(here, COMEDY)
    # So is a version that is not known; otherwise the change is seen at the next reading.
    assert answer(there, policy=ref("shared", 2)) == answer(here, COMEDY)
    assert answer(there, policy=ref("shared")) == answer(here, NOIR)
    stack.loop.run(second.policies.refresh())
    assert answer(there, policy=ref("shared")) == answer(here, COMEDY)
    delete(there, "shared")
    stack.loop.run(first.policies.refresh())
    assert refusal(here.Recommend, recommend(policy=ref("shared")))[0] is Code.NOT_FOUND
    create(there, "kept", NOIR)
    third = stack.start_gateway(server.address)
    stack.refresh(third)
    assert answer(stack.steering(third), policy=ref("kept")) == answer(here, NOIR)


def test_of_two_who_change_it_through_two_gateways_one_wins(stack) -> None:
    stack.publisher.world()
    gateways = [stack.start_gateway("127.0.0.1:1", load_seconds=1) for _ in range(2)]
    stack.refresh(*gateways)
    stubs = [stack.steering(gateway) for gateway in gateways]
    made = create(stubs[0], "raced", NOIR)

    def change(index: int) -> Code | None:
        try:
            update(stubs[index % 2], made, COMEDY, comment=f"writer {index}")
        except grpc.RpcError as error:
            return error.code()
        return None

    with ThreadPoolExecutor(8) as pool:
        codes = list(pool.map(change, range(8)))
    assert sorted(codes, key=str) == [Code.ABORTED] * 7 + [None] or codes.count(None) == 1
    assert set(codes) == {None, Code.ABORTED}
    newest = gateways[0].policies.log.version("raced", 2)
    assert newest.comment == f"writer {codes.index(None)}"
    assert gateways[0].policies.log.versions("raced") == [1, 2]
    # Whoever was refused sees what was in the way, without waiting for the next reading.
    for stub in stubs:
        got = stub.GetPolicy(pb.GetPolicyRequest(policy_id="raced")).policy
        assert got.comment == newest.comment


def stored(policy_id: str, autoencoder: str, *edits: dict) -> StoredPolicy:
    return StoredPolicy.parse(
        {
            "policy_id": policy_id,
            "version": 1,
            "release": "default",
            "edits": edits,
            "autoencoder": autoencoder,
            "changed_at": "2026-01-01T00:00:00+00:00",
        }
    )


def test_latents_of_another_autoencoder_are_refused_and_concepts_carry_over(stack) -> None:
    stack.publisher.world()
    server = stack.start_inference()
    gateway = stack.start_gateway(server.address)
    stack.refresh(server, gateway)
    steering = stack.steering(gateway)
    by_concept = create(steering, "by-concept", NOIR)
    naming = {
        "by-latent": pb.Edit(latent=3, add=0.4),
        "in-blend": pb.Edit(blend=pb.Blend(parts=[pb.BlendPart(latent=3, weight=1)]), add=0.4),
        "in-condition": pb.Edit(
            concept_id="comedy", add=0.4, when=[pb.Condition(latent=3, above=0)]
        ),
    }
    for name, edit in naming.items():
        create(steering, name, edit)
    # As if written for a release whose concepts this one no longer has.
    elsewhere = "autoencoders/0123456789abcdef"
    edit = {"concept_id": "silent-films", "add": 0.4}
    gateway.policies.log.create(stored("vanished", elsewhere, edit))
    world = stack.publisher.world(seed=1)
    assert world.release.autoencoder != by_concept.autoencoder
    stack.refresh(server, gateway)
    assert answer(steering, policy=ref("by-concept")) == answer(steering, NOIR)
    for name in naming:
        code, _, field, message = refusal(steering.Recommend, recommend(policy=ref(name)))
        assert (code, field) == (Code.FAILED_PRECONDITION, "policy")
        assert "update the policy" in message
    code, _, field, message = refusal(steering.Recommend, recommend(policy=ref("vanished")))
    assert (code, field) == (Code.NOT_FOUND, "policy")
    assert "silent-films" in message
    # Checked again when written, and then of this autoencoder.
    got = steering.GetPolicy(pb.GetPolicyRequest(policy_id="by-latent")).policy
    again = update(steering, got, *got.edits)
    assert again.autoencoder == world.release.autoencoder
    assert answer(steering, policy=ref("by-latent")) == answer(steering, naming["by-latent"])


def test_a_damaged_policy_harms_no_other(stack) -> None:
    stack.publisher.world()
    server = stack.start_inference()
    gateway = stack.start_gateway(server.address)
    stack.refresh(server, gateway)
    steering = stack.steering(gateway)
    for name in ("bad", "good"):
        update(steering, create(steering, name, NOIR), COMEDY)
    stack.publisher.store.objects.put("policies/bad/000002.json", b"{")
    fresh = stack.start_gateway(server.address)
    stack.refresh(fresh)
    stack.loop.run(fresh.policies.refresh())
    steering = stack.steering(fresh)
    code, reason, field, _ = refusal(steering.Recommend, recommend(policy=ref("bad")))
    assert (code, reason, field) == (Code.DATA_LOSS, "CORRUPT_ARTIFACT", "policy")
    assert answer(steering, policy=ref("bad", 1)) == answer(steering, NOIR)
    assert answer(steering, policy=ref("good")) == answer(steering, COMEDY)
    listed = steering.ListPolicies(pb.ListPoliciesRequest()).policies
    assert [one.policy_id for one in listed] == ["good"]
    # Its owner replaces it.
    update(steering, pb.Policy(policy_id="bad", version=2), NOIR)
    assert answer(steering, policy=ref("bad")) == answer(steering, NOIR)


def test_with_the_store_away_what_is_loaded_serves_and_the_rest_is_unavailable(stack) -> None:
    stack.publisher.world()
    server = stack.start_inference()
    wire = CutWire(stack.store_settings["s3"].endpoint)
    stack.loop.run(wire.open())
    beyond = stack.store_settings["s3"].model_copy(update={"endpoint": wire.address})
    stack.store_settings["s3"] = beyond
    gateway = stack.start_gateway(server.address)
    stack.refresh(server, gateway)
    steering = stack.steering(gateway)
    update(steering, create(steering, "loaded", NOIR), COMEDY)
    expected = answer(steering, COMEDY)
    stack.loop.run(wire.cut())
    assert answer(steering, policy=ref("loaded")) == expected
    assert answer(steering, policy=ref("loaded", 1)) == answer(steering, NOIR)
    for named in (ref("other"), ref("loaded", 3)):
        got = refusal(steering.Recommend, recommend(policy=named))
        assert got[:2] == (Code.UNAVAILABLE, "UNAVAILABLE")
    change = pb.UpdatePolicyRequest(policy=pb.Policy(policy_id="loaded", version=2))
    assert refusal(steering.UpdatePolicy, change)[0] is Code.UNAVAILABLE
    with pytest.raises(Unavailable):
        stack.loop.run(gateway.policies.refresh())
    assert answer(steering, policy=ref("loaded")) == expected
    # A gateway that comes up now knows no policy at all, and says so.
    late = stack.start_gateway(server.address)
    with pytest.raises(Unavailable):
        stack.loop.run(late.policies.get("loaded"))
    listing = refusal(stack.steering(late).ListPolicies, pb.ListPoliciesRequest())
    assert listing[0] is Code.UNAVAILABLE


def test_every_change_is_logged_without_what_it_holds(sasrec) -> None:
    with structlog.testing.capture_logs() as entries:
        made = create(
            sasrec.steering,
            "audited",
            NOIR,
            description="secret plan",
            constraints=pb.Constraints(exclude_item_ids=["item-9"]),
        )
        update(sasrec.steering, made, NOIR, COMEDY, constraints=made.constraints)
        refusal(sasrec.steering.UpdatePolicy, pb.UpdatePolicyRequest(policy=made))
        delete(sasrec.steering, "audited")
    changes = [entry for entry in entries if entry["event"] == "policy changed"]
    told = [
        (one["policy_id"], one["version"], one["operation"], one["edits_before"],
         one["edits_after"], one["changed"])
        for one in changes
    ]  # fmt: skip
    every = ["description", "release", "edits", "mode", "constraints", "autoencoder"]
    assert told == [
        ("audited", 1, "create", None, 1, every),
        ("audited", 2, "update", 1, 2, ["description", "edits"]),
        ("audited", 3, "delete", 2, 0, ["release", "edits", "constraints", "autoencoder"]),
    ]
    requests = [PolicyLog.version(sasrec.gateway.policies.log, "audited", n) for n in (1, 2, 3)]
    assert [one["request_id"] for one in changes] == [one.request_id for one in requests]
    assert all(one.request_id for one in requests)
    assert not any(word in str(changes) for word in ("secret", "item-9", "film-noir"))


def test_the_author_is_who_the_token_says(stack, tmp_path) -> None:
    token = "reclens_only-for-this-test"
    entries = [
        {"client": "ann", "sha256": sha256_hex(token.encode()), "scopes": ["read", "admin"]},
        {"client": "bob", "sha256": sha256_hex(b"other"), "scopes": ["read", "steer"]},
    ]
    path = tmp_path / "tokens.json"
    path.write_text(json.dumps({"tokens": entries}))
    stack.publisher.world()
    gateway = stack.start_gateway("127.0.0.1:1", load_seconds=1, auth={"tokens_file": path})
    stack.refresh(gateway)
    steering = stack.steering(gateway)
    policy = pb.CreatePolicyRequest(policy=pb.Policy(policy_id="signed", author="carol"))

    def create_as(shown: str) -> pb.Policy:
        bearer = (("authorization", f"Bearer {shown}"),)
        return steering.CreatePolicy(policy, metadata=bearer).policy

    with structlog.testing.capture_logs() as entries:
        assert create_as(token).author == "ann"
    assert [one["author"] for one in entries if one["event"] == "policy changed"] == ["ann"]
    assert gateway.policies.log.version("signed", 1).author == "ann"
    with pytest.raises(grpc.RpcError) as refused:
        create_as("other")
    assert refused.value.code() is Code.PERMISSION_DENIED
    assert gateway.policies.log.versions("signed") == [1]
