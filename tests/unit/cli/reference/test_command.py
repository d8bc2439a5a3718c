"""The reference pages are what the code says."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest
import yaml

from reclens.cli.reference.command_line import cli_reference
from reclens.cli.reference.jobs import jobs_reference
from reclens.cli.reference.settings import settings_reference
from reclens.cli.reference.tables import docstrings, tables_reference
from reclens.contracts import job_kinds
from reclens.contracts.specs.pipeline import PIPELINE_RUN
from reclens.contracts.tables import TABLES
from reclens.platform.jobs.spec_file import complete

_DOCS = Path(__file__).parents[4] / "docs" / "reference"


@pytest.mark.parametrize(
    ("page", "fresh"),
    [
        ("jobs.md", jobs_reference),
        ("cli.md", cli_reference),
        ("settings.md", settings_reference),
        ("tables.md", tables_reference),
    ],
)
def test_the_committed_page_is_fresh(page: str, fresh):
    assert (_DOCS / page).read_text() == fresh(), "run `reclens reference`"


def test_every_task_is_described():
    text = jobs_reference()
    for task in job_kinds():
        assert f"## `{task}`" in text


def test_every_link_of_the_jobs_page_leads_somewhere():
    text = jobs_reference()
    headings = {line.lstrip("# ").lower() for line in text.splitlines() if line.startswith("### ")}
    assert set(re.findall(r"\]\(#([a-z]+)\)", text)) <= headings


def test_every_command_of_the_cli_page_takes_json():
    sections = re.split(r"^## ", cli_reference(), flags=re.M)[1:]
    assert len(sections) >= 15
    for section in sections:
        assert "`--json`" in section, section.splitlines()[0]


def test_the_example_job_validates():
    (example,) = re.findall(r"```yaml\n(.*?)```", jobs_reference(), re.S)
    assert complete(yaml.safe_load(example)).task == PIPELINE_RUN.task


def test_every_column_is_described():
    for table in (table for tables in TABLES.values() for table in tables):
        described = docstrings(table.row)
        assert set(described) >= {field.name for field in dataclasses.fields(table.row)}
        assert all(described.values())
        assert table.row.__doc__
        assert not table.row.__doc__.startswith(f"{table.row.__name__}(")
