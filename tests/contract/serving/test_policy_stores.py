"""The store of policies, as several gateways see it over the wire, and its audit."""

from __future__ import annotations

import base64
import json
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
import structlog
from cut_wire import CutWire
from policy_calls import COMEDY, NOIR, answer, create, delete, recommend, ref, update
from refusals import refusal

from reclens.api.steering.v1 import steering_pb2 as pb
from reclens.contracts import sha256_hex
from reclens.errors import Unavailable
from reclens.platform.store.policy_log import PolicyLog
from reclens.steering.policies import StoredPolicy

Code = grpc.StatusCode


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
    # As somebody may forge it who has seen one: a number that Python refuses to read.
    _, query, offset = json.loads(base64.urlsafe_b64decode(begun.next_page_token))
    forged = base64.urlsafe_b64encode(json.dumps(["9" * 5000, query, offset]).encode()).decode()
    other = pb.ListPolicyVersionsRequest(policy_id="a", page_token=forged)
    assert refusal(steering.ListPolicyVersions, other)[0:3:2] == (
        Code.INVALID_ARGUMENT,
        "page_token",
    )


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
