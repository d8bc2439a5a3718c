"""The logs of policies, in a real object store."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from reclens.errors import AlreadyExists, CorruptArtifact, NotFound, StalePolicy
from reclens.platform.settings.models import S3Settings
from reclens.platform.store.objects import ObjectStore, S3Store
from reclens.platform.store.policy_log import PolicyLog
from reclens.steering.policies import StoredPolicy


@pytest.fixture
def objects(own_bucket: S3Settings) -> ObjectStore:
    return S3Store(own_bucket)


@pytest.fixture
def log(objects: ObjectStore) -> PolicyLog:
    return PolicyLog(objects)


def draft(policy_id: str = "calm", add: float = 0.4, **given: object) -> StoredPolicy:
    return StoredPolicy.parse(
        {
            "policy_id": policy_id,
            "version": 1,
            "release": "default",
            "edits": [{"concept_id": "comedy", "add": add}],
            "autoencoder": "autoencoders/0123456789abcdef",
            "changed_at": "2026-01-01T00:00:00.000+00:00",
            **given,
        }
    )


def test_a_version_is_one_readable_object(log: PolicyLog, objects: ObjectStore):
    stored = log.create(draft(author="ann", comment="first", request_id="r-1")).after
    assert json.loads(objects.get("policies/calm/000001.json")) == {
        "policy_id": "calm",
        "version": 1,
        "description": "",
        "release": "default",
        "edits": [{"concept_id": "comedy", "add": 0.4, "when": []}],
        "mode": "unspecified",
        "autoencoder": "autoencoders/0123456789abcdef",
        "author": "ann",
        "changed_at": "2026-01-01T00:00:00.000+00:00",
        "comment": "first",
        "request_id": "r-1",
        "deleted": False,
        "previous": "",
    }
    assert log.version("calm", 1) == stored


def test_versions_follow_each_other_and_none_is_lost(log: PolicyLog):
    log.create(draft())
    change = log.update(draft(add=0.8), based_on=1)
    assert change.before is not None
    assert (change.before.version, change.after.version) == (1, 2)
    assert [log.version("calm", n).edits[0].add for n in log.versions("calm")] == [0.4, 0.8]
    assert log.newest() == {"calm": 2}


def test_a_name_is_taken_once(log: PolicyLog):
    log.create(draft())
    with pytest.raises(AlreadyExists, match="'calm'"):
        log.create(draft(add=0.9))
    assert log.versions("calm") == [1]


def test_a_change_of_an_older_version_is_refused(log: PolicyLog):
    log.create(draft(author="ann"))
    log.update(draft(add=0.5, author="bob"), based_on=1)
    for change in (
        lambda: log.update(draft(add=0.6), based_on=1),
        lambda: log.delete(draft(deleted=True), based_on=1),
        lambda: log.update(draft(add=0.6), based_on=3),
    ):
        with pytest.raises(StalePolicy, match="at version 2 by bob"):
            change()
    assert log.versions("calm") == [1, 2]


def test_a_deletion_is_a_version_and_the_name_is_free_again(log: PolicyLog):
    log.create(draft())
    gone = log.delete(draft(deleted=True, edits=[], author="ann")).after
    assert (gone.version, gone.deleted) == (2, True)
    for change in (
        lambda: log.update(draft(), based_on=2),
        lambda: log.delete(draft(deleted=True)),
    ):
        with pytest.raises(NotFound, match=r"deleted by ann .*version 2"):
            change()
    again = log.create(draft(add=0.1))
    assert again.before == gone
    assert again.after.version == 3
    assert log.versions("calm") == [1, 2, 3]


def test_what_never_was_is_not_found(log: PolicyLog):
    for change in (
        lambda: log.update(draft(), based_on=1),
        lambda: log.delete(draft(deleted=True)),
        lambda: log.version("calm", 1),
        # Names that would reach other parts of the bucket are none.
        lambda: log.version("../releases/default", 1),
        lambda: log.versions("calm\n"),
    ):
        with pytest.raises(NotFound):
            change()
    assert log.versions("calm") == []


@pytest.mark.parametrize("kind", ["create", "update", "delete"])
def test_of_many_who_write_at_once_exactly_one_wins(log: PolicyLog, objects, kind: str):
    if kind != "create":
        log.create(draft())
    together = threading.Barrier(6)

    def write(number: int) -> str:
        mine = PolicyLog(objects)
        one = draft(add=float(number), author=f"w{number}")
        together.wait()
        try:
            if kind == "create":
                mine.create(one)
            elif kind == "update":
                mine.update(one, based_on=1)
            else:
                mine.delete(draft(deleted=True, author=f"w{number}"), based_on=1)
        except (AlreadyExists, StalePolicy, NotFound):
            return ""
        return f"w{number}"

    with ThreadPoolExecutor(6) as pool:
        won = [name for name in pool.map(write, range(6)) if name]
    newest = log.newest()["calm"]
    assert newest == (1 if kind == "create" else 2)
    assert won == [log.version("calm", newest).author]


def test_a_write_that_was_sent_twice_is_one_write(
    log: PolicyLog, objects: ObjectStore, monkeypatch
):
    put = objects.put_if_absent

    def answer_lost(key: str, data: bytes) -> bool:
        put(key, data)
        return put(key, data)

    monkeypatch.setattr(objects, "put_if_absent", answer_lost)
    assert log.create(draft()).after.version == 1
    assert log.update(draft(add=0.2), based_on=1).after.version == 2


@pytest.mark.parametrize(
    "spoiled",
    [
        b"{",
        b'{"policy_id": "calm"}',
        json.dumps({**draft("other").canonical(), "version": 2}).encode(),
        json.dumps({**draft().canonical(), "version": 9}).encode(),
        json.dumps({**draft().canonical(), "version": 2, "surprise": 1}).encode(),
    ],
)
def test_a_damaged_version_harms_no_other_and_can_be_replaced(
    log: PolicyLog, objects: ObjectStore, spoiled: bytes
):
    for name in ("calm", "dark"):
        log.create(draft(name))
    log.update(draft(add=0.6), based_on=1)
    objects.put("policies/calm/000002.json", spoiled)
    found = log.read([("calm", 1), ("calm", 2), ("dark", 1)])
    assert isinstance(found["calm", 2], CorruptArtifact)
    assert "policies/calm/000002.json" in str(found["calm", 2])
    assert isinstance(found["calm", 1], StoredPolicy)
    assert isinstance(found["dark", 1], StoredPolicy)
    with pytest.raises(CorruptArtifact):
        log.create(draft())
    assert log.update(draft(add=0.7), based_on=2).before is None
    assert log.newest() == {"calm": 3, "dark": 1}


def test_strangers_in_the_folder_are_no_versions(log: PolicyLog, objects: ObjectStore):
    log.create(draft())
    for key in ("calm/notes.txt", "calm/7.json", "calm/000000.json", "Other/000001.json", "x.json"):
        objects.put(f"policies/{key}", b"{}")
    assert log.newest() == {"calm": 1}
    assert log.versions("calm") == [1]
    assert log.update(draft(), based_on=1).after.version == 2
