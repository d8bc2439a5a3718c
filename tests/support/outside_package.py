"""Packages of strangers, written on a page of the documentation and installed by pip."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

_PAGES = Path(__file__).parents[2] / "docs" / "how-to" / "extend"
_BLOCK = re.compile(r"^```(?:python|toml|yaml) (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def files_of_page(name: str) -> dict[str, str]:
    """The files that a page on an extension point shows, by path: its named blocks of code."""
    return dict(_BLOCK.findall((_PAGES / name).read_text(encoding="utf-8")))


@dataclass(frozen=True)
class OutsidePackage:
    """An installed package."""

    project: Path
    """Its source tree."""
    site: Path
    """Where it was installed."""

    def run_tests(self, *names: str) -> None:
        """Run its tests by pytest, in a process of their own."""
        path = f"import sys; sys.path[:0] = [{str(self.site)!r}]; import pytest; "
        options = ["-q", "-p", "no:cacheprovider", "--rootdir", str(self.project)]
        command = f"{path}sys.exit(pytest.main({[*options, *names]!r}))"
        done = subprocess.run(
            [sys.executable, "-c", command],
            cwd=self.project,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


@contextmanager
def installed(
    files: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OutsidePackage]:
    """The package of ``files``, built and installed by pip into a folder on the path."""
    project, site = tmp_path_factory.mktemp("outside"), tmp_path_factory.mktemp("site")
    for name, text in files.items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(text, encoding="utf-8")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    offline = ["--no-index", "--no-deps", "--no-build-isolation", "--target", str(site)]
    subprocess.run([*pip, *offline, str(project)], check=True, capture_output=True)
    before = set(sys.modules)
    sys.path[:0] = [str(site)]
    importlib.invalidate_caches()
    try:
        yield OutsidePackage(project, site)
    finally:
        sys.path.remove(str(site))
        for name in set(sys.modules) - before:
            file = getattr(sys.modules[name], "__file__", None) or ""
            if file.startswith(str(site)):
                del sys.modules[name]
