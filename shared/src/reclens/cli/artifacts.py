"""``artifacts``: what the object store holds."""

from __future__ import annotations

from typing import Annotated

import typer

from reclens.adapters.artifacts import ArtifactStore
from reclens.cli.connection import client_settings
from reclens.cli.output import Json, print_json, print_table
from reclens.contracts import ArtifactKind, Manifest

app = typer.Typer(name="artifacts", no_args_is_help=True, help="Artifacts in the object store.")


@app.command("list")
def list_artifacts(
    kind: Annotated[
        ArtifactKind | None, typer.Option(help="Only of this kind.", show_default=False)
    ] = None,
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
    print(f"{manifest.artifact}  {manifest.created_at}  {manifest.seconds:.1f} s")
    print(f"  task     {manifest.task}")
    for role, entry in manifest.inputs.items():
        print(f"  input    {role}: {entry.artifact}")
    for entry in manifest.objects:
        print(f"  object   {entry.name}  {entry.size:,} bytes  sha256 {entry.sha256}")
    for name, value in manifest.metrics.items():
        print(f"  metric   {name}: {value}")
    for name, value in manifest.versions.items():
        print(f"  version  {name} {value}")
    for name, value in manifest.spec.items():
        print(f"  spec     {name}: {value}")


def _size(manifest: Manifest) -> int:
    return sum(entry.size for entry in manifest.objects)
