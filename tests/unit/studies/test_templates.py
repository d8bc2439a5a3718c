"""What templates of reports are given, and what they must not be left without."""

from __future__ import annotations

import jinja2
import pytest

from reclens.studies.templates import cell, number, template_environment


def test_figures_by_their_format() -> None:
    assert [number(0.12345), number(1234, ",d"), number("text", ""), number(None)] == [
        "0.123",
        "1,234",
        "text",
        "n/a",
    ]


def test_a_cell_stays_one_cell() -> None:
    assert cell("a|b\nc") == "a\\|b c"


@pytest.mark.parametrize("package", ["reclens.studies.demo", "reclens.studies.reproduce.report"])
def test_a_template_that_is_not_given_what_it_names_is_an_error(package: str) -> None:
    environment = template_environment(package)
    assert environment.loader is not None
    assert environment.loader.list_templates()
    with pytest.raises(jinja2.UndefinedError):
        environment.from_string("{{ missing }}").render()
