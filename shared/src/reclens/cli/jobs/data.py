"""``data``: what an import of files would make of them, without importing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer
import yaml

from reclens.cli.connection import client_settings
from reclens.cli.jobs.account import print_account
from reclens.cli.output import Json, print_json, print_line, say
from reclens.contracts import DatasetSpec, PipelineSpec
from reclens.contracts.account import ImportAccount
from reclens.contracts.specs.dataset import DATASET_IMPORT
from reclens.data import check_account
from reclens.data.prepare import import_dataset, import_raw
from reclens.data.proposing import propose
from reclens.errors import InvalidSpec, RecLensError
from reclens.platform.jobs.spec_file import read_spec_file

_SPEC_SUFFIXES = {".yaml", ".yml"}

app = typer.Typer(name="data", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Files of interactions: what an import would make of them."""


class _Checked(NamedTuple):
    spec: DatasetSpec | None
    account: ImportAccount | None
    error: RecLensError | None


@app.command()
def check(
    files: Annotated[
        list[Path],
        typer.Argument(
            help="Folder, or file with the interactions, and the file of the items if it is not "
            "found beside; or the YAML file of an import."
        ),
    ],
    *,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit code 1 for warnings, too.")
    ] = False,
    write: Annotated[
        Path | None, typer.Option(help="YAML file for the specification.", dir_okay=False)
    ] = None,
    json: Json = False,
) -> None:
    """Read files as an import would, say what is in them and what is odd, and propose the
    specification to submit. Nothing is imported, and no server is asked. Exit code 1 where an
    import would be refused.
    """
    checked = _check(files)
    account, error = checked.account, checked.error
    proposal = None if checked.spec is None else _as_job(checked.spec)
    if write is not None and proposal is not None:
        write.write_text(_as_yaml(proposal), encoding="utf-8")
    if json:
        told = None if error is None else {"type": type(error).__name__, "message": error.sentence}
        shown = None if account is None else account.canonical()
        print_json({"account": shown, "error": told, "proposal": proposal})
    else:
        if account is not None:
            print_account(account)
        if error is not None:
            say(f"error: {error.sentence}")
        if proposal is not None and write is None:
            print_line(f"\n{_as_yaml(proposal)}".rstrip())
    if error is not None or (strict and account is not None and account.warnings):
        raise typer.Exit(1)


def _check(files: list[Path]) -> _Checked:
    spec, account = None, None
    try:
        if len(files) > 2:
            raise InvalidSpec(
                f"{len(files)} files were given.",
                field="files",
                remedy="give one of interactions and one of items, or the folder that has all.",
            )
        if files[0].suffix in _SPEC_SUFFIXES:
            spec = _read_spec(files[0])
            assert spec.source is not None
            account = import_dataset(spec, Path(spec.source.path)).account
        else:
            spec, raw = propose(*files)
            account = import_raw(raw, spec).account
        check_account(account, spec)
    except RecLensError as error:
        return _Checked(spec, account, error)
    return _Checked(spec, account, None)


def _read_spec(file: Path) -> DatasetSpec:
    request = read_spec_file(file, client_settings().data)
    if request.task == DATASET_IMPORT.task:
        spec = DatasetSpec.parse(request.spec)
    else:
        spec = PipelineSpec.parse(request.spec).dataset
    if spec.source is None:
        raise InvalidSpec(
            f"{file} names no source: {spec.name} is obtained by the worker.",
            field="source",
            remedy="give the folder with its files instead.",
        )
    return spec


def _as_job(spec: DatasetSpec) -> dict[str, Any]:
    """What is submitted, without what says nothing."""
    return {
        "task": DATASET_IMPORT.task,
        "spec": spec.model_dump(mode="json", exclude_defaults=True),
    }


def _as_yaml(job: dict[str, Any]) -> str:
    return yaml.safe_dump(job, sort_keys=False, allow_unicode=True)
