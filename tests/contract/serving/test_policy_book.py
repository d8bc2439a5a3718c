"""What a gateway knows of policies, and how often it asks the store."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping

import pytest

from reclens.errors import CorruptArtifact, NotFound, Overloaded, Unavailable
from reclens.platform.settings.models import S3Settings
from reclens.platform.store.objects import S3Store
from reclens.platform.store.policy_log import PolicyLog
from reclens.steering.policies import StoredPolicy
from reclens_gateway.policies.book import PolicyBook


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Counting(S3Store):
    """A store that counts what it is asked, and can be made to wait."""

    def __init__(self, settings: S3Settings) -> None:
        super().__init__(settings)
        self.asked: list[str] = []
        self.go = threading.Event()
        self.go.set()

    def get_document(self, key: str, max_bytes: int = 1 << 20) -> bytes:
        self.asked.append(key)
        assert self.go.wait(30)
        return super().get_document(key, max_bytes)

    def etags(self, prefix: str) -> Mapping[str, str]:
        self.asked.append(prefix)
        assert self.go.wait(30)
        return super().etags(prefix)

    def count(self) -> int:
        """Questions since it was last counted."""
        asked, self.asked = self.asked, []
        return len(asked)


@pytest.fixture
def objects(own_bucket: S3Settings) -> Counting:
    return Counting(own_bucket)


def draft(policy_id: str = "calm", add: float = 0.4, **given: object) -> StoredPolicy:
    return StoredPolicy.parse(
        {
            "policy_id": policy_id,
            "version": 1,
            "release": "default",
            "edits": [{"concept_id": "comedy", "add": add}],
            "autoencoder": "autoencoders/0123456789abcdef",
            "changed_at": "2026-01-01T00:00:00+00:00",
            **given,
        }
    )


def book(objects: S3Store, clock: Clock | None = None, poll_seconds: float = 60) -> PolicyBook:
    clock = clock or Clock()
    return PolicyBook(PolicyLog(objects), poll_seconds, clock)


async def test_what_is_known_costs_the_store_nothing(objects: Counting) -> None:
    log = PolicyLog(objects)
    for name in ("calm", "dark", "gone"):
        log.create(draft(name))
    log.delete(draft("gone", deleted=True))
    one = book(objects)
    await one.refresh()
    objects.count()
    assert [policy.policy_id for policy in one.listed()] == ["calm", "dark"]
    for _ in range(50):
        assert (await one.get("calm")).version == 1
        assert (await one.get("dark", 1)).version == 1
        with pytest.raises(NotFound, match="deleted"):
            await one.get("gone", 1)
    assert objects.count() == 0
    # A reading lists, and reads nothing that has not changed.
    log.update(draft("dark", add=0.9), based_on=1)
    objects.count()
    await one.refresh()
    assert objects.asked == ["policies/", "policies/dark/000002.json"]
    assert (await one.get("dark")).edits[0].add == 0.9
    # The version before stays at hand.
    objects.count()
    assert (await one.get("dark", 1)).edits[0].add == 0.4
    assert objects.count() == 0


async def test_the_same_unknown_name_is_looked_for_once(objects: Counting) -> None:
    clock = Clock()
    one = book(objects, clock)
    await one.refresh()
    objects.count()
    gone = await asyncio.gather(*(one.get("nope") for _ in range(30)), return_exceptions=True)
    assert all(isinstance(error, NotFound) for error in gone)
    for _ in range(30):
        with pytest.raises(NotFound):
            await one.get("nope")
    assert objects.count() == 1
    # Not for ever: it may be made elsewhere.
    PolicyLog(objects).create(draft("nope"))
    clock.now += 61
    assert (await one.get("nope")).version == 1


async def test_ever_new_names_do_not_reach_the_store(objects: Counting) -> None:
    clock = Clock()
    one = book(objects, clock)
    await one.refresh()
    objects.count()
    for number in range(500):
        with pytest.raises(NotFound):
            await one.get(f"n{number}")
    assert objects.count() == 20
    clock.now += 0.5
    for number in range(500, 600):
        with pytest.raises(NotFound):
            await one.get(f"n{number}")
    assert objects.count() == 10


async def test_without_a_reading_too_many_questions_are_refused_not_answered(
    objects: Counting,
) -> None:
    one = book(objects)
    outcomes = [
        await asyncio.gather(one.get(f"n{number}"), return_exceptions=True) for number in range(40)
    ]
    kinds = [type(outcome[0]) for outcome in outcomes]
    assert kinds == [NotFound] * 20 + [Overloaded] * 20
    (refused,) = outcomes[-1]
    assert isinstance(refused, Overloaded)
    assert 0 < refused.retry_seconds <= 0.05


async def test_a_store_that_hangs_holds_few_requests(objects: Counting) -> None:
    one = book(objects)
    objects.go.clear()
    asked = [asyncio.create_task(one.get(f"n{number}")) for number in range(100)]
    done, waiting = await asyncio.wait(asked, return_when=asyncio.FIRST_EXCEPTION)
    while len(done) < 84:
        more, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_EXCEPTION)
        done |= more
    assert all(isinstance(task.exception(), Overloaded) for task in done)
    assert len(waiting) == 16
    objects.go.set()
    await asyncio.wait(waiting)
    assert all(isinstance(task.exception(), NotFound) for task in waiting)


async def test_a_store_that_is_away_is_left_alone_for_a_moment(objects: Counting) -> None:
    clock = Clock()
    one = book(objects, clock)
    asked: list[str] = []

    def away(policy_id: str) -> list[int]:
        asked.append(policy_id)
        raise Unavailable("the store is away.")

    one.log.versions = away  # type: ignore[method-assign]
    for number in range(10):
        with pytest.raises(Unavailable):
            await one.get(f"n{number}")
    assert asked == ["n0"]
    clock.now += 1.1
    with pytest.raises(Unavailable):
        await one.get("n11")
    assert asked == ["n0", "n11"]


async def test_a_reading_under_way_does_not_undo_a_write(objects: Counting) -> None:
    one = book(objects)
    log = PolicyLog(objects)
    log.create(draft("calm"))
    await one.refresh()
    listed, go = threading.Event(), threading.Event()
    newest = one.log.newest

    def slowly() -> dict[str, int]:
        found = newest()
        listed.set()
        assert go.wait(30)
        return found

    one.log.newest = slowly  # type: ignore[method-assign]
    reading = asyncio.create_task(one.refresh())
    await asyncio.to_thread(listed.wait, 30)
    await one.write("update", "calm", lambda: log.update(draft(add=0.9), based_on=1))
    await one.write("create", "new", lambda: log.create(draft("new")))
    go.set()
    await reading
    assert (await one.get("calm")).version == 2
    assert [policy.policy_id for policy in one.listed()] == ["calm", "new"]


async def test_what_is_taken_from_the_bucket_is_gone_at_the_next_reading(
    objects: Counting,
) -> None:
    one = book(objects)
    log = PolicyLog(objects)
    await one.write("create", "calm", lambda: log.create(draft("calm")))
    await one.refresh()
    objects.delete("policies/calm/000001.json")
    await one.refresh()
    with pytest.raises(NotFound):
        await one.get("calm")


async def test_a_damaged_version_that_is_brought_back_serves_again(objects: Counting) -> None:
    log = PolicyLog(objects)
    log.create(draft())
    whole = objects.get("policies/calm/000001.json")
    objects.put("policies/calm/000001.json", whole[:-5])
    one = book(objects)
    # Also without a reading, and by any way to it.
    for _ in range(2):
        with pytest.raises(CorruptArtifact):
            await one.get("calm")
    await one.refresh()
    assert one.listed() == []
    with pytest.raises(CorruptArtifact, match="000001"):
        await one.get("calm", 1)
    objects.put("policies/calm/000001.json", whole)
    await one.refresh()
    assert (await one.get("calm")).version == 1


async def test_a_writer_that_goes_away_does_not_undo_its_write(objects: Counting) -> None:
    one = book(objects)
    log = PolicyLog(objects)
    entered, go = threading.Event(), threading.Event()

    def slowly():
        entered.set()
        assert go.wait(30)
        return log.create(draft())

    writing = asyncio.create_task(one.write("create", "calm", slowly))
    await asyncio.to_thread(entered.wait, 30)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    go.set()
    await one.stop()
    assert (await one.get("calm")).version == 1


async def test_what_cannot_be_a_name_is_neither_looked_for_nor_remembered(
    objects: Counting,
) -> None:
    one = book(objects)
    for name in ("Upper", "a/b", "x" * 64, "y" * 1_000_000):
        with pytest.raises(NotFound):
            await one.get(name)
    assert objects.count() == 0


async def test_a_name_is_known_also_when_it_is_deleted(objects: Counting) -> None:
    log = PolicyLog(objects)
    log.create(draft("gone"))
    log.delete(draft("gone", deleted=True))
    one = book(objects)
    await one.refresh()
    assert (one.knows("gone"), one.knows("never")) == (True, False)


async def test_a_policy_that_is_changed_in_the_store_goes_on_as_it_was_read(
    objects: Counting, capsys: pytest.CaptureFixture[str]
) -> None:
    log = PolicyLog(objects)
    log.create(draft())
    log.create(draft("dark"))
    one = book(objects)
    await one.refresh()
    whole = objects.get("policies/calm/000001.json")
    objects.put("policies/calm/000001.json", whole.replace(b"0.4", b"9.9"))
    objects.delete("policies/dark/000001.json")
    for _ in range(3):
        await one.refresh()
        assert (await one.get("calm")).edits[0].add == 0.4
        assert (await one.get("calm", 1)).edits[0].add == 0.4
    assert capsys.readouterr().out.count("policy was changed") == 1
    # A person who has been told goes on over it.
    assert log.update(draft(add=0.5), based_on=1).before is None
    await one.refresh()
    assert (await one.get("calm")).edits[0].add == 0.5
