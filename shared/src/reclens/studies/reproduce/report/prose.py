"""The words of a report: templates filled with what was measured.

Sentences, layouts of tables and captions stand in ``templates/``; which of them hold is decided in
the modules beside this one.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import jinja2
import yaml

from reclens.concepts.judging.confidence import MIN_POSITIVE, TRUSTED_CONFIDENCE
from reclens.evaluation.levels import MIN_FIRING
from reclens.evaluation.matching_items import MAX_SHARE, MIN_SHARE, MIN_TAGS
from reclens.evaluation.monosemanticity import CHANCE, N_MEMBERS
from reclens.evaluation.similarity import N_ITEMS
from reclens.studies.reproduce.experiment import comparison
from reclens.studies.reproduce.experiment.comparison import Bounds
from reclens.studies.reproduce.experiment.results import StudyResults
from reclens.studies.templates import template_environment

_CONSTANTS = {
    "CHANCE": CHANCE,
    "MAX_SHARE": MAX_SHARE,
    "MIN_FIRING": MIN_FIRING,
    "MIN_POSITIVE": MIN_POSITIVE,
    "MIN_SHARE": MIN_SHARE,
    "MIN_TAGS": MIN_TAGS,
    "N_ITEMS": N_ITEMS,
    "N_MEMBERS": N_MEMBERS,
    "TRUSTED_CONFIDENCE": TRUSTED_CONFIDENCE,
}
"""How things were measured."""

F = TypeVar("F", bound=Callable[..., Any])

_PARAGRAPH = re.compile(r"\n\s*\n")


def interval(bounds: Bounds | None, shown: str = "+.3f") -> str:
    """A figure with its 95 % interval in brackets."""
    if bounds is None:
        return "not measured"
    mean, low, high = (math.nan if one is None else one for one in bounds)
    if math.isnan(mean):
        return "not measured"
    return f"{mean:{shown}} [{low:{shown}} to {high:{shown}}]"


def change(after: float, before: float) -> str:
    """A relative change."""
    return f"{after / before - 1:+.1%}" if before else "base is 0"


def listed(names: Sequence[str]) -> str:
    """Names in a sentence."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def anchor(heading: str) -> str:
    """The id that Markdown viewers give a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@functools.cache
def environment() -> jinja2.Environment:
    """Where all templates of the report are read. They know how things were measured, and may
    compare dictionaries by all that `comparison` has."""
    found = template_environment("reclens.studies.reproduce.report")
    found.filters |= {"interval": interval, "change": change, "listed": listed, "anchor": anchor}
    found.globals |= {"interval": interval, **vars(comparison), **_CONSTANTS}
    return found


def function(called: F) -> F:
    """Let templates and layouts call a function by its name."""
    environment().globals[called.__name__] = called
    return called


@function
def held_out_cases(results: StudyResults) -> str:
    """Cases of users that were not trained on, by origin where there are several."""
    origins = results.origins
    names = {origin: f" {origin}" if len(origins) > 1 else "" for origin in origins}
    counts = [f"{origins[origin]['cases']:,}{name}" for origin, name in names.items()]
    return " and ".join(counts) + " cases"


def render(name: str, **values: Any) -> str:
    """A whole template."""
    return environment().get_template(name).render(values)


def paragraphs(name: str, **values: Any) -> list[str]:
    """The paragraphs of a template, each on one line."""
    return _paragraphs(render(name, **values))


def macro(name: str, macro_name: str, **values: Any) -> list[str]:
    """The paragraphs that a macro of a template makes, each on one line."""
    module: Any = environment().get_template(name).module
    return _paragraphs(getattr(module, macro_name)(**values))


def _paragraphs(text: str) -> list[str]:
    return [" ".join(part.split()) for part in _PARAGRAPH.split(text.strip()) if part.strip()]


@functools.cache
def layout(name: str) -> Any:
    """What a YAML file of the templates says, such as columns of tables."""
    return yaml.safe_load((Path(__file__).parent / "templates" / name).read_text())


def text(source: str, **values: Any) -> str:
    """One text of a layout, on one line."""
    return " ".join(environment().from_string(source).render(values).split())


def value(expression: str, **values: Any) -> Any:
    """What an expression of a layout is: a value, not its text.

    Raises:
        jinja2.UndefinedError: it names what there is not.
    """
    found = _compiled(expression)(**values)
    if isinstance(found, jinja2.Undefined):
        str(found)  # raises, as the undefined of this environment are strict
    return found


@functools.cache
def _compiled(expression: str) -> Any:
    return environment().compile_expression(expression, undefined_to_none=False)
