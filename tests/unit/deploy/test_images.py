"""Images are pinned by digest all together, by the script that asks their registries."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
FILES = [
    "services/Dockerfile",
    "deploy/monitoring/flower/Dockerfile",
    "docker-compose.yml",
    *sorted(
        str(path.relative_to(ROOT))
        for folder in ("redis", "s3", "llm", "monitoring")
        for path in (ROOT / "deploy" / folder).glob("*.yaml")
    ),
]
_IMAGE = re.compile(
    r"(?:ARG \w+_IMAGE=|\$\{\w+_IMAGE:-)(?P<tag>[^}@\s]+)(?:@(?P<digest>[^}\s]+))?(?=\}|$)",
    re.MULTILINE,
)
# Answers as a registry would, but for the tag that does not exist.
_DOCKER = """#!/bin/sh
test "$1 $2 $3 $4" = "buildx imagetools inspect --format" || exit 9
test "$6" != "$MISSING" || { echo "$6: not found" >&2; exit 1; }
echo "sha256:$(printf %s "$6" | sha256sum | cut -d ' ' -f 1)"
"""


def images(root: Path) -> list[tuple[str, str | None]]:
    found = [one for file in FILES for one in _IMAGE.finditer((root / file).read_text())]
    return [(one["tag"], one["digest"]) for one in found]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The files without digests, in a folder of their own, and a Docker beside them."""
    for file in FILES:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        text = re.sub(r"@sha256:[0-9a-f]{64}", "", (ROOT / file).read_text())
        (tmp_path / file).write_text(text)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "docker").write_text(_DOCKER)
    (tmp_path / "bin" / "docker").chmod(0o755)
    return tmp_path


def pin(folder: Path, missing: str = "") -> subprocess.CompletedProcess[str]:
    bash = shutil.which("bash")
    assert bash
    path = f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        [bash, str(ROOT / "deploy/supply/pin-images.sh"), str(folder)],
        env={**os.environ, "PATH": path, "MISSING": missing},
        check=False, capture_output=True, text=True, timeout=60,
    )  # fmt: skip


def test_all_images_are_pinned_or_none_is():
    digests = [digest for _, digest in images(ROOT)]
    assert len(digests) >= 10
    assert all(digests) or not any(digests)
    assert all(re.fullmatch("sha256:[0-9a-f]{64}", digest) for digest in digests if digest)


def test_every_image_gets_the_digest_of_its_own_tag(copy: Path):
    before = [tag for tag, _ in images(copy)]
    done = pin(copy)
    assert done.returncode == 0, done.stderr
    assert images(copy) == [
        (tag, f"sha256:{hashlib.sha256(tag.encode()).hexdigest()}") for tag in before
    ]


def test_a_second_run_replaces_digests_and_changes_nothing_else(copy: Path):
    pin(copy)
    once = [(copy / file).read_text() for file in FILES]
    for file in FILES:
        (copy / file).write_text(
            re.sub("sha256:[0-9a-f]{64}", f"sha256:{'0' * 64}", (copy / file).read_text())
        )
    assert pin(copy).returncode == 0
    assert [(copy / file).read_text() for file in FILES] == once


def test_where_a_registry_does_not_answer_nothing_is_changed(copy: Path):
    before = [(copy / file).read_text() for file in FILES]
    done = pin(copy, missing=images(copy)[-1][0])
    assert done.returncode != 0
    assert "not found" in done.stderr
    assert [(copy / file).read_text() for file in FILES] == before
