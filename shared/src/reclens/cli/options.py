"""Options that several commands have: each is declared once."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from functools import wraps
from typing import Annotated, Any

import typer

Release = Annotated[str, typer.Option(help="Name of the release.")]


def with_groups(command: Callable[..., None]) -> Callable[..., None]:
    """Let a command take dataclasses: on the command line each of their fields is an option.

    Args:
        command: parameters that are annotated with a dataclass have no default.
    """
    signature = inspect.signature(command, eval_str=True)
    groups: dict[str, Any] = {
        name: parameter.annotation
        for name, parameter in signature.parameters.items()
        if is_dataclass(parameter.annotation)
    }

    @wraps(command)
    def flat(**given: Any) -> None:
        for name, group in groups.items():
            given[name] = group(**{field.name: given.pop(field.name) for field in fields(group)})
        command(**given)

    parameters: list[inspect.Parameter] = []
    for name, parameter in signature.parameters.items():
        inside = inspect.signature(groups[name], eval_str=True).parameters if name in groups else {}
        parameters += inside.values() or [parameter]
    flat.__signature__ = inspect.Signature(  # pyright: ignore[reportAttributeAccessIssue]
        [parameter.replace(kind=parameter.KEYWORD_ONLY) for parameter in parameters]
    )
    return flat
