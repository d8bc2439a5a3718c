"""``releases``: what serving answers from, what it was before, and the way back."""

from __future__ import annotations

import getpass
from typing import Annotated

import typer

from reclens.cli.connection import client_settings
from reclens.cli.jobs.watching import watch
from reclens.cli.output import Json, print_json, print_table
from reclens.contracts import Release, ReleaseAction, ReleaseChangeSpec
from reclens.contracts.specs.release import RELEASE_CHANGE
from reclens.errors import RecLensError
from reclens.platform.jobs.log import JobLog
from reclens.platform.jobs.view import JobState
from reclens.platform.store.artifacts import ArtifactStore

Name = Annotated[str, typer.Argument(help="Name of the release.")]
Reason = Annotated[str, typer.Option(help="Why; kept with the version.")]
Author = Annotated[
    str | None, typer.Option(help="Who decides; you, unless told otherwise.", show_default=False)
]
Expected = Annotated[
    int | None,
    typer.Option(
        min=0,
        help="Only where this is still the newest version.",
        show_default=False,
    ),
]

app = typer.Typer(
    name="releases", no_args_is_help=True, help="Releases: what serving answers from."
)


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
def rollback(
    name: Name = "default",
    *,
    to: Annotated[
        int | None,
        typer.Option(min=0, help="Version to go back to.", show_default="the one before"),
    ] = None,
    reason: Reason = "",
    author: Author = None,
    expected: Expected = None,
    json: Json = False,
) -> None:
    """Serve what an earlier version named, as a new version.

    Jobs that were submitted before publish nothing over it.
    """
    change = _change(ReleaseAction.ROLLBACK, name, reason, author, expected)
    _submit(change.model_copy(update={"to": to}), json=json)


@app.command()
def pin(
    name: Name = "default",
    *,
    reason: Reason = "",
    author: Author = None,
    expected: Expected = None,
    json: Json = False,
) -> None:
    """Keep what is served: what jobs publish under the name is refused."""
    _submit(_change(ReleaseAction.PIN, name, reason, author, expected), json=json)


@app.command()
def unpin(
    name: Name = "default",
    *,
    reason: Reason = "",
    author: Author = None,
    expected: Expected = None,
    json: Json = False,
) -> None:
    """Let jobs publish under the name again."""
    _submit(_change(ReleaseAction.UNPIN, name, reason, author, expected), json=json)


def _change(
    action: ReleaseAction, name: str, reason: str, author: str | None, expected: int | None
) -> ReleaseChangeSpec:
    return ReleaseChangeSpec.parse(
        {
            "name": name,
            "action": action,
            "expected": expected,
            "author": author or getpass.getuser(),
            "reason": reason,
        }
    )


def _submit(change: ReleaseChangeSpec, *, json: bool) -> None:
    settings = client_settings()
    log = JobLog(settings.redis)
    done = watch(log.watch(log.submit(RELEASE_CHANGE.task, change.canonical())))
    if done.state is not JobState.SUCCEEDED:
        why = done.error.message if done.error is not None else done.state.value
        raise RecLensError(
            f"release {change.name!r} is as it was: {why}",
            field="release",
            remedy=done.error.remedy if done.error is not None else "",
        )
    head = ArtifactStore.from_settings(settings).releases.head(change.name)
    if json:
        print_json(_as_json(head))
        return
    print(f"release {head.name} is at version {head.number}: {head.version}, {head.concepts}")


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
