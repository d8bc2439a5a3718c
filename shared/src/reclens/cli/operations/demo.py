"""``demo``: real data to a steered recommendation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from reclens.cli.jobs.watching import watch
from reclens.cli.operations.local import needed_locally
from reclens.cli.output import Json, print_json, print_line, say
from reclens.ops.local.state import StateFolder

app = typer.Typer()


@app.command()
def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Leave the stack running.")] = False,
    out: Annotated[Path, typer.Option(help="Where to write the report.")] = Path("out/demo"),
    json: Json = False,
) -> None:
    """MovieLens-100K to a steered recommendation, by one pipeline job and real servers."""
    with needed_locally():
        from reclens.studies.demo.run import run_demo  # noqa: PLC0415 - not installed everywhere
    report, story = run_demo(out=out, keep=keep, say=say, watch=watch)
    if json:
        print_json(report)
    else:
        print_line(f"\n{story}\n")
        say(f"report.json, report.md and plots in {out}")
    if keep:
        say(_how_to_talk(report["steering"]))


def _how_to_talk(steering: dict[str, Any]) -> str:
    state = StateFolder.default()
    endpoints = state.endpoints()
    user, (up, down) = steering["user"], [edit["concept"] for edit in steering["edits"]]
    return f"""
The stack goes on running; `reclens down` stops it. On the command line:

reclens recommend --release demo --user {user} --more {up}:0.2 --less {down}:0.2
reclens explain --release demo --user {user}
reclens concepts search {up} --release demo

By gRPC (the server has reflection):

grpcurl -plaintext -d '{{"release": "demo", "subject": {{"user_id": "{user}"}}}}' \\
  {endpoints["gateway"]} reclens.api.steering.v1.SteeringService/Recommend

By Celery:

celery --broker {endpoints["redis"]} --result-backend {endpoints["redis"]} \\
  call reclens.dataset.import.v1 --queue capture --kwargs '{{"spec": {{"name": "ml-100k"}}}}'
"""
