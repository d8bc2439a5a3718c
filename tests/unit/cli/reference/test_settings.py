"""The page of settings: complete, in words, and true to what the processes read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import ValidationError
from pydantic_settings import BaseSettings

from reclens.cli.reference import settings as reference_settings
from reclens.cli.reference.settings import PROCESSES, settings_reference
from reclens.errors import NotReady
from reclens.platform.settings.models import StoreSettings

_ROOT = Path(__file__).parents[4]
_PAGE = settings_reference()


def _row(variable: str) -> list[str]:
    (line,) = [line for line in _PAGE.splitlines() if f"`{variable}`" in line.split(" | ")[0]]
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def _readers(variables: str) -> list[str]:
    lines = _PAGE.splitlines()
    header = next(line for line in lines if line.startswith("| settings |"))
    names = [cell.strip() for cell in header.split("|")[3:-1]]
    (line,) = [line for line in lines if line.startswith("| [") and f"| `{variables}` |" in line]
    marks = [cell.strip() for cell in line.split("|")[3:-1]]
    return [name for name, mark in zip(names, marks, strict=True) if mark]


def test_every_setting_has_a_meaning():
    for setting in reference_settings._all():
        assert setting.info.description, setting.variable
        assert setting.owner.__doc__, setting.owner


@pytest.mark.parametrize(
    ("variable", "value", "default", "meaning"),
    [
        ("RECLENS_GATEWAY__LISTEN", "text", "`127.0.0.1:50051`", "port 0 takes a free one"),
        ("RECLENS_INFERENCE__LISTEN", "text", "`127.0.0.1:50052`", "port 0 takes a free one"),
        ("RECLENS_S3__SECRET_KEY", "secret", "empty", "Secret key."),
        ("RECLENS_REDIS__URL", "secret", "`redis://127.0.0.1:6379/0`", "Redis address"),
        ("RECLENS_CLIENT__TOKEN", "secret", "none", "Bearer token"),
        ("RECLENS_CACHE_DIR", "path", "`.reclens/cache`", "safe to delete"),
        ("RECLENS_COMPILE", "`true` or `false`", "`false`", "`torch.compile`"),
        ("RECLENS_LLM__DIALECT", "text", "`tgi`", "JSON schema"),
        ("RECLENS_LLM__RETRIES", "integer from 0 to 20", "`5`", "Attempts"),
        ("RECLENS_LLM__TIMEOUT_SECONDS", "number above 0, at most 3,600", "`120`", "Patience"),
        ("RECLENS_MAX_DELIVERIES", "integer of at least 1", "`3`", "dead letter"),
        ("RECLENS_GATEWAY__TRACES__SHARE", "number from 0 to 1", "`1`", "Share of requests"),
        ("RECLENS_INFERENCE__SEARCH_THREADS", "integer from 1 to 256", "by the machine", "one a"),
        ("RECLENS_STATE_DIR", "path", "`.reclens`", "Folder of the local stack"),
    ],
)
def test_a_setting_is_described_in_words(variable: str, value: str, default: str, meaning: str):
    row = _row(variable)
    assert row[1:3] == [value, default]
    assert meaning in row[3]


def test_what_both_servers_take_is_described_once_under_both_names():
    row = _row("RECLENS_GATEWAY__TLS__CERTIFICATE")
    assert row == _row("RECLENS_INFERENCE__TLS__CERTIFICATE")
    # A setting of that name that means something else in either has a row of its own.
    assert _row("RECLENS_GATEWAY__MAX_BATCH") != _row("RECLENS_INFERENCE__MAX_BATCH")


@pytest.mark.parametrize(
    ("variables", "readers"),
    [
        ("RECLENS_CACHE_DIR`<br>`RECLENS_CACHE_MAX_BYTES", [process.name for process in PROCESSES]),
        ("RECLENS_DEVICE", ["inference", "recommender worker", "trainer", "labeler"]),
        ("RECLENS_REDIS__...", ["recommender worker", "trainer", "labeler", "command line"]),
        ("RECLENS_GATEWAY__INFERENCE_TLS__...", ["gateway"]),
        ("RECLENS_CLIENT__...", ["command line"]),
    ],
)
def test_the_table_tells_who_reads_what(variables: str, readers: list[str]):
    assert _readers(variables) == readers


def test_a_variable_of_the_page_is_one_that_its_process_reads(monkeypatch: pytest.MonkeyPatch):
    listed = set(re.findall(r"`(RECLENS_\w+)`", _PAGE)) - {"RECLENS_STATE_DIR"}
    # Text, paths and secrets may be anything; whatever else is read is refused, by its name.
    for variable in listed:
        monkeypatch.setenv(variable, "nonsense")
    refused: set[str] = set()
    for process in PROCESSES:
        settings = reference_settings._load(process.settings)
        with pytest.raises(ValidationError) as caught:
            settings()
        refused |= {
            f"RECLENS_{'__'.join(str(part) for part in error['loc']).upper()}"
            for error in caught.value.errors()
        }
        # A name that no class knows would be refused within a section.
        assert "extra_forbidden" not in {error["type"] for error in caught.value.errors()}
    ruled = {name for name in listed if not re.match("text$|path|secret", _row(name)[1])}
    assert ruled <= refused


def test_every_settings_class_of_a_process_is_on_the_page():
    def leaves(kind: type[BaseSettings]) -> set[str]:
        below = [leaf for child in kind.__subclasses__() for leaf in leaves(child)]
        # Tests may define classes of their own.
        return set(below) or ({kind.__name__} if kind.__module__.startswith("reclens") else set())

    for path in (_ROOT / "services").glob("*/src/*/**/settings.py"):
        parts = path.relative_to(_ROOT / "services").with_suffix("").parts[2:]
        reference_settings._load(f"{'.'.join(parts)}:__doc__")
    assert leaves(StoreSettings) <= {process.settings.partition(":")[2] for process in PROCESSES}


def test_links_within_the_page_lead_somewhere():
    titles = re.findall(r"^## (.*)$", _PAGE, re.M)
    anchors = {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
    assert len(anchors) == len(titles)
    assert set(re.findall(r"\]\(#([^)]+)\)", _PAGE)) <= anchors


def test_links_of_other_pages_to_the_settings_lead_somewhere():
    titles = re.findall(r"^## (.*)$", _PAGE, re.M)
    anchors = {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
    pages = [*(_ROOT / "docs").rglob("*.md"), *_ROOT.glob("services/*/README.md")]
    linked = [
        anchor
        for page in pages
        for anchor in re.findall(r"settings\.md#([\w-]+)", page.read_text())
    ]
    assert len(linked) >= 5
    assert set(linked) <= anchors


def test_without_a_service_the_page_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    missing = reference_settings.Process("x", "x", "reclens_elsewhere.settings:Settings")
    monkeypatch.setattr(reference_settings, "PROCESSES", (missing,))
    with pytest.raises(NotReady, match="install every service"):
        settings_reference()
