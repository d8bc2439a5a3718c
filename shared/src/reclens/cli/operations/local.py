"""``up``, ``down``, ``status``: the stack on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from reclens.cli.output import Json, print_json, print_line, print_table, say
from reclens.errors import MissingData
from reclens.ops.local.state import StateFolder

if TYPE_CHECKING:
    from reclens.ops.local.stack import LocalStack

app = typer.Typer()

# Modules of the packages in the extras ``local`` and ``plots``.
_LOCAL_MODULES = frozenset({"jinja2", "matplotlib", "psutil", "supervisor"})


@contextmanager
def needed_locally() -> Iterator[None]:
    """Around imports of what the local stack takes besides the command line.

    Raises:
        MissingData: a package of the extra ``local`` is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in _LOCAL_MODULES:
            raise
        raise MissingData(
            f"the package {package} is not installed.",
            field="local",
            remedy="install what the stack on this machine takes: pip install --require-hashes "
            "-r locks/runtime.txt; a stack in containers is `docker compose up`.",
        ) from error


@app.command()
def up(json: Json = False) -> None:
    """Start the local stack, or repair it, and wait until all parts answer."""
    state = StateFolder.default()
    endpoints = _stack(state).up(say)
    if json:
        print_json(endpoints)
    else:
        for name, address in endpoints.items():
            print_line(f"{name:<10} {address}")
        say(f"endpoints in {state.endpoints_file}; for a shell: . {state.environment_file}")


@app.command()
def down(json: Json = False) -> None:
    """Stop all that `up` started. Artifacts stay."""
    stopped = _stack(StateFolder.default()).down(say)
    if json:
        print_json({"stopped": stopped})


@app.command()
def status(json: Json = False) -> None:
    """Show every part of the local stack, probed now. Exit code 4 when not all is healthy."""
    state = StateFolder.default()
    parts = _stack(state).status()
    healthy = bool(parts) and all(part.healthy for part in parts)
    if json:
        print_json({"healthy": healthy, "parts": [asdict(part) for part in parts]})
    elif not parts:
        say(f"no stack runs in {state.root}; start one with `reclens up`")
    else:
        rows = [
            [
                part.name,
                "healthy" if part.healthy else "NOT HEALTHY",
                part.state,
                part.pid or "",
                f"{part.up_seconds} s",
                part.detail,
            ]
            for part in parts
        ]
        print_table(["part", "health", "state", "pid", "up", "answer"], rows, right=("pid", "up"))
    if not healthy:
        raise typer.Exit(4)


def _stack(state: StateFolder) -> LocalStack:
    with needed_locally():
        from reclens.ops.local.stack import LocalStack  # noqa: PLC0415 - not installed everywhere
    return LocalStack(state)
