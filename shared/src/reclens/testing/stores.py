"""What any object store must do.

Inherit `ObjectStoreSuite` and override the fixture ``store``.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import pytest

from reclens.errors import NotFound
from reclens.platform.store.objects import ObjectStore


class ObjectStoreSuite:
    """Override ``store``; keys of a test lie below a prefix of its own."""

    @pytest.fixture
    def store(self) -> Iterator[ObjectStore] | ObjectStore:
        """The store, of which the suite uses keys below ``suite/`` only."""
        raise NotImplementedError

    @pytest.fixture
    def prefix(self) -> str:
        """Keys that no other test uses."""
        return f"suite/{uuid4().hex}/"

    def test_bytes_come_back_as_they_were_put(self, store: ObjectStore, prefix: str) -> None:
        store.put(f"{prefix}a", b"\x00\xff recommender")
        assert store.get(f"{prefix}a") == b"\x00\xff recommender"
        assert store.exists(f"{prefix}a")

    def test_a_put_replaces(self, store: ObjectStore, prefix: str) -> None:
        store.put(f"{prefix}pointer", b"a longer one before")
        store.put(f"{prefix}pointer", b"after")
        assert store.get(f"{prefix}pointer") == b"after"

    def test_an_empty_object_is_an_object(self, store: ObjectStore, prefix: str) -> None:
        assert store.put_if_absent(f"{prefix}empty", b"")
        assert store.exists(f"{prefix}empty")
        assert store.get(f"{prefix}empty") == b""
        assert b"".join(store.get_chunks(f"{prefix}empty")) == b""

    def test_a_large_file_comes_back_in_chunks(
        self, store: ObjectStore, prefix: str, tmp_path: Path
    ) -> None:
        content = bytes(range(256)) * 4 * 1024 * 12  # 12 MiB: above one part of S3
        path = tmp_path / "large"
        path.write_bytes(content)
        store.put_file(f"{prefix}large", path)
        assert b"".join(store.get_chunks(f"{prefix}large", 1 << 20)) == content

    def test_what_is_there_is_not_put_again(self, store: ObjectStore, prefix: str) -> None:
        assert store.put_if_absent(f"{prefix}manifest", b"first")
        assert not store.put_if_absent(f"{prefix}manifest", b"second")
        assert store.get(f"{prefix}manifest") == b"first"

    def test_of_many_racing_conditional_puts_exactly_one_wins(
        self, store: ObjectStore, prefix: str
    ) -> None:
        key = f"{prefix}manifest"
        with ThreadPoolExecutor(8) as pool:
            won = list(pool.map(lambda i: store.put_if_absent(key, b"%d" % i), range(8)))
        assert won.count(True) == 1
        assert store.get(key) == b"%d" % won.index(True)

    def test_a_reader_sees_the_old_or_the_new_whole(self, store: ObjectStore, prefix: str) -> None:
        key, contents = f"{prefix}pointer", [b"a" * 200_000, b"b" * 200_000]
        store.put(key, contents[0])
        with ThreadPoolExecutor(1) as pool:
            writing = pool.submit(lambda: [store.put(key, contents[i % 2]) for i in range(20)])
            while not writing.done():
                assert store.get(key) in contents
            writing.result()

    def test_keys_are_listed_by_prefix_and_sorted(self, store: ObjectStore, prefix: str) -> None:
        for name in ("b/2", "a/10", "a/9", "ab"):
            store.put(f"{prefix}{name}", b"x")
        below = [key.removeprefix(prefix) for key in store.list(prefix)]
        assert below == ["a/10", "a/9", "ab", "b/2"]
        assert store.list(f"{prefix}a/") == [f"{prefix}a/10", f"{prefix}a/9"]
        assert store.list(f"{prefix}nothing/") == []

    def test_what_is_listed_with_a_key_changes_with_its_bytes_if_it_is_told(
        self, store: ObjectStore, prefix: str
    ) -> None:
        store.put(f"{prefix}a", b"one")
        store.put(f"{prefix}b", b"one")
        before = store.etags(prefix)
        store.put(f"{prefix}a", b"two")
        after = store.etags(prefix)
        assert list(before) == list(after) == [f"{prefix}a", f"{prefix}b"]
        assert before[f"{prefix}b"] == after[f"{prefix}b"]
        assert before[f"{prefix}a"] != after[f"{prefix}a"] or not any(after.values())

    def test_sizes_and_times_are_listed(self, store: ObjectStore, prefix: str) -> None:
        store.put(f"{prefix}b", b"12")
        store.put(f"{prefix}a/1", b"")
        found = store.entries(prefix)
        assert [(one.key, one.size) for one in found] == [(f"{prefix}a/1", 0), (f"{prefix}b", 2)]
        assert all(abs((store.now() - one.modified).total_seconds()) < 60 for one in found)

    def test_what_is_not_there_is_not_found(self, store: ObjectStore, prefix: str) -> None:
        assert not store.exists(f"{prefix}nothing")
        with pytest.raises(NotFound):
            store.get(f"{prefix}nothing")
        with pytest.raises(NotFound):
            list(store.get_chunks(f"{prefix}nothing"))

    def test_what_is_deleted_is_gone_and_may_be_put_again(
        self, store: ObjectStore, prefix: str
    ) -> None:
        store.put(f"{prefix}a", b"x")
        store.delete(f"{prefix}a")
        store.delete(f"{prefix}a")
        assert not store.exists(f"{prefix}a")
        assert store.list(prefix) == []
        assert store.put_if_absent(f"{prefix}a", b"y")
