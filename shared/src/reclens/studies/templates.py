"""How reports are filled in: Jinja templates, which must be given all that they name."""

from __future__ import annotations

from typing import Any

import jinja2

NOT_MEASURED = "n/a"
"""Shown for None."""


def number(value: Any, shown: str = ".3f") -> str:
    """A figure by its format specification; as text where that is empty."""
    return NOT_MEASURED if value is None else format(value, shown)


def pick(values: dict[str, Any], *names: str) -> dict[str, Any]:
    """Some of the values."""
    return {name: values[name] for name in names}


def shortened(text: str, width: int) -> str:
    """A text that is not wider than that."""
    return text if len(text) <= width else text[: width - 1] + "…"


def cell(text: str) -> str:
    """A text in one cell of a Markdown table."""
    return text.replace("|", "\\|").replace("\n", " ")


def template_environment(package: str) -> jinja2.Environment:
    """Reads the folder ``templates`` of a package; only templates of pages escape what they are
    given."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(package),
        autoescape=lambda name: bool(name) and name.endswith(".html.j2"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"number": number, "cell": cell}
    return environment
