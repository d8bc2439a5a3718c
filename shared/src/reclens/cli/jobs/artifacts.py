"""``artifacts``: what the object store holds."""

from __future__ import annotations

import shutil
from json import dumps
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from reclens.cli.connection import client_settings
from reclens.cli.output import Json, print_json, print_line, print_table
from reclens.contracts import ArtifactKind, Manifest
from reclens.platform.files import path_below
from reclens.platform.store.artifacts import ArtifactStore

_SHORT: Final = 100
"""Characters of a value that `show` prints."""

app = typer.Typer(name="artifacts", no_args_is_help=True, help="Artifacts in the object store.")


@app.command("list")
def list_artifacts(
    kind: Annotated[ArtifactKind | None, typer.Option(help="Only of this kind.")] = None,
    json: Json = False,
) -> None:
    """List artifacts, newest first."""
    manifests = ArtifactStore.from_settings(client_settings()).list(kind)
    manifests = sorted(manifests, key=lambda manifest: manifest.created_at, reverse=True)
    if json:
        print_json([manifest.canonical() for manifest in manifests])
        return
    rows = [
        [one.artifact, one.created_at, f"{one.seconds:.1f}", len(one.objects), f"{_size(one):,}"]
        for one in manifests
    ]
    columns = ["artifact", "made", "seconds", "objects", "bytes"]
    print_table(columns, rows, right=("seconds", "objects", "bytes"))


@app.command()
def show(
    artifact: Annotated[str, typer.Argument(help="kind/id, as `artifacts list` tells it.")],
    json: Json = False,
) -> None:
    """Show the manifest of one artifact: what made it, from what, and what was measured."""
    manifest = ArtifactStore.from_settings(client_settings()).manifest(artifact)
    if json:
        print_json(manifest.canonical())
        return
    peak = manifest.peak_memory_bytes
    memory = f"  {peak / 1e6:,.0f} MB at most" if peak is not None else ""
    print_line(f"{manifest.artifact}  {manifest.created_at}  {manifest.seconds:.1f} s{memory}")
    print_line(f"  task     {manifest.task}")
    for role, entry in manifest.inputs.items():
        print_line(f"  input    {role}: {entry.artifact}")
    for entry in manifest.objects:
        print_line(f"  object   {entry.name}  {entry.size:,} bytes  sha256 {entry.sha256}")
    for name, value in manifest.metrics.items():
        print_line(f"  metric   {name}: {_short(value)}")
    for name, value in manifest.versions.items():
        print_line(f"  version  {name} {value}")
    for name, value in manifest.spec.items():
        fields = value.items() if isinstance(value, dict) else [("", value)]
        for field, part in fields:
            print_line(f"  spec     {name}{field and '.'}{field}: {_short(part)}")


def _short(value: Any) -> str:
    """A value on one line of a terminal; `--json` has all of it."""
    text = str(value)
    if len(text) <= _SHORT:
        return text
    count = f", {len(value):,} entries" if isinstance(value, (list, dict)) else ""
    return f"{text[:_SHORT]} ...{count} (whole with --json)"


@app.command()
def get(
    artifact: Annotated[str, typer.Argument(help="kind/id, as `artifacts list` tells it.")],
    to: Annotated[
        Path, typer.Option(help="Folder to write to; kind/id is made in it.", file_okay=False)
    ] = Path("artifacts"),
    json: Json = False,
) -> None:
    """Copy an artifact's objects and its manifest to a folder, checked against their checksums."""
    store = ArtifactStore.from_settings(client_settings())
    manifest = store.manifest(artifact)
    folder = to / artifact
    folder.mkdir(parents=True, exist_ok=True)
    for entry in manifest.objects:
        # A copy, not the cache's own file: people may change what they asked for.
        copy = path_below(folder, entry.name)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(store.fetch(artifact, entry.name), copy)
    (folder / "manifest.json").write_text(
        dumps(manifest.canonical(), indent=2) + "\n", encoding="utf-8"
    )
    if json:
        print_json({"folder": str(folder), "objects": [one.name for one in manifest.objects]})
        return
    print_line(
        f"{folder}: {len(manifest.objects)} objects, {_size(manifest):,} bytes, manifest.json"
    )


def _size(manifest: Manifest) -> int:
    return sum(entry.size for entry in manifest.objects)
