"""``policies``: edits and constraints under a name, with all their versions."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from reclens.api.steering.v1 import steering_pb2 as pb
from reclens.cli.connection import steering_client
from reclens.cli.options import with_groups
from reclens.cli.output import Json, print_json, print_line, print_table, say
from reclens.cli.serving.messages import (
    as_json,
    difference,
    plain,
    policy_lines,
    read_policy,
    version_line,
)
from reclens.cli.serving.steering_options import Edits, Limits
from reclens.client import SteeringClient, policy_message

app = typer.Typer(name="policies", no_args_is_help=True, help="Stored steering policies.")

Name = Annotated[str, typer.Argument(help="Its name, e.g. calm-evening.")]
File = Annotated[
    Path | None, typer.Option("--file", "-f", help="YAML or JSON, as `show --json` prints.")
]
Comment = Annotated[str, typer.Option(help="Why; kept with the version.")]
Last = Annotated[int, typer.Option(min=1, help="At most this many versions, the newest.")]


@dataclass(frozen=True)
class About:
    """What a policy says besides edits and constraints."""

    mode: Annotated[
        Literal["residual", "reconstruct"] | None,
        typer.Option("--mode", help="How edits are written back."),
    ] = None
    description: Annotated[str | None, typer.Option(help="What it is for.")] = None
    release: Annotated[
        str | None, typer.Option(help="Release that it is checked against, else default.")
    ] = None


@app.command("list")
def list_policies(json: Json = False) -> None:
    """List policies by name, each in its newest version."""
    with steering_client() as client:
        found = list(client.policies())
    if json:
        print_json([as_json(policy) for policy in found])
        return
    rows = [
        [one.policy_id, one.version, one.changed_at, plain(one.author), len(one.edits),
         one.release, plain(one.description)]
        for one in found
    ]  # fmt: skip
    columns = ["policy", "version", "changed at", "by", "edits", "release", "for"]
    print_table(columns, rows, right=("version", "edits"))


@app.command()
def show(
    policy_id: Name,
    version: Annotated[int, typer.Option(min=0, help="0: the newest.")] = 0,
    last: Last = 10,
    json: Json = False,
) -> None:
    """Show a policy, and what each version changed. With --json: the policy, fit for --file."""
    with steering_client() as client:
        policy = client.policy(policy_id, version=version)
        history = [] if json else _history(client, policy_id, last)
    _tell(policy, json)
    if history:
        print_line("versions")
        _print_history(history, last)


@app.command()
def versions(policy_id: Name, last: Last = 50, json: Json = False) -> None:
    """List the versions of a policy, also of a deleted one: who changed what, when and why."""
    with steering_client() as client:
        history = _history(client, policy_id, last)
    if json:
        print_json([as_json(policy) for policy in history[:last]])
    else:
        _print_history(history, last)


@app.command()
@with_groups
def create(
    policy_id: Name,
    *,
    file: File = None,
    edits: Edits,
    limits: Limits,
    about: About,
    comment: Comment = "",
    json: Json = False,
) -> None:
    """Store a policy under a name that is free. It is checked against its release."""
    wanted = read_policy(file) if file is not None else pb.Policy()
    _take(wanted, _given(edits, limits, about))
    wanted.policy_id, wanted.comment = policy_id, comment
    with steering_client() as client:
        _tell(client.create_policy(wanted), json)


@app.command()
@with_groups
def update(
    policy_id: Name,
    *,
    file: File = None,
    edits: Edits,
    limits: Limits,
    about: About,
    based_on: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Version that the change is based on: it is refused where there is a newer one. "
            "Else that of the file, else the newest.",
        ),
    ] = None,
    comment: Comment = "",
    json: Json = False,
) -> None:
    """Store the next version of a policy: a file is the whole policy, an option replaces a part.

    --more, --less and --blend take the place of all edits, --exclude and --limit of all
    constraints.
    """
    given = _given(edits, limits, about)
    if file is None and not given:
        raise typer.BadParameter("give --file, or what is to be changed")
    with steering_client() as client:
        wanted = read_policy(file) if file is not None else client.policy(policy_id)
        _take(wanted, given)
        wanted.policy_id = policy_id
        wanted.version = based_on or wanted.version or client.policy(policy_id).version
        _tell(client.update_policy(wanted, comment=comment), json)


@app.command()
def delete(
    policy_id: Name,
    version: Annotated[
        int, typer.Option(min=0, help="Delete only if this is the newest. 0: whichever is.")
    ] = 0,
    comment: Comment = "",
    json: Json = False,
) -> None:
    """Delete a policy: requests that name it are refused. Its versions stay."""
    with steering_client() as client:
        marker = client.delete_policy(policy_id, version=version, comment=comment)
    if json:
        print_json(as_json(marker))
    else:
        say(f"deleted {marker.policy_id} ({version_line(marker)})")


def _given(edits: Edits, limits: Limits, about: About) -> dict[str, Any]:
    """What options say, as `policy_message` takes it."""
    options = {"edits": edits.messages(), **limits.fields(), **asdict(about)}
    return {name: value for name, value in options.items() if value not in (None, [], {})}


def _take(policy: pb.Policy, given: dict[str, Any]) -> None:
    """Replace what options say."""
    said = policy_message("", **given)
    emptied = given.keys() & {"description", "release"}
    for name in {field.name for field, _ in said.ListFields()} | emptied:
        policy.ClearField(name)
    policy.MergeFrom(said)


def _history(client: SteeringClient, policy_id: str, last: int) -> list[pb.Policy]:
    """The newest versions, and one more to tell what the last of them changed."""
    return list(islice(client.policy_versions(policy_id), last + 1))


def _print_history(history: list[pb.Policy], last: int) -> None:
    earlier: list[pb.Policy | None] = [*history[1:], None]
    for after, before in list(zip(history, earlier, strict=True))[:last]:
        print_line(f"  {version_line(after)}")
        for line in difference(before, after):
            print_line(f"    {line}")


def _tell(policy: pb.Policy, json: bool) -> None:
    if json:
        print_json(as_json(policy))
        return
    print_line(f"{policy.policy_id}  {version_line(policy)}")
    for line in policy_lines(policy):
        print_line(f"  {line}")
