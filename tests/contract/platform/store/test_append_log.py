"""Logs whose entries name the one before, in a real object store: what was changed is found."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest
from drafted_releases import draft

from reclens.contracts import ConceptCorrection, Release
from reclens.errors import CorruptArtifact
from reclens.platform.settings.models import S3Settings
from reclens.platform.store.append_log import AppendLog
from reclens.platform.store.objects import ObjectStore, S3Store
from reclens.platform.store.policy_log import PolicyLog
from reclens.platform.store.releases import ReleaseLog
from reclens.steering.policies import StoredPolicy

FIRST = (
    b'{"at":"2026-01-01T00:00:00+00:00","author":"ann","concept_id":"horror","description":null,'
    b'"latents":[1],"name":"Fear","operation":"rename","previous":"","reason":"","was":"Horror"}'
)
# As sha256sum says.
FIRST_SHA256 = "3c048d75f7c2d5a259946396d15d437724311d6b3d361bb8b8c2c35f556d1f3a"
SECOND = (
    b'{"at":"2026-01-01T00:00:00+00:00","author":"bob","concept_id":"horror","description":null,'
    b'"latents":[2],"name":"Fear","operation":"rename","previous":"'
    + FIRST_SHA256.encode()
    + b'","reason":"","was":"Horror"}'
)


class Counting(S3Store):
    """A store that counts what is read and listed."""

    def __init__(self, settings: S3Settings) -> None:
        super().__init__(settings)
        self.asked: Counter[str] = Counter()

    def get_document(self, key: str, max_bytes: int = 1 << 20) -> bytes:
        self.asked["get"] += 1
        return super().get_document(key, max_bytes)

    def etags(self, prefix: str) -> Mapping[str, str]:
        self.asked["list"] += 1
        return super().etags(prefix)

    def counted(self) -> dict[str, int]:
        """What was asked since it was last counted."""
        asked, self.asked = self.asked, Counter()
        return dict(asked)


class WithoutEtags(S3Store):
    """A store that tells nothing of the bytes of what it lists."""

    def etags(self, prefix: str) -> Mapping[str, str]:
        return dict.fromkeys(super().etags(prefix), "")


@pytest.fixture
def objects(own_bucket: S3Settings) -> Counting:
    return Counting(own_bucket)


def correction(author: str, *latents: int) -> ConceptCorrection:
    return ConceptCorrection(
        operation="rename",
        concept_id="horror",
        was="Horror",
        latents=latents,
        name="Fear",
        author=author,
        at="2026-01-01T00:00:00+00:00",
    )


def corrections(objects: ObjectStore) -> AppendLog[ConceptCorrection]:
    """A log of them, as a process has it that has read nothing yet."""
    return AppendLog(objects, "edits/0123456789abcdef/", ConceptCorrection, "edits")


def policy(add: float) -> StoredPolicy:
    return StoredPolicy.parse(
        {
            "policy_id": "calm",
            "version": 1,
            "release": "default",
            "edits": [{"concept_id": "comedy", "add": add}],
            "autoencoder": "autoencoders/0123456789abcdef",
            "changed_at": "2026-01-01T00:00:00+00:00",
        }
    )


def edited(objects: ObjectStore, key: str, **changes: object) -> None:
    """Replace an object by the same with other values, as a plain put does."""
    objects.put(key, json.dumps({**json.loads(objects.get(key)), **changes}).encode())


def key_of(number: int) -> str:
    return f"releases/default/{number:06d}.json"


def fault(found: object, number: int) -> CorruptArtifact:
    """The error that names that version of the release."""
    assert isinstance(found, CorruptArtifact)
    assert key_of(number) in found.message
    assert found.remedy
    return found


# --- the chain -----------------------------------------------------------------------------------


def test_the_bytes_of_entries_are_as_they_are_told_to_be(objects: Counting) -> None:
    log = corrections(objects)
    assert log.add(1, correction("ann", 1))
    assert log.add(2, correction("bob", 2))
    assert objects.get("edits/0123456789abcdef/000001.json") == FIRST
    assert objects.get("edits/0123456789abcdef/000002.json") == SECOND


def test_who_writes_at_once_writes_one_chain(objects: Counting) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: ReleaseLog(objects).publish(draft(f"v{n}")), range(8)))
    stored = [objects.get(key_of(number)) for number in range(1, 9)]
    named = [json.loads(data)["previous"] for data in stored]
    assert named == ["", *(hashlib.sha256(data).hexdigest() for data in stored[:-1])]
    assert all(isinstance(one, Release) for one in ReleaseLog(objects).history("default"))


def test_an_entry_that_was_changed_is_named_and_nothing_else_is_refused(objects: Counting) -> None:
    log = ReleaseLog(objects)
    for version in ("a", "b", "c", "d"):
        log.publish(draft(version))
    edited(objects, key_of(2), version="forged")
    fourth, third, second, first = ReleaseLog(objects).history("default")
    assert [one.version for one in (fourth, third, first) if isinstance(one, Release)] == list(
        "dca"
    )
    assert "rollback default" in fault(second, 2).remedy
    with pytest.raises(CorruptArtifact, match=r"000002\.json was changed"):
        ReleaseLog(objects).version("default", 2)
    assert ReleaseLog(objects).version("default", 3).version == "c"
    assert isinstance(ReleaseLog(objects).heads()["default"], Release)


def test_a_log_that_is_read_whole_is_refused_where_an_entry_was_changed(objects: Counting) -> None:
    log = corrections(objects)
    for number in (1, 2, 3):
        log.add(number, correction("ann", number))
    edited(objects, log.key(1), author="somebody else")
    with pytest.raises(CorruptArtifact, match=r"000001\.json was changed"):
        corrections(objects).read()


@pytest.mark.parametrize(
    "changes", [{"previous": "0" * 64}, {"previous": "x"}, {"previous": 7}, {"previous": None}]
)
def test_a_newest_entry_that_names_another_is_refused(
    objects: Counting, changes: dict[str, object]
) -> None:
    log = ReleaseLog(objects)
    for version in ("a", "b"):
        log.publish(draft(version))
    edited(objects, key_of(2), **changes)
    assert isinstance(ReleaseLog(objects).heads()["default"], CorruptArtifact)
    # And followed by one that is sound: the way on leads over it.
    assert log.publish(draft("c")).number == 3
    assert isinstance(ReleaseLog(objects).heads()["default"], Release)


def test_entries_of_versions_before_there_were_chains_stand_before_and_behind_others(
    objects: Counting,
) -> None:
    log = corrections(objects)

    def add_as_before(number: int) -> None:
        data = json.dumps(correction("old", number).canonical()).encode()
        objects.put(log.key(number), data)

    for number in (1, 2):
        add_as_before(number)
    assert len(log.read()) == 2
    log.add(3, correction("ann", 3))
    # While one upgrades or goes back, both write.
    add_as_before(4)
    log.add(5, correction("ann", 5))
    authors = ["old", "old", "ann", "old", "ann"]
    assert [one.author for one in corrections(objects).read()] == authors
    assert corrections(objects).entry(4).author == "old"
    # What a chained one names is checked, whichever version wrote it.
    edited(objects, log.key(4), author="somebody else")
    with pytest.raises(CorruptArtifact, match=r"000004\.json was changed"):
        corrections(objects).read()


def test_versions_that_are_no_longer_kept_leave_a_log_that_is_sound(objects: Counting) -> None:
    log = PolicyLog(objects)
    log.create(policy(0.1))
    for number in (1, 2, 3):
        log.update(policy(0.1 * number), based_on=number)
    for number in (1, 3):
        objects.delete(f"policies/calm/{number:06d}.json")
    fresh = PolicyLog(objects)
    assert fresh.newest() == {"calm": 4}
    assert all(
        isinstance(one, StoredPolicy) for one in fresh.read([("calm", 2), ("calm", 4)]).values()
    )
    assert log.newest() == {"calm": 4}
    assert log.faults == {}
    assert log.update(policy(0.9), based_on=4).after.version == 5


# --- what a process has read ---------------------------------------------------------------------


def test_a_poll_reads_what_is_new_and_nothing_else(
    objects: Counting, own_bucket: S3Settings
) -> None:
    writer = ReleaseLog(S3Store(own_bucket))
    for name in ("day", "night"):
        for version in ("a", "b", "c"):
            writer.publish(draft(version, name=name))
    reader = ReleaseLog(objects)
    reader.heads()
    # Of each release the newest version, and the one that it follows.
    assert objects.counted() == {"list": 1, "get": 4}
    for _ in range(5):
        reader.heads()
    assert objects.counted() == {"list": 5}
    writer.publish(draft("d", name="night"))
    reader.heads()
    assert objects.counted() == {"list": 1, "get": 1}
    reader.heads()
    assert objects.counted() == {"list": 1}
    # A history costs each version once, and the one that the newest follows once more.
    ReleaseLog(objects).history("night")
    assert objects.counted()["get"] <= 5


def test_a_newest_version_that_is_changed_after_it_was_read_is_told_until_it_is_back(
    objects: Counting,
) -> None:
    log = ReleaseLog(objects)
    log.publish(draft("a"))
    reader = ReleaseLog(objects)
    assert isinstance(reader.heads()["default"], Release)
    whole = objects.get(key_of(1))
    edited(objects, key_of(1), version="forged")
    for _ in range(2):
        assert "was changed" in fault(reader.heads()["default"], 1).message
    objects.put(key_of(1), whole)
    head = reader.heads()["default"]
    assert isinstance(head, Release)
    assert head.version == "a"


def test_after_it_was_told_a_person_may_go_on_over_a_changed_version(objects: Counting) -> None:
    log = ReleaseLog(objects)
    for version in ("a", "b"):
        log.publish(draft(version))
    reader = ReleaseLog(objects)
    reader.heads()
    edited(objects, key_of(2), version="forged")
    fault(reader.heads()["default"], 2)
    log.rollback("default", to=1, author="mia", reason="forged")
    head = reader.heads()["default"]
    assert isinstance(head, Release)
    assert (head.number, head.version) == (3, "a")


@pytest.mark.parametrize("kind", [Counting, WithoutEtags])
def test_what_follows_a_version_that_was_changed_unseen_is_refused(
    own_bucket: S3Settings, kind: type[S3Store]
) -> None:
    log = ReleaseLog(S3Store(own_bucket))
    log.publish(draft("a"))
    reader = ReleaseLog(kind(own_bucket))
    reader.heads()
    edited(S3Store(own_bucket), key_of(1), version="forged")
    ReleaseLog(S3Store(own_bucket)).publish(draft("b"))
    for _ in range(2):
        fault(reader.heads()["default"], 1)


def test_an_end_that_was_cut_off_is_told(objects: Counting) -> None:
    log = ReleaseLog(objects)
    for version in ("a", "b"):
        log.publish(draft(version))
    reader = ReleaseLog(objects)
    reader.heads()
    objects.delete(key_of(2))
    assert "is gone" in fault(reader.heads()["default"], 2).message
    entries = corrections(objects)
    for number in (1, 2):
        entries.add(number, correction("ann", number))
    objects.delete(entries.key(2))
    with pytest.raises(CorruptArtifact, match=r"000002\.json is gone"):
        entries.read()


def test_a_log_that_is_taken_away_whole_may_begin_again(objects: Counting) -> None:
    log = ReleaseLog(objects)
    log.publish(draft("a"))
    objects.delete(key_of(1))
    assert log.heads() == {}
    log.publish(draft("b"))
    head = log.heads()["default"]
    assert isinstance(head, Release)
    assert (head.number, head.version) == (1, "b")
