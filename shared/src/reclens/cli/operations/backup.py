"""``backup`` and ``restore``: what the bucket holds, in a folder, and back."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from reclens.cli.connection import client_settings
from reclens.cli.output import Json, print_json, print_line, say
from reclens.ops.retention.backup import Backup, Outcome
from reclens.platform.store.artifacts import ArtifactStore

Folder = Annotated[Path, typer.Argument(help="Folder of the backup.")]
app = typer.Typer()


@app.command()
def backup(
    folder: Folder,
    *,
    keep: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Snapshots that stay, the newest; older ones are dropped, with what only they "
            "need. Without it, all stay.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Copy artifacts, releases, policies, corrections and answers of language models into a folder,
    while jobs run. Into the same folder again, only what is new is copied.

    Raises:
        Unavailable: the store does not answer.
        CorruptArtifact: what the bucket holds is damaged, or a snapshot that stays.
    """
    kept = Backup(folder)
    outcome = kept.take(ArtifactStore.from_settings(client_settings()))
    if keep is None:
        _tell(outcome, json)
        return
    dropped = kept.drop(keep)
    _tell(outcome, json, dropped=dropped and asdict(dropped))
    if dropped is None:
        say(f"nothing was dropped: another backup or restore uses {folder}, or it has no locks")
    elif not json:
        print_line(
            f"dropped {dropped.snapshots:,} snapshots, {dropped.files:,} files, "
            f"{dropped.bytes:,} bytes"
        )


@app.command()
def restore(folder: Folder, json: Json = False) -> None:
    """Put the newest snapshot of a folder into the bucket, each object verified; what is there
    stays. Takes the rights of the account restore.

    Raises:
        CorruptArtifact: the backup is damaged.
        AlreadyExists: the bucket has another object in the place of one.
    """
    _tell(Backup(folder).restore(ArtifactStore.from_settings(client_settings()).objects), json)


def _tell(outcome: Outcome, json: bool, **more: Any) -> None:
    if json:
        print_json(asdict(outcome) | more)
        return
    print_line(
        f"{outcome.snapshot}: {outcome.objects:,} objects, {outcome.bytes:,} bytes; "
        f"copied {outcome.copied:,}, {outcome.copied_bytes:,} bytes"
    )
