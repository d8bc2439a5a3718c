"""Releases as logs of versions, in a real object store."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from drafted_releases import draft

from reclens.contracts import Release
from reclens.errors import CorruptArtifact, NotFound, ReleasePinned, StaleRelease
from reclens.platform.settings.models import S3Settings
from reclens.platform.store.objects import ObjectStore, S3Store
from reclens.platform.store.releases import ReleaseLog

EARLY, LATE = "2026-01-01T10:00:00+00:00", "2026-01-01T11:00:00+00:00"


@pytest.fixture
def objects(own_bucket: S3Settings) -> ObjectStore:
    return S3Store(own_bucket)


@pytest.fixture
def log(objects: ObjectStore) -> ReleaseLog:
    return ReleaseLog(objects)


def test_versions_are_numbered_and_all_are_kept(log: ReleaseLog, objects: ObjectStore) -> None:
    one, two = (log.publish(draft(version)) for version in ("a", "b"))
    assert (one.number, two.number) == (1, 2)
    assert log.head("default") == two
    assert log.history("default") == [two, one]
    assert log.heads() == {"default": two}
    assert objects.list("releases/") == [
        "releases/default/000001.json",
        "releases/default/000002.json",
    ]
    with pytest.raises(NotFound, match="no release 'never'"):
        log.head("never")
    with pytest.raises(NotFound):
        log.head("../edits")


def test_what_is_newest_already_is_not_published_again(log: ReleaseLog) -> None:
    first = log.publish(draft("a"))
    assert log.publish(draft("a")) == first
    assert len(log.history("default")) == 1


def test_what_was_ordered_before_does_not_follow_what_was_ordered_after(log: ReleaseLog) -> None:
    late = log.publish(draft("late", LATE))
    with pytest.raises(StaleRelease, match=f"ordered {LATE.replace('+', '.')}"):
        log.publish(draft("early", EARLY))
    assert log.head("default") == late
    # The order of zones is no order of times.
    elsewhere = log.publish(draft("zone", "2026-01-01T07:30:00-04:00"))
    assert log.head("default") == elsewhere


def test_a_job_that_is_delivered_twice_has_published_what_it_published(log: ReleaseLog) -> None:
    early = log.publish(draft("early", EARLY))
    late = log.publish(draft("late", LATE))
    assert log.publish(draft("early", EARLY)) == early
    assert log.head("default") == late


def test_a_clock_that_is_ahead_keeps_nobody_from_publishing(log: ReleaseLog) -> None:
    log.publish(draft("ahead", "2999-01-01T00:00:00+00:00"))
    assert log.publish(draft("next")).number == 2


def test_another_version_than_expected_is_followed_by_nothing(log: ReleaseLog) -> None:
    log.publish(draft("a"), expected=0)
    log.publish(draft("b"), expected=1)
    with pytest.raises(StaleRelease, match="newest version is 2, not 1"):
        log.publish(draft("c"), expected=1)
    with pytest.raises(StaleRelease):
        log.rollback("default", to=1, author="", reason="", expected=1)
    with pytest.raises(StaleRelease):
        log.set_pinned("default", pinned=True, author="", reason="", expected=1)
    assert log.head("default").version == "b"


def test_going_back_is_a_version_that_older_jobs_do_not_follow(log: ReleaseLog) -> None:
    for version in ("a", "b"):
        log.publish(draft(version, EARLY))
    back = log.rollback("default", to=None, author="mia", reason="worse")
    assert (back.number, back.version, back.author, back.reason) == (3, "a", "mia", "worse")
    with pytest.raises(StaleRelease):
        log.publish(draft("c", LATE))
    assert log.rollback("default", to=2, author="mia", reason="").version == "b"
    with pytest.raises(NotFound, match="no version 9"):
        log.rollback("default", to=9, author="", reason="")


def test_with_one_version_there_is_none_to_go_back_to(log: ReleaseLog) -> None:
    log.publish(draft("a"))
    with pytest.raises(NotFound, match="no version before"):
        log.rollback("default", to=None, author="", reason="")
    with pytest.raises(NotFound, match="no release"):
        log.rollback("never", to=None, author="", reason="")


def test_what_is_pinned_stays_until_it_is_unpinned(log: ReleaseLog) -> None:
    log.publish(draft("a"))
    log.publish(draft("b"))
    log.set_pinned("default", pinned=True, author="mia", reason="audit")
    with pytest.raises(ReleasePinned, match=r"audit.*\n?.*unpin"):
        log.publish(draft("c"))
    # A person may go back all the same, and what is served then is pinned too.
    assert log.rollback("default", to=1, author="mia", reason="").pinned
    with pytest.raises(ReleasePinned):
        log.publish(draft("c"))
    log.set_pinned("default", pinned=False, author="mia", reason="")
    assert log.publish(draft("c")).version == "c"


def test_of_many_writers_each_gets_a_number(log: ReleaseLog) -> None:
    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(lambda n: log.publish(draft(f"v{n}")), range(8)))
    assert sorted(one.number for one in done) == list(range(1, 9))
    assert {one.version for one in log.history("default") if isinstance(one, Release)} == {
        f"v{n}" for n in range(8)
    }


def test_a_fault_of_one_release_is_no_other_ones(log: ReleaseLog, objects: ObjectStore) -> None:
    log.publish(draft("a"))
    log.publish(draft("a", name="night"))
    objects.put("releases/README.txt", b"stray")
    objects.put("releases/default/notes.txt", b"stray")
    objects.put("releases/Not A Name/000001.json", b"stray")
    objects.put("releases/night/000002.json", b"{}")
    heads = log.heads()
    assert set(heads) == {"default", "night"}
    assert heads["default"] == log.head("default")
    assert isinstance(heads["night"], CorruptArtifact)
    assert "releases/night/000002.json" in heads["night"].sentence
    # The way back leads over it.
    broken, kept = log.history("night")
    assert isinstance(broken, CorruptArtifact)
    assert isinstance(kept, Release)
    assert log.rollback("night", to=None, author="", reason="").number == 3
    assert isinstance(log.heads()["night"], Release)


def test_a_version_under_another_name_is_not_taken(log: ReleaseLog, objects: ObjectStore) -> None:
    published = log.publish(draft("a"))
    objects.put("releases/other/000001.json", json.dumps(published.canonical()).encode())
    with pytest.raises(CorruptArtifact, match="version 1 of 'default'"):
        log.head("other")


def test_a_release_of_before_versions_is_read_followed_and_gone_back_to(
    log: ReleaseLog, objects: ObjectStore
) -> None:
    before = {
        "name": "default",
        "version": "old",
        "recommender": "recommenders/0000000000000001",
        "autoencoder": "autoencoders/0000000000000002",
        "concepts": "concepts/0000000000000003",
        "published_at": EARLY,
    }
    objects.put("releases/default.json", json.dumps(before).encode())
    head = log.heads()["default"]
    assert isinstance(head, Release)
    assert (head.version, head.number) == ("old", 0)
    assert log.publish(draft("new", LATE)).number == 1
    assert log.rollback("default", to=None, author="mia", reason="").version == "old"
    assert log.heads() == {"default": log.head("default")}
