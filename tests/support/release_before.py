"""The release before this one, with its code as the history has it, to run beside today's."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest

RELEASE_BEFORE = "7de4ecdcc1282885c58e107fff136b88123fd644"
"""Its commit. It moves on with each release: docs/how-to/release.md."""

_ROOT = Path(__file__).parents[2]
_SERVICES = ("recommender", "trainer", "labeler", "gateway")


@dataclass(frozen=True)
class Code:
    """One release of RecLens, to be run by this Python with the packages that are installed.

    Attributes:
        root: of the repository.
        version: of the distribution, as its manifests say it.
    """

    root: Path
    version: str

    def command(self, *arguments: str) -> list[str]:
        """Python, to be started with `environment`."""
        return [sys.executable, *arguments]

    @property
    def environment(self) -> dict[str, str]:
        """Variables with which Python imports this release, whatever is installed."""
        sources = ["shared/src", *(f"services/{name}/src" for name in _SERVICES)]
        paths = [*(self.root / source for source in sources), Path(__file__).parent]
        path = os.pathsep.join(map(str, paths))
        return {**os.environ, "PYTHONPATH": path, "PYTHONSAFEPATH": "1"}


def unpack_release_before(folder: Path) -> Code:
    """Write that commit's code below ``folder``; the test is skipped where there is no history."""
    known = _git("cat-file", "-e", f"{RELEASE_BEFORE}^{{commit}}")
    if known.returncode:
        pytest.skip(
            f"the history of this copy has no {RELEASE_BEFORE[:12]}, the release before "
            f"({known.stderr.decode().strip()}); a full clone has it"
        )
    packed = _git("archive", RELEASE_BEFORE, "VERSION", "shared", "services")
    packed.check_returncode()
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
        archive.extractall(folder, filter="data")
    # Told apart in manifests from a release that has the same number still.
    version = (folder / "VERSION").read_text().strip() + "+before"
    _declare(folder / "shared", version)
    return Code(folder, version)


def code_of_today() -> Code:
    """What is tested."""
    import reclens

    return Code(_ROOT, reclens.__version__)


def _declare(project: Path, version: str) -> None:
    """Write what an installation would: the version, and the entry points of ``pyproject.toml``."""
    declared = tomllib.loads((project / "pyproject.toml").read_text())["project"]["entry-points"]
    info = project / "src" / f"reclens-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: reclens\nVersion: {version}\n")
    with (info / "entry_points.txt").open("w") as file:
        for group, points in declared.items():
            file.write(f"[{group}]\n")
            file.writelines(f"{name} = {value}\n" for name, value in points.items())


def _git(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(
            ["git", "-C", str(_ROOT), *arguments], capture_output=True, check=False
        )
    except FileNotFoundError:
        pytest.skip("there is no git to get the release before with")
