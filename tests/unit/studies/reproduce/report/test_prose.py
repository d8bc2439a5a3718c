"""Figures in words."""

from __future__ import annotations

import jinja2
import pytest

from reclens.studies.reproduce.report import prose


def test_intervals_in_words() -> None:
    assert prose.interval((0.1, -0.05, 0.25)) == "+0.100 [-0.050 to +0.250]"
    assert prose.interval((None, None, None)) == "not measured"
    assert prose.interval(None) == "not measured"


def test_names_in_a_sentence() -> None:
    assert [prose.listed(list(names)) for names in ("a", "ab", "abc")] == [
        "a",
        "a and b",
        "a, b and c",
    ]


def test_what_a_layout_names_and_is_not_there_is_an_error() -> None:
    assert prose.value("row.there", row={"there": 2}) == 2
    for expression in ("row.missing", "row.missing.more", "missing"):
        with pytest.raises(jinja2.UndefinedError):
            prose.value(expression, row={"there": 2})
