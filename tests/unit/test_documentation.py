"""The documentation hangs together: every page is in the site's menu, and no link leads nowhere."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
_TRACKED = subprocess.run(
    ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
    cwd=ROOT, capture_output=True, text=True, check=True,
).stdout.split()  # fmt: skip
PAGES = [page for page in _TRACKED if (ROOT / page).exists()]
_FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    text = _FENCED.sub("", (ROOT / page).read_text(encoding="utf-8"))
    targets = re.findall(r"\]\(([^)\s]+)\)", text)
    for target in targets:
        if "://" in target or target.startswith(("#", "mailto:")):
            continue
        assert ((ROOT / page).parent / target.partition("#")[0]).exists(), f"{page}: {target}"


def _leaves(menu: object) -> set[str]:
    if isinstance(menu, str):
        return {menu}
    parts = menu.values() if isinstance(menu, dict) else menu if isinstance(menu, list) else []
    return {leaf for part in parts for leaf in _leaves(part)}


def test_every_page_is_in_the_menu() -> None:
    menu = _leaves(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"])
    pages = {str(Path(page).relative_to("docs")) for page in PAGES if page.startswith("docs/")}
    # Records and reports are listed on pages of their own.
    listed = {page for page in pages if page.startswith(("decisions/0", "results/"))}
    assert pages - listed <= menu


def test_every_decision_is_listed() -> None:
    listed = (ROOT / "docs" / "decisions" / "README.md").read_text()
    for record in (ROOT / "docs" / "decisions").glob("0*.md"):
        assert f"({record.name})" in listed


def test_every_test_that_the_page_on_security_names_exists() -> None:
    page = (ROOT / "docs" / "explanation" / "security.md").read_text()
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", page)
    assert named
    for file, test in named:
        assert re.search(rf"^\s*(async )?def {test}\(", (ROOT / file).read_text(), re.MULTILINE), (
            test
        )
    rows = [line for line in page.split("## Clients", 1)[1].splitlines() if line.startswith("|")]
    headings = ("| threat |", "|---")
    lines = [row for row in rows if not row.startswith(headings)]
    assert len(lines) == len(named), "each line of threats names one test"


def test_there_is_one_version() -> None:
    version = (ROOT / "VERSION").read_text().strip()
    projects = [ROOT / "shared", *(p.parent for p in ROOT.glob("services/*/pyproject.toml"))]
    for project in projects:
        assert "version =" not in (project / "pyproject.toml").read_text().split("[project.")[0]
        assert (project / "VERSION").read_text().strip() == version
