"""``deploy``: credentials and the first start of a deployment."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from reclens.cli.options import with_groups
from reclens.cli.output import Json, print_json, print_line, say
from reclens.contracts import PipelineSpec
from reclens.contracts.specs.pipeline import PIPELINE_RUN
from reclens.errors import InvalidSpec
from reclens.ops.deployment.access import Account
from reclens.ops.deployment.credentials import OPERATOR_ENV, Addresses, make_credentials
from reclens.ops.deployment.initialise import (
    PIPELINE,
    Existing,
    Submission,
    await_bucket,
    await_redis,
    submit_once,
)
from reclens.platform.jobs.spec_file import read_spec_file
from reclens.platform.settings.models import ClientSettings

app = typer.Typer(name="deploy", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Set a deployment up: credentials, the bucket, the first release."""


@app.command()
@with_groups
def credentials(
    folder: Annotated[Path, typer.Argument(help="Where they are kept.")],
    *,
    bucket: Annotated[str, typer.Option(help="Bucket of all artifacts.")] = "reclens",
    addresses: Addresses,
    rotate: Annotated[
        list[Account] | None, typer.Option(help="Make new secrets for this part; repeatable.")
    ] = None,
    json: Json = False,
) -> None:
    """Make every part's secrets, and the rules of Redis and of the store. What there is stays; what
    is missing is completed; the rules are written anew. Restart Redis and the store to make them
    hold.

    Raises:
        Unavailable: the folder cannot be read or written.
    """
    changed = make_credentials(folder, addresses, bucket=bucket, rotate=tuple(rotate or ()))
    if json:
        print_json({"folder": str(folder), "changed": changed})
        return
    say(f"credentials in {folder}: {len(changed)} files made or changed")
    say(f"for a shell on this machine: . {folder / OPERATOR_ENV}")
    if rotate:
        parts = ", ".join(rotate)
        say(f"restart Redis and the object store, then {parts}: the old secrets hold until then")


@app.command()
def init(
    *,
    release: Annotated[
        str | None, typer.Option(help="Release to publish.", show_default="the file's")
    ] = None,
    pipeline: Annotated[
        Path | None, typer.Option(help="YAML file of a pipeline.", show_default="MovieLens-100K")
    ] = None,
    no_pipeline: Annotated[
        bool, typer.Option("--no-pipeline", help="Only make the bucket.")
    ] = False,
    again: Annotated[
        bool, typer.Option("--again", help="Submit it even if the release exists or is being made.")
    ] = False,
    minio: Annotated[
        Path | None,
        typer.Option(
            help="The store is MinIO: folder with its administrator and everybody's keys, s3/ of "
            "the credentials.",
            envvar="RECLENS_MINIO_SECRETS",
            show_envvar=False,
        ),
    ] = None,
    timeout: Annotated[
        float, typer.Option(help="Seconds to wait for each of Redis and the store.", min=0)
    ] = 120,
    json: Json = False,
) -> None:
    """Wait for the servers, make the bucket, and submit a pipeline unless its release exists or is
    being made. May be run at every start.

    Raises:
        InvalidSpec: the file is no pipeline.
        Unavailable: Redis or the store does not answer.
        StoreRefused: the store does not know these keys.
    """
    settings = ClientSettings()
    # A wrong file is told before anything is waited for.
    spec = None if no_pipeline else _read(pipeline or PIPELINE, release)
    await_bucket(settings.s3, timeout, say, minio=minio)
    say(f"the object store answers, bucket {settings.s3.bucket}")
    if spec is None:
        if json:
            print_json({"bucket": settings.s3.bucket, "release": None})
        return
    await_redis(settings.redis, timeout, say)
    submission = submit_once(settings, spec, again=again)
    if json:
        told: dict[str, Any] = {"bucket": settings.s3.bucket, "release": spec.release}
        print_json({**told, "found": submission.found, "job_id": submission.job_id})
    else:
        _tell(submission, spec.release)


def _read(file: Path, release: str | None) -> PipelineSpec:
    request = read_spec_file(file)
    if request.task != PIPELINE_RUN.task:
        raise InvalidSpec(
            f"{file} is of {request.task}.",
            field="task",
            remedy=f"give one of {PIPELINE_RUN.task}.",
        )
    named = request.spec if release is None else {**request.spec, "release": release}
    return PipelineSpec.parse(named)


def _tell(submission: Submission, release: str) -> None:
    job_id, before = submission.job_id, submission.before
    if submission.found is Existing.RELEASE:
        say(f"release {release} exists; nothing to submit")
    elif submission.found is Existing.JOB:
        say(f"release {release} is being made; follow it: reclens jobs watch {job_id}")
    elif submission.found is Existing.CANCELLED:
        say(
            f"the last pipeline for release {release}, {job_id}, was cancelled; to submit it all "
            "the same: reclens deploy init --again"
        )
    else:
        if before is not None:
            say(
                f"the pipeline before, {before.id}, ended as {before.state.value}; what it made is "
                "found"
            )
        say(f"submitted a pipeline for release {release}; follow it: reclens jobs watch {job_id}")
        print_line(job_id)
