"""``tokens``: make, list and revoke what clients prove themselves with. No server is asked."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from reclens.cli.output import Json, print_json, print_line, print_table, say
from reclens.errors import InvalidInput, NotFound
from reclens.platform.grpc.auth import (
    Scope,
    TokenEntry,
    digest,
    new_token,
    read_tokens,
    write_tokens,
)

app = typer.Typer(name="tokens", no_args_is_help=True, help="Tokens of clients of the gateway.")

File = Annotated[Path, typer.Option(help="Tokens file, JSON or YAML (.yaml, .yml).")]

_TIME = re.compile(r"^([1-9]\d{0,4})(d|h|min)$")
_UNITS = {"d": "days", "h": "hours", "min": "minutes"}


@app.command()
def create(  # noqa: PLR0917
    client: Annotated[str, typer.Option(help="Who holds it.")],
    scope: Annotated[str, typer.Option(help="Rights: read, steer, admin.")] = "read,steer",
    expires: Annotated[str, typer.Option(help="Life, e.g. 90d or 12h. Without it: no end.")] = "",
    rate: Annotated[
        str,
        typer.Option(help="Most requests, e.g. 100/s or 5000/min, of all tokens of the client."),
    ] = "",
    certificate: Annotated[
        str,
        typer.Option(help="Common name of a client certificate that stands for a token (mTLS)."),
    ] = "",
    file: File = Path("tokens.json"),
    json: Json = False,
) -> None:
    """Make a token and print it, this once: the file keeps only its SHA-256.

    Gateways that read the file take it within a second or so. A client changes tokens without a
    gap by a second one, and by revoking the first when nothing uses it any more.
    """
    entries = read_tokens(file) if file.exists() else []
    token = "" if certificate else new_token()
    fields: dict[str, Any] = {
        "client": client,
        "sha256": digest(token) if token else "",
        "certificate": certificate,
        "scopes": [part.strip() for part in scope.split(",") if part.strip()],
        "expires": datetime.now(UTC).replace(microsecond=0) + _life(expires) if expires else None,
        "rate": rate,
    }
    try:
        entry = TokenEntry.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise InvalidInput(
            f"{first['msg']}.",
            field=f"--{_option(first['loc'])}",
            remedy=f"scopes are {', '.join(Scope)}; see `reclens tokens create --help`.",
        ) from error
    if certificate and any(known.certificate == certificate for known in entries):
        raise InvalidInput(
            f"there is an entry for certificate {certificate!r} already.",
            field="--certificate",
            remedy="revoke it first.",
        )
    write_tokens(file, [*entries, entry])
    if json:
        print_json({**_row(entry), "token": token})
    else:
        say(f"added {entry.id} of {client} to {file}" + ("; keep this:" if token else ""))
        if token:
            print_line(token)


@app.command("list")
def list_(file: File = Path("tokens.json"), json: Json = False) -> None:
    """List tokens by what tells them apart; a token itself is known to its client only."""
    rows = [_row(entry) for entry in read_tokens(file)]
    if json:
        print_json({"tokens": rows})
        return
    columns = ["id", "client", "scopes", "rate", "expires", "alive"]
    print_table(columns, [[_cell(row[name]) for name in columns] for row in rows])


@app.command()
def revoke(
    which: Annotated[
        str, typer.Argument(help="Id from `list`, or a client's name: all of its tokens.")
    ],
    file: File = Path("tokens.json"),
    json: Json = False,
) -> None:
    """Remove tokens: calls with them are refused within a second or so."""
    entries = read_tokens(file)
    gone = [entry for entry in entries if which in {entry.id, entry.client}]
    if not gone:
        raise NotFound(
            f"{file} has neither an id nor a client {which[:100]!r}.", remedy="see `tokens list`."
        )
    write_tokens(file, [entry for entry in entries if entry not in gone])
    if json:
        print_json({"revoked": [_row(entry) for entry in gone]})
    else:
        say(f"revoked {', '.join(entry.id for entry in gone)}")


def _option(location: tuple[int | str, ...]) -> str:
    return {"scopes": "scope"}.get(str(location[0]), str(location[0])) if location else "client"


def _life(text: str) -> timedelta:
    found = _TIME.match(text)
    if found is None:
        raise InvalidInput(
            f"{text!r} is no time.", field="--expires", remedy="write e.g. 90d, 12h or 30min."
        )
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def _row(entry: TokenEntry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "client": entry.client,
        "scopes": sorted(entry.scopes),
        "rate": entry.rate,
        "expires": entry.expires.isoformat() if entry.expires else "",
        "alive": entry.alive,
    }


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "NO"
    return ", ".join(value) if isinstance(value, list) else str(value)
