"""Local copies stay below their quota, and what a process reads stays readable."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from reclens.contracts import DatasetSpec
from reclens.platform.settings.models import S3Settings
from reclens.platform.store.artifacts import ArtifactStore, ArtifactWriter
from reclens.platform.store.objects import S3Store

N, SIZE = 10, 10_000


@pytest.fixture
def ref(own_bucket: S3Settings, tmp_path: Path) -> str:
    """An artifact of ten objects."""
    writer = ArtifactWriter(
        ArtifactStore(S3Store(own_bucket), tmp_path / "writer"), DatasetSpec(k_core=41)
    )
    for number in range(N):
        (tmp_path / "shard").write_bytes(bytes([number]) * SIZE)
        writer.add(tmp_path / "shard", f"shard-{number}")
    writer.commit({}, 0.0)
    return writer.ref


def bounded(settings: S3Settings, folder: Path, objects: int) -> ArtifactStore:
    return ArtifactStore(S3Store(settings), folder, objects * SIZE)


def copies(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("objects/*/*"))


def test_the_least_recently_used_go_first_and_what_is_read_stays(
    own_bucket: S3Settings, ref: str, tmp_path: Path
):
    folder = tmp_path / "cache"
    store = bounded(own_bucket, folder, 5)
    paths = []
    for number in range(N):
        paths.append(store.fetch(ref, f"shard-{number}"))
        os.utime(paths[-1], (number, number))
        # The first is used again and again.
        os.utime(paths[0], (100, 100))
        assert copies(folder) <= 5 * SIZE
    kept = {path.read_bytes()[0] for path in folder.glob("objects/*/*")}
    assert {0, N - 1} <= kept
    for number, path in enumerate(paths):
        assert path.read_bytes() == bytes([number]) * SIZE
        assert store.fetch(ref, f"shard-{number}") == path
    whole = store.fetch_all(ref)
    assert len(list(whole.iterdir())) == N
    assert copies(folder) <= 5 * SIZE


def test_without_a_quota_nothing_is_removed(own_bucket: S3Settings, ref: str, tmp_path: Path):
    store = ArtifactStore(S3Store(own_bucket), tmp_path / "cache")
    store.fetch_all(ref)
    assert copies(tmp_path / "cache") == N * SIZE
    assert not (tmp_path / "cache" / "held").exists()


def test_processes_that_share_a_cache_evict_nothing_that_another_reads(
    own_bucket: S3Settings, ref: str, tmp_path: Path
):
    """Four processes read all of it many times through a cache that holds three of ten."""
    folder = tmp_path / "cache"
    program = textwrap.dedent(f"""
        import sys
        from pathlib import Path
        from reclens.platform.settings.models import S3Settings
        from reclens.platform.store.artifacts import ArtifactStore
        from reclens.platform.store.objects import S3Store
        settings = S3Settings.model_validate_json(sys.stdin.read())
        for _ in range(3):
            store = ArtifactStore(S3Store(settings), Path({str(folder)!r}), {3 * SIZE})
            paths = [store.fetch({ref!r}, f"shard-{{n}}") for n in range({N})]
            for n, path in enumerate(paths):
                assert path.read_bytes() == bytes([n]) * {SIZE}
    """)
    told = own_bucket.model_dump(mode="json") | {
        "access_key": own_bucket.access_key.get_secret_value(),
        "secret_key": own_bucket.secret_key.get_secret_value(),
    }
    given = json.dumps(told)

    def reads(_number: int) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", program],
            input=given,
            text=True,
            capture_output=True,
            check=False,
        )

    with ThreadPoolExecutor(4) as pool:
        for ended in pool.map(reads, range(4)):
            assert ended.returncode == 0, ended.stderr
    assert copies(folder) <= 3 * SIZE
    # Nobody holds anything any more.
    assert [path for path in (folder / "held").iterdir() if path.is_dir()] == []


def test_what_a_killed_process_held_is_removed_by_the_next(
    own_bucket: S3Settings, ref: str, tmp_path: Path
):
    folder = tmp_path / "cache"
    left = folder / "held" / "1-dead"
    left.mkdir(parents=True)
    (left / ".lock").touch()
    (left / "bytes").write_bytes(b"1")
    bounded(own_bucket, folder, 5).fetch(ref, "shard-0")
    assert not left.exists()
    (own,) = [path for path in (folder / "held").iterdir() if path.is_dir()]
    assert own.name.startswith(f"{os.getpid()}-")
