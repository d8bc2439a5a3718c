"""What ``policies`` sends to a gateway, and how it shows its answer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest

from reclens.api.steering.v1 import steering_pb2 as pb
from reclens.api.steering.v1 import steering_pb2_grpc
from reclens.cli.main import run

CALM = pb.Policy(
    policy_id="calm",
    version=2,
    description="quiet\nevenings",
    release="default",
    edits=[
        pb.Edit(concept_id="film-noir", add=0.4),
        pb.Edit(latent=7, set=1.5, when=[pb.Condition(concept_id="comedy", above=0.0)]),
        pb.Edit(concept_id="horror", ablate=pb.Ablate()),
        pb.Edit(
            blend=pb.Blend(
                parts=[pb.BlendPart(latent=3, weight=1), pb.BlendPart(concept_id="war", weight=-2)]
            ),
            add=-0.5,
        ),
    ],
    mode=pb.STEERING_MODE_RESIDUAL,
    constraints=pb.Constraints(
        exclude_item_ids=["50"], tag_limits=[pb.TagLimit(tag="Horror", max_items=2)]
    ),
    autoencoder="autoencoders/0123456789abcdef",
    author="ann",
    changed_at="2026-01-02T00:00:00.000+00:00",
    comment="more \x1b[31mnoir",
)


def earlier() -> pb.Policy:
    policy = pb.Policy()
    policy.CopyFrom(CALM)
    policy.version, policy.author, policy.comment = 1, "", "first"
    policy.edits[0].add = 0.2
    policy.constraints.Clear()
    return policy


class _Recording(steering_pb2_grpc.SteeringServiceServicer):
    """Answers with two versions of one policy and keeps what it was asked."""

    def __init__(self) -> None:
        self.requests: list = []

    def _kept(self, request) -> None:
        self.requests.append(request)

    def CreatePolicy(self, request, context):  # noqa: N802
        self._kept(request)
        return pb.CreatePolicyResponse(policy=request.policy)

    def UpdatePolicy(self, request, context):  # noqa: N802
        self._kept(request)
        return pb.UpdatePolicyResponse(policy=request.policy)

    def GetPolicy(self, request, context):  # noqa: N802
        return pb.GetPolicyResponse(policy=earlier() if request.version == 1 else CALM)

    def ListPolicies(self, request, context):  # noqa: N802
        return pb.ListPoliciesResponse(policies=[CALM])

    def ListPolicyVersions(self, request, context):  # noqa: N802
        gone = pb.Policy(policy_id="calm", version=3, deleted=True, changed_at="2026-01-03")
        return pb.ListPolicyVersionsResponse(policies=[gone, CALM, earlier()])

    def DeletePolicy(self, request, context):  # noqa: N802
        self._kept(request)
        return pb.DeletePolicyResponse(policy=pb.Policy(policy_id="calm", version=3, deleted=True))


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch) -> Iterator[_Recording]:
    servicer = _Recording()
    server = grpc.server(ThreadPoolExecutor(1))
    steering_pb2_grpc.add_SteeringServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    monkeypatch.setenv("RECLENS_CLIENT__TARGET", f"127.0.0.1:{port}")
    yield servicer
    server.stop(grace=None).wait()


def test_options_make_a_policy(gateway: _Recording):
    edits = ["--more", "film-noir", "--less", "7:2", "--blend", "war:1,3:-2@0.5", "--when", "war<1"]
    limits = ["--exclude", "50, 51", "--limit", "Sci:Fi:2"]
    other = ["--mode", "reconstruct", "--description", "quiet", "--release", "demo"]
    assert run(["policies", "create", "calm", *edits, *limits, *other, "--comment", "why"]) == 0
    (request,) = gateway.requests
    test = pb.Condition(concept_id="war", below=1)
    assert request.policy == pb.Policy(
        policy_id="calm",
        edits=[
            pb.Edit(concept_id="film-noir", add=0.2, when=[test]),
            pb.Edit(latent=7, add=-2, when=[test]),
            pb.Edit(
                blend=pb.Blend(
                    parts=[
                        pb.BlendPart(concept_id="war", weight=1),
                        pb.BlendPart(latent=3, weight=-2),
                    ]
                ),
                add=0.5,
                when=[test],
            ),
        ],
        constraints=pb.Constraints(
            exclude_item_ids=["50", "51"], tag_limits=[pb.TagLimit(tag="Sci:Fi", max_items=2)]
        ),
        mode=pb.STEERING_MODE_RECONSTRUCT,
        description="quiet",
        release="demo",
        comment="why",
    )


def test_what_show_prints_as_json_is_a_file_for_update(
    gateway: _Recording, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert run(["policies", "show", "calm", "--version", "1", "--json"]) == 0
    path = tmp_path / "calm.json"
    path.write_text(capsys.readouterr().out)
    assert run(["policies", "update", "calm", "-f", str(path), "--comment", "back"]) == 0
    expected = earlier()
    expected.comment = "back"
    # With the version that it was read as, so that a change meanwhile is noticed.
    assert gateway.requests[0].policy == expected
    assert run(["policies", "update", "calm", "-f", str(path), "--based-on", "2"]) == 0
    assert gateway.requests[1].policy.version == 2


def test_a_file_may_be_yaml(gateway: _Recording, tmp_path: Path):
    path = tmp_path / "calm.yaml"
    path.write_text(
        """
        description: quiet evenings
        edits:
        - {concept_id: film-noir, add: 0.4}
        - {latent: 7, ablate: {}, when: [{concept_id: comedy, below: 0.5}]}
        - add: 0.3
          blend: {parts: [{latent: 3, weight: 1}, {concept_id: war, weight: -2}]}
        constraints:
          tag_limits: [{tag: Horror, max_items: 0}]
        mode: STEERING_MODE_RESIDUAL
        """
    )
    assert run(["policies", "create", "calm", "--file", str(path)]) == 0
    assert run(["policies", "update", "calm", "--file", str(path), "--more", "comedy"]) == 0
    made, changed = (request.policy for request in gateway.requests)
    condition = pb.Condition(concept_id="comedy", below=0.5)
    assert list(made.edits[:2]) == [
        pb.Edit(concept_id="film-noir", add=0.4),
        pb.Edit(latent=7, ablate=pb.Ablate(), when=[condition]),
    ]
    assert made.edits[2].blend.parts[1] == pb.BlendPart(concept_id="war", weight=-2)
    assert made.constraints.tag_limits[0].tag == "Horror"
    assert (made.mode, made.version) == (pb.STEERING_MODE_RESIDUAL, 0)
    # The file says no version: the change is based on the newest.
    assert (changed.version, list(changed.edits)) == (2, [pb.Edit(concept_id="comedy", add=0.2)])


def test_options_of_update_replace_a_part(gateway: _Recording):
    assert run(["policies", "update", "calm", "--less", "war:0.1"]) == 0
    assert run(["policies", "update", "calm", "--description", "", "--limit", "War:1"]) == 0
    edited, described = (request.policy for request in gateway.requests)
    expected = pb.Policy()
    expected.CopyFrom(CALM)
    expected.comment = ""
    del expected.edits[:]
    expected.edits.add(concept_id="war", add=-0.1)
    assert edited == expected
    assert described.description == ""
    assert list(described.edits) == list(CALM.edits)
    assert described.constraints == pb.Constraints(tag_limits=[pb.TagLimit(tag="War", max_items=1)])


def test_show_tells_what_it_does_and_what_each_version_changed(
    gateway: _Recording, capsys: pytest.CaptureFixture[str]
):
    assert run(["policies", "show", "calm"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "calm  version 2, 2026-01-02T00:00:00.000+00:00 by ann: more  [31mnoir",
        "  for      quiet evenings",
        "  release  default (autoencoders/0123456789abcdef)",
        "  mode     residual",
        "  edit     film-noir: add +0.4",
        "  edit     latent 7: set 1.5, where comedy is above 0",
        "  edit     horror: ablate",
        "  edit     blend of +1 latent 3, -2 war: add -0.5",
        "  at most  2 of Horror",
        "  never    50",
        "versions",
        "  version 3, 2026-01-03",
        "    deleted",
        "  version 2, 2026-01-02T00:00:00.000+00:00 by ann: more  [31mnoir",
        "    - edit     film-noir: add +0.2",
        "    + edit     film-noir: add +0.4",
        "    + at most  2 of Horror",
        "    + never    50",
        "  version 1, 2026-01-02T00:00:00.000+00:00: first",
        "    + for      quiet evenings",
        "    + release  default (autoencoders/0123456789abcdef)",
        "    + mode     residual",
        "    + edit     film-noir: add +0.2",
        "    + edit     latent 7: set 1.5, where comedy is above 0",
        "    + edit     horror: ablate",
        "    + edit     blend of +1 latent 3, -2 war: add -0.5",
    ]


def test_lists_and_versions(gateway: _Recording, capsys: pytest.CaptureFixture[str]):
    assert run(["policies", "list"]) == 0
    shown = capsys.readouterr().out
    assert "calm" in shown
    assert "quiet evenings" in shown
    assert run(["policies", "versions", "calm", "--last", "2", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [(one["version"], one["deleted"]) for one in told] == [(3, True), (2, False)]
    # A version at the end of what is shown is still compared with the one before it.
    assert run(["policies", "versions", "calm", "--last", "2"]) == 0
    assert "- edit     film-noir: add +0.2" in capsys.readouterr().out


def test_delete_says_which_version_it_means(gateway: _Recording):
    assert run(["policies", "delete", "calm", "--version", "2", "--comment", "old"]) == 0
    assert gateway.requests == [pb.DeletePolicyRequest(policy_id="calm", version=2, comment="old")]


@pytest.mark.parametrize(
    "text", ["- a\n", "{", "edits: 7", "surprise: 1", "edits: [{add: much}]", "\x00"]
)
def test_a_file_that_holds_no_policy_is_an_error(
    gateway: _Recording, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
):
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    assert run(["policies", "create", "calm", "--file", str(path)]) == 2
    assert capsys.readouterr().err.startswith("error: file: ")
    assert gateway.requests == []


def test_what_cannot_be_meant_is_wrong_usage(gateway: _Recording):
    assert run(["policies", "update", "calm"]) == 2
    assert run(["policies", "create", "calm", "--limit", "Horror"]) == 2
    assert run(["policies", "create", "calm", "--more", "noir:x"]) == 2
    assert run(["policies", "create", "calm", "--file", "/no/such/file"]) == 3
    assert gateway.requests == []
