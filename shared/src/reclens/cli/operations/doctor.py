"""``doctor``: checks a deployment from end to end, or a data set, and says what to mend."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from reclens.cli.connection import client_settings, steering_client
from reclens.cli.operations.local import needed_locally
from reclens.cli.output import Json, print_json, print_line, print_table, say
from reclens.contracts import ArtifactKind, split_ref
from reclens.data import read_dataset
from reclens.errors import InvalidInput
from reclens.ops.doctor.findings import Check, Finding, Level, examine
from reclens.ops.doctor.servers import (
    check_conditional_put,
    check_dead_letters,
    check_disk,
    check_redis,
    check_store,
)
from reclens.ops.doctor.work import check_gateway, check_logs, check_releases, check_workers
from reclens.platform.jobs.app import connect
from reclens.platform.jobs.log import JobLog
from reclens.platform.settings.models import ClientSettings
from reclens.platform.store.artifacts import ArtifactStore

app = typer.Typer(name="doctor", invoke_without_command=True)


@app.callback()
def doctor(context: typer.Context, json: Json = False) -> None:
    """Check Redis, the store, workers, jobs, releases, the gateway and inference, and say what to
    mend. Exit code 1 where something does not work. It takes some ten seconds.
    """
    if context.invoked_subcommand is not None:
        return
    findings = list(_findings())
    if json:
        print_json([asdict(one) for one in findings])
    else:
        rows = [[one.level.value, one.part, one.message, one.remedy] for one in findings]
        print_table(["", "part", "finding", "remedy"], rows)
        counts = Counter(one.level for one in findings)
        faults = [level for level in reversed(Level) if counts[level] and level is not Level.OK]
        say(", ".join(f"{level}: {counts[level]}" for level in faults) or "all is well")
    if any(one.level is Level.ERROR for one in findings):
        raise typer.Exit(1)


@app.command()
def data(
    artifact: Annotated[str, typer.Argument(help="datasets/id, as `artifacts list` tells it.")],
    out: Annotated[Path, typer.Option(help="Folder to write to.", file_okay=False)] = Path(
        "out/data"
    ),
    json: Json = False,
) -> None:
    """Write a page on a data set, with plots: what is in it, what is odd, and what that means for
    evaluations and labels.

    Raises:
        NotFound: there is no such artifact.
        InvalidInput: the artifact is no data set.
    """
    with needed_locally():
        from reclens.studies.dataset_page.page import write_page  # noqa: PLC0415 - not everywhere
    if split_ref(artifact).kind is not ArtifactKind.DATASET:
        raise InvalidInput(
            f"{artifact} is no data set.",
            field="artifact",
            remedy="name one: `reclens artifacts list --kind datasets`.",
        )
    store = ArtifactStore.from_settings(client_settings())
    manifest = store.manifest(artifact)
    page = write_page(manifest, read_dataset(store.fetch_all(artifact)), out)
    if json:
        print_json({"artifact": artifact, "page": str(page)})
    else:
        print_line(page)


def _findings() -> Iterator[Finding]:
    try:
        settings = client_settings()
    except ValidationError as error:
        for item in error.errors(include_url=False, include_input=False):
            name = "RECLENS_" + "__".join(str(part).upper() for part in item["loc"])
            yield Finding(
                "settings", Level.ERROR, f"{name}: {item['msg']}.", "docs/reference/settings.md."
            )
        return
    yield Finding("settings", Level.OK, "can be read.")
    told: dict[str, str] = {}
    for key, check in _checks(settings).items():
        for one in examine(key.partition(":")[0], check):
            if one.level is not Level.ERROR:
                yield one
            elif one.message not in told:
                told[one.message] = one.part
                yield one
            elif (first := told[one.message]) != one.part:
                # A server that is away is one fault, however many checks ask it.
                yield Finding(one.part, Level.UNKNOWN, f"not looked at, for the fault of {first}.")


def _checks(settings: ClientSettings) -> dict[str, Check]:
    store = ArtifactStore.from_settings(settings)
    redis, log = connect(settings.redis), JobLog(settings.redis)
    return {
        "redis": lambda: check_redis(redis),
        "store": lambda: check_store(store.objects),
        "store:puts": lambda: check_conditional_put(store.objects),
        "disk": lambda: check_disk(settings.cache_dir),
        "workers": lambda: check_workers(redis, log),
        "dead letters": lambda: check_dead_letters(store.objects),
        "releases": lambda: check_releases(store),
        "logs": lambda: check_logs(store),
        "gateway": lambda: check_gateway(steering_client(), store),
    }
