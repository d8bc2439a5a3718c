"""What the reference pages share: tables, docstrings and types of fields as Markdown."""

from __future__ import annotations

import types
from collections.abc import Iterable, Sequence
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import JsonValue, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from reclens.contracts import Contract

_WORDS = {
    str: "text",
    int: "integer",
    float: "number",
    bool: "`true` or `false`",
    Path: "path",
    SecretStr: "secret",
    type(None): "null",
    Any: "any",
    JsonValue: "any",
}


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; vertical bars within cells are escaped."""
    lines = [_line(header), f"|{'---|' * len(header)}"]
    lines += [_line([cell.replace("|", r"\|") for cell in row]) for row in rows]
    return "\n".join(lines) + "\n"


def prose(docstring: str | None) -> str:
    """A docstring as one paragraph."""
    return " ".join((docstring or "").replace("``", "`").split())


def listed(words: Sequence[str], last: str = "and") -> str:
    """``a, b and c``."""
    return f" {last} ".join(part for part in (", ".join(words[:-1]), *words[-1:]) if part)


def type_in_words(annotation: Any) -> str:
    """What a field takes; a link to its own table where that is a contract."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is None:
        return _plain_type(annotation)
    if origin is Literal:
        return listed([f"`{choice}`" for choice in arguments], "or")
    if origin is Annotated:
        arguments = arguments[:1]  # the others are its rules
    parts = [type_in_words(part) for part in arguments if part is not ...]
    if origin in {Union, types.UnionType}:
        return listed(list(dict.fromkeys(parts)), "or")
    if origin is dict:
        return f"object of {' to '.join(parts)}"
    return f"list of {parts[0]}" if origin in {list, tuple} else parts[0]


def _plain_type(kind: Any) -> str:
    if kind in _WORDS:
        return _WORDS[kind]
    if issubclass(kind, Contract):
        return f"[{kind.__name__}](#{kind.__name__.lower()})"
    if issubclass(kind, Enum):
        return listed([f"`{member.value}`" for member in kind], "or")
    raise TypeError(f"the reference has no word for {kind}")


def bounds_in_words(info: FieldInfo) -> str:
    """Within what bounds: ``from 1 to 5``, or nothing."""
    bounds: dict[type, Any] = {}
    words: list[str] = []
    for rule in info.metadata:
        for kind in (Ge, Gt, Le, Lt):
            if isinstance(rule, kind):
                bounds[kind] = f"{getattr(rule, kind.__name__.lower()):,}"
        if pattern := getattr(rule, "pattern", None):
            words.append(f"that matches `{pattern}`")
    if Ge in bounds and Le in bounds:
        return " ".join([*words, f"from {bounds[Ge]} to {bounds[Le]}"])
    signs = {Ge: "of at least", Gt: "above", Le: "at most", Lt: "below"}
    words.append(
        ", ".join(f"{sign} {bounds[kind]}" for kind, sign in signs.items() if kind in bounds)
    )
    return " ".join(part for part in words if part)


def default_in_words(value: Any, none: str) -> str:
    """What stands where nothing is said.

    Args:
        value: the default of a field.
        none: word for None.
    """
    if isinstance(value, SecretStr):
        # A default that is in the source is no secret.
        value = value.get_secret_value()
    if value is None:
        return none
    if value is PydanticUndefined or value == "":
        return "empty"
    if isinstance(value, Contract):
        kind = getattr(value, "kind", None)
        return f"`{kind}` with its defaults" if kind else "its defaults"
    if isinstance(value, dict):
        return ", ".join(f"{key} {share}" for key, share in value.items())
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value:.6g}`" if isinstance(value, float) else f"`{getattr(value, 'value', value)}`"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
