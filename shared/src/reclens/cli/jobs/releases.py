"""``releases``: what serving answers from, what it was before, and the way back."""

from __future__ import annotations

import getpass
from dataclasses import dataclass
from typing import Annotated

import typer

from reclens.cli.connection import client_settings
from reclens.cli.jobs.watching import carry_out
from reclens.cli.options import with_groups
from reclens.cli.output import Json, print_json, print_line, print_table
from reclens.contracts import Release, ReleaseAction, ReleaseChangeSpec
from reclens.contracts.specs.release import RELEASE_CHANGE
from reclens.errors import RecLensError
from reclens.platform.store.artifacts import ArtifactStore

Name = Annotated[str, typer.Argument(help="Name of the release.")]
app = typer.Typer(
    name="releases", no_args_is_help=True, help="Releases: what serving answers from."
)


@dataclass(frozen=True)
class Decision:
    """Who changes a release, why, and what that person has seen."""

    reason: Annotated[str, typer.Option(help="Why; kept with the version.")] = ""
    author: Annotated[str | None, typer.Option(help="Who decides; you, unless told otherwise.")] = (
        None
    )
    expected: Annotated[
        int | None, typer.Option(min=0, help="Only where this is still the newest version.")
    ] = None


@app.command("list")
def list_releases(json: Json = False) -> None:
    """List the newest version of every release."""
    heads = ArtifactStore.from_settings(client_settings()).releases.heads()
    if json:
        print_json({name: _as_json(head) for name, head in heads.items()})
        return
    print_table(["release", *_COLUMNS], [[name, *_row(head)] for name, head in heads.items()])


@app.command()
def history(name: Name = "default", json: Json = False) -> None:
    """List every version of a release, newest first."""
    versions = ArtifactStore.from_settings(client_settings()).releases.history(name)
    if json:
        print_json([_as_json(version) for version in versions])
        return
    print_table(list(_COLUMNS), [_row(version) for version in versions])


@app.command()
@with_groups
def rollback(
    name: Name = "default",
    *,
    to: Annotated[
        int | None,
        typer.Option(min=0, help="Version to go back to.", show_default="the one before"),
    ] = None,
    decision: Decision,
    json: Json = False,
) -> None:
    """Serve what an earlier version named, as a new version.

    Jobs that were submitted before publish nothing over it.
    """
    _submit(ReleaseAction.ROLLBACK, name, decision, to=to, json=json)


@app.command()
@with_groups
def pin(
    name: Name = "default",
    *,
    decision: Decision,
    json: Json = False,
) -> None:
    """Keep what is served: what jobs publish under the name is refused."""
    _submit(ReleaseAction.PIN, name, decision, json=json)


@app.command()
@with_groups
def unpin(
    name: Name = "default",
    *,
    decision: Decision,
    json: Json = False,
) -> None:
    """Let jobs publish under the name again."""
    _submit(ReleaseAction.UNPIN, name, decision, json=json)


def _submit(
    action: ReleaseAction, name: str, decision: Decision, *, to: int | None = None, json: bool
) -> None:
    change = ReleaseChangeSpec.parse(
        {
            "name": name,
            "action": action,
            "to": to,
            "expected": decision.expected,
            "author": decision.author or getpass.getuser(),
            "reason": decision.reason,
        }
    )
    settings = client_settings()
    failure = f"release {change.name!r} is as it was"
    carry_out(
        settings.redis, RELEASE_CHANGE.task, change, failure, "see `reclens jobs show {job}`."
    )
    head = ArtifactStore.from_settings(settings).releases.head(change.name)
    if json:
        print_json(_as_json(head))
        return
    print_line(f"release {head.name} is at version {head.number}: {head.version}, {head.concepts}")


_COLUMNS = ("version", "published", "parts", "concepts", "pinned", "by", "why")


def _row(version: Release | RecLensError) -> list[object]:
    if isinstance(version, RecLensError):
        return ["?", "", "", "", "", "", version.message]
    return [
        version.number,
        version.published_at,
        version.version,
        version.concepts,
        "yes" if version.pinned else "",
        version.author,
        version.reason,
    ]


def _as_json(version: Release | RecLensError) -> dict[str, object]:
    if isinstance(version, RecLensError):
        return {"error": version.sentence}
    return version.canonical()
