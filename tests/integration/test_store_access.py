"""Every part can do its work in a real store, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from deployed_servers import AUTOENCODER, Deployed, refused, release_of_nothing
from pydantic import SecretStr

from reclens.concepts.llm.chat import ChatAnswer
from reclens.contracts import (
    AutoencoderSpec,
    CaptureSpec,
    ConceptCorrection,
    ConceptShardSpec,
    ConceptsSpec,
    DatasetSpec,
    EvaluationSpec,
    JobSpec,
    PipelineSpec,
    RecommenderSpec,
)
from reclens.ops.deployment.access import Account
from reclens.platform.jobs.checkpoints import CheckpointStore
from reclens.platform.llm.answer_cache import AnswerStore
from reclens.platform.store.artifacts import ArtifactWriter
from reclens.platform.store.label_corrections import CorrectionLog
from reclens.platform.store.policy_log import PolicyLog
from reclens.steering.policies import StoredPolicy

MAKES: dict[type[JobSpec], Account] = {
    DatasetSpec: Account.RECOMMENDER,
    RecommenderSpec: Account.RECOMMENDER,
    CaptureSpec: Account.RECOMMENDER,
    EvaluationSpec: Account.RECOMMENDER,
    AutoencoderSpec: Account.TRAINER,
    ConceptsSpec: Account.LABELER,
    ConceptShardSpec: Account.LABELER,
}
STORED = [part for part in Account if part is not Account.MONITORING]
# Who restores a backup puts back what all of them wrote.
WORKING = [part for part in STORED if part is not Account.RESTORE]
# Where each may put objects, and where it may remove them too.
REPLACES = {
    Account.RECOMMENDER: {"datasets", "recommenders", "activations", "evaluations"},
    Account.TRAINER: {"autoencoders"},
    Account.LABELER: {"concepts", "concept-shards"},
}
ADDS = {
    Account.RECOMMENDER: {"dead-letters"},
    Account.TRAINER: {"dead-letters"},
    Account.LABELER: {"dead-letters", "releases", "llm-cache"},
    Account.GATEWAY: {"policies"},
    Account.OPERATOR: {"edits"},
}
WRITTEN = {
    *(folder for folders in REPLACES.values() for folder in folders),
    *(f"checkpoints/{folder}" for folders in REPLACES.values() for folder in folders),
    *(folder for folders in ADDS.values() for folder in folders),
}
ADDS[Account.RESTORE] = WRITTEN
REMOVES = {
    Account.GC: WRITTEN - {"edits"},
}
FOLDERS = {
    *WRITTEN,
    "autoencoders-of-mine", "elsewhere", "checkpoints/elsewhere",
}  # fmt: skip


@pytest.mark.parametrize("part", STORED)
def test_objects_may_be_put_and_removed_where_the_part_works_alone(
    deployed: Deployed, part: Account
):
    objects, owner = deployed.objects(part), part.value
    own = REPLACES.get(part, set())
    replaces = own | {f"checkpoints/{folder}" for folder in own}
    may_put, may_put_new, may_remove = set(), set(), set()
    for folder in FOLDERS:
        for may, action in (
            (may_put, lambda key: objects.put(key, b"1")),
            (may_put_new, lambda key: objects.put_if_absent(f"{key}.new", b"1")),
            (may_remove, objects.delete),
        ):
            if not refused(lambda action=action, folder=folder: action(f"{folder}/{owner}/one")):
                may.add(folder)
    assert may_put == may_put_new == replaces | ADDS.get(part, set())
    assert may_remove == replaces | REMOVES.get(part, set())


@pytest.mark.parametrize("part", STORED)
def test_everybody_reads_everything(deployed: Deployed, part: Account):
    deployed.objects(Account.TRAINER).put("autoencoders/read/by-all", b"bytes")
    objects = deployed.objects(part)
    assert objects.get("autoencoders/read/by-all") == b"bytes"
    assert objects.exists("autoencoders/read/by-all")
    assert not objects.exists("autoencoders/read/not-there")
    assert objects.list("autoencoders/read/") == ["autoencoders/read/by-all"]


@pytest.mark.parametrize("part", STORED)
def test_nobody_makes_other_buckets_or_removes_this_one(deployed: Deployed, part: Account):
    objects = deployed.objects(part)
    objects.ensure_bucket()  # it is there
    assert refused(lambda: objects._client.make_bucket(bucket_name="another"))
    assert refused(lambda: objects._client.remove_bucket(bucket_name=objects.bucket))
    public = {"Version": "2012-10-17", "Statement": []}
    assert refused(
        lambda: objects._client.set_bucket_policy(
            bucket_name=objects.bucket, policy=json.dumps(public)
        )
    )


def test_wrong_and_missing_keys_get_nothing(deployed: Deployed):
    settings = deployed.s3_settings(Account.TRAINER)
    other, nobody = deployed.s3_settings(Account.LABELER).secret_key, SecretStr("reclens-nobody")
    for changed in ({"secret_key": other}, {"access_key": nobody}):
        objects = type(deployed.objects(Account.TRAINER))(settings.model_copy(update=changed))
        assert refused(lambda objects=objects: objects.list(""))


def _spec(kind: type[JobSpec]) -> JobSpec:
    # Unlike the pipeline that workers run here: what is committed is not removed again.
    of = PipelineSpec.parse({"dataset": {"k_core": 23}, "concepts": {"shard_latents": 4}})
    stages = {stage.task: stage.spec for stage in of.plan()}
    if kind is ConceptShardSpec:
        return ConceptShardSpec.of(ConceptsSpec.parse(stages[ConceptsSpec.JOB.task]), 16)[0]
    if kind is EvaluationSpec:
        concepts = f"concepts/{'a' * 16}"
        return EvaluationSpec.parse({"autoencoder": AUTOENCODER, "concepts": concepts})
    return kind.parse(stages[kind.JOB.task])


@pytest.mark.parametrize("kind", list(MAKES))
def test_artifacts_are_made_by_their_makers_alone(
    deployed: Deployed, kind: type[JobSpec], tmp_path: Path
):
    spec, large = _spec(kind), tmp_path / "large"
    large.write_bytes(b"0" * (6 << 20))  # above what is sent in one part
    for part in WORKING:
        store = deployed.store(part, tmp_path / part)
        writer, checkpoints = (
            ArtifactWriter(store, spec),
            CheckpointStore(store.objects, spec.artifact_ref()),
        )
        if MAKES[kind] is part:
            writer.add(large)
            checkpoints.save({}, {"step": 1})
            checkpoints.save({}, {"step": 2})
            checkpoints.clear()
            writer.discard()
            assert store.objects.list(f"{spec.artifact_ref()}/") == []
            writer.add(large)
        else:
            assert refused(lambda writer=writer: writer.add(large))
            assert refused(lambda checkpoints=checkpoints: checkpoints.save({}, {"step": 1}))


def test_releases_policies_edits_and_answers_have_one_writer_each(
    deployed: Deployed, tmp_path: Path
):
    release = release_of_nothing("tried")
    edit = ConceptCorrection.parse(
        {
            "operation": "rename",
            "latents": [1],
            "was": "Drama",
            "name": "Slow drama",
            "author": "somebody",
            "concept_id": "drama",
            "at": "2026-01-01T00:00:00+00:00",
        }
    )
    policy = StoredPolicy.parse(
        {
            "policy_id": "calm",
            "version": 1,
            "release": "tried",
            "autoencoder": AUTOENCODER,
            "author": "somebody",
            "changed_at": "2026-01-01T00:00:00+00:00",
        }
    )
    answer = ChatAnswer(
        text="yes",
        prompt_tokens=1,
        completion_tokens=1,
        model="m",
        seconds=0.1,
        finish_reason="stop",
    )
    for number, part in enumerate(WORKING):
        store = deployed.store(part, tmp_path / part)
        # Each its own, as reading comes before writing.
        edited, own = f"autoencoders/{number:016x}", policy.model_copy(update={"policy_id": part})
        writes: dict[Account, Callable[[], Any]] = {
            Account.OPERATOR: lambda store=store, edited=edited: CorrectionLog(
                store, edited
            ).append(edit, seen=0),
            Account.GATEWAY: lambda store=store, own=own: PolicyLog(store.objects).create(own),
        }
        for owner, write in writes.items():
            assert refused(write) is (owner is not part)
        # Another one each: what is newest already is not written again.
        version = release.model_copy(update={"version": f"{number:016x}"})
        assert refused(lambda store=store, version=version: store.releases.publish(version)) is (
            part is not Account.LABELER
        )
        answers = AnswerStore(store.objects, "tgi")
        assert refused(lambda answers=answers: answers.put("v1", "ab" * 8, answer)) is (
            part is not Account.LABELER
        )
