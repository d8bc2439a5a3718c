"""Entry point: finds the command, turns errors into one line and an exit code."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import typer
from typer.core import TyperGroup

from reclens.cli.output import say
from reclens.errors import (
    InvalidInput,
    JobCancelled,
    NotFound,
    NotReady,
    Partial,
    RecLensError,
    Unavailable,
)

EXIT_CODES: dict[type[RecLensError], int] = {
    InvalidInput: 2,
    NotFound: 3,
    Unavailable: 4,
    NotReady: 5,
    JobCancelled: 6,
    Partial: 7,
}
"""Exit code by class of error, subclasses included; 1 for every other error, 130 for Ctrl-C."""

# Command: module with it. Loaded when called, so that a command waits for its own imports only.
_COMMANDS = {
    "up": "reclens.cli.operations.local",
    "down": "reclens.cli.operations.local",
    "status": "reclens.cli.operations.local",
    "submit": "reclens.cli.jobs.submit",
    "jobs": "reclens.cli.jobs.jobs",
    "data": "reclens.cli.jobs.data",
    "artifacts": "reclens.cli.jobs.artifacts",
    "releases": "reclens.cli.jobs.releases",
    "concepts": "reclens.cli.serving.concepts",
    "survey": "reclens.cli.jobs.survey",
    "recommend": "reclens.cli.serving.recommend",
    "compare": "reclens.cli.serving.recommend",
    "propose": "reclens.cli.serving.recommend",
    "explain": "reclens.cli.serving.recommend",
    "policies": "reclens.cli.serving.policies",
    "tokens": "reclens.cli.operations.tokens",
    "deploy": "reclens.cli.operations.deploy",
    "backup": "reclens.cli.operations.backup",
    "restore": "reclens.cli.operations.backup",
    "doctor": "reclens.cli.operations.doctor",
    "gc": "reclens.cli.operations.gc",
    "demo": "reclens.cli.operations.demo",
    "reproduce": "reclens.cli.operations.reproduce",
    "reference": "reclens.cli.reference.command",
}


class _LazyGroup(TyperGroup):
    def list_commands(self, ctx: Any) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in _COMMANDS:
            return None
        app: typer.Typer = importlib.import_module(_COMMANDS[cmd_name]).app
        loaded = typer.main.get_group(app)
        for command in loaded.commands.values():
            # What docstrings say of errors is for readers of the code.
            command.help = (command.help or "").partition("Raises:")[0].strip()
        # A module holds one group of that name, or several commands.
        return loaded if loaded.name == cmd_name else loaded.commands[cmd_name]


app = typer.Typer(
    cls=_LazyGroup,
    name="reclens",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def _root() -> None:
    """Open a recommender at one place: capture, decompose, name, steer."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit.

    Exit codes: 0 done; 1 a job or the command failed; 2 usage or bad input; 3 not found;
    4 unavailable; 5 not ready; 6 cancelled; 7 a job was done in part, and submitted again makes
    only the rest; 130 interrupted.
    """
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: list[str]) -> int:
    """Run one command and return its exit code."""
    try:
        # It answers wrong usage and Ctrl-C itself, and always ends with SystemExit.
        app(arguments, prog_name="reclens")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0
    except BrokenPipeError:
        # `reclens jobs list | head`: the reader has seen enough.
        sys.stderr.close()
    except RecLensError as error:
        say(f"error: {error.sentence}")
        return exit_code(error)
    return 0


def exit_code(error: RecLensError) -> int:
    """Exit code of an error."""
    return next((code for kind, code in EXIT_CODES.items() if isinstance(error, kind)), 1)
