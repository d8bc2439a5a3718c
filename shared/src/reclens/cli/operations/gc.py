"""``gc``: what nothing needs any more, shown, and removed on request."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from reclens.cli.connection import client_settings
from reclens.cli.output import Json, print_json, print_table, say
from reclens.ops.retention.garbage_collection import Collector, Garbage, Kind
from reclens.ops.retention.live_jobs import LiveJobs
from reclens.platform.store.artifacts import ArtifactStore

app = typer.Typer()


@app.command()
def gc(
    *,
    delete: Annotated[
        bool, typer.Option("--delete", help="Remove it; without, it is only shown.")
    ] = False,
    json: Json = False,
) -> None:
    """Show what no release, pin or job needs, and remove it with --delete. What stays for how long:
    the settings RECLENS_RETENTION__. Removing takes the rights of the account gc.

    Raises:
        Unavailable: Redis or the store does not answer.
        CorruptArtifact: what is needed cannot be told; nothing was removed.
        StoreRefused: these keys may not remove anything.
    """
    settings = client_settings()
    collector = Collector(
        ArtifactStore.from_settings(settings), LiveJobs(settings.redis), settings.retention
    )
    found = collector.find()
    removed = list(collector.remove(found)) if delete else []
    shown = removed if delete else found
    if json:
        print_json(
            {
                "deleted": delete,
                "garbage": [_as_json(one) for one in shown],
                "bytes": sum(one.size for one in shown),
            }
        )
        return
    rows = [_row(kind, [one for one in shown if one.kind is kind]) for kind in Kind]
    print_table(list(_COLUMNS), [*rows, _row("all", shown)], right=_COLUMNS[1:])
    if delete and len(removed) < len(found):
        say(f"{len(found) - len(removed)} were left, as something needs them by now")
    if not delete and found:
        say("nothing was removed; to remove it: reclens gc --delete")


_COLUMNS = ("what", "count", "objects", "bytes")


def _row(name: str, garbage: Sequence[Garbage]) -> list[Any]:
    objects = sum(len(one.objects) for one in garbage)
    return [str(name), len(garbage), objects, f"{sum(one.size for one in garbage):,}"]


def _as_json(one: Garbage) -> dict[str, Any]:
    keys = [entry.key for entry in one.objects]
    return {"kind": one.kind.value, "name": one.name, "bytes": one.size, "objects": keys}
