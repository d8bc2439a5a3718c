"""The dialects that come with RecLens, and one of an outside package."""

from __future__ import annotations

from pathlib import Path

import pytest
from outside_package import files_of_page, installed

from reclens.errors import InvalidInput, NotFound
from reclens.platform.llm.client import HttpLlmClient
from reclens.platform.llm.dialects import DIALECTS, ChatDialect
from reclens.platform.settings.models import LlmSettings
from reclens.testing.llm import REQUEST, SCHEMA, LlmDialectSuite

PAGE = files_of_page("llm-dialect.md")


class TestTgi(LlmDialectSuite):
    @pytest.fixture
    def name(self) -> str:
        return "tgi"


class TestOpenAi(LlmDialectSuite):
    @pytest.fixture
    def name(self) -> str:
        return "openai"


def test_those_that_come_with_reclens_are_declared_as_others_are():
    assert {"tgi", "openai"} <= set(DIALECTS.names())


def test_a_dialect_that_nobody_offers_is_named_with_those_there_are():
    with pytest.raises(NotFound, match=r"(?s)'klingon'.*openai, tgi"):
        HttpLlmClient(LlmSettings(dialect="klingon"))


def test_a_dialect_of_an_outside_package_passes_the_suite(
    tmp_path_factory: pytest.TempPathFactory,
):
    """The page's own test file, run by pytest where the package is installed."""
    with installed(PAGE, tmp_path_factory) as package:
        package.run_tests("test_guided.py")
        dialect = DIALECTS.load("guided")()
        assert isinstance(dialect, ChatDialect)
        assert dialect.body(REQUEST)["guided_json"] == SCHEMA
        assert "response_format" not in dialect.body(REQUEST)


def test_what_is_no_dialect_is_refused(tmp_path_factory: pytest.TempPathFactory):
    module = "guided_dialect/__init__.py"
    wrong = {**PAGE, module: "class GuidedDialect:\n    pass\n"}
    with (
        installed(wrong, tmp_path_factory),
        pytest.raises(InvalidInput, match=r"(?s)not a subclass of .*ChatDialect.*llm-dialect\.md"),
    ):
        DIALECTS.load("guided")


def test_a_dialect_without_a_form_for_the_schema_is_refused(
    tmp_path_factory: pytest.TempPathFactory,
):
    source = (
        "from reclens.platform.llm.dialects import ChatDialect\n"
        "class GuidedDialect(ChatDialect):\n    pass\n"
    )
    wrong = {**PAGE, "guided_dialect/__init__.py": source}
    with (
        installed(wrong, tmp_path_factory),
        pytest.raises(InvalidInput, match="lacks response_format"),
    ):
        DIALECTS.load("guided")


def test_the_page_is_where_the_error_says():
    assert (Path(__file__).parents[4] / "docs/how-to/extend/llm-dialect.md").is_file()
