"""``survey``: ask people about the concepts, and hold their answers against the machine's."""

from __future__ import annotations

from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

from reclens.cli.connection import client_settings
from reclens.cli.options import Release
from reclens.cli.output import Json, print_json, print_line, print_table, say
from reclens.contracts import SurveyKey
from reclens.contracts.tables import CONCEPTS
from reclens.errors import InvalidInput
from reclens.platform.files import read_text
from reclens.platform.store.artifacts import ArtifactStore, codes_of, scale_of

if TYPE_CHECKING:
    from reclens.concepts.people.survey import Survey, SurveyOptions
    from reclens.evaluation.survey_agreement import SurveyResult

_MAX_CASES: Final = 20_000
"""Cases that the survey is drawn from, at most."""
_KEY, _PAGE, _SHEET, _RESULT = "key.json", "survey.html", "survey.csv", "survey-result.json"

app = typer.Typer(name="survey", no_args_is_help=True, help="Ask people about the concepts.")


@app.command()
def export(
    *,
    n: Annotated[int, typer.Option(min=1, help="Concepts asked about, at most.")] = 30,
    out: Annotated[Path, typer.Option(help="Folder to write to.", file_okay=False)] = Path(
        "survey"
    ),
    split: Annotated[
        Literal["construct", "verify", "test"],
        typer.Option(help="Users whose cases are shown; labels never saw those of `test`."),
    ] = "test",
    min_confidence: Annotated[float, typer.Option(min=0, max=1, help="Leave out others.")] = 0.0,
    trusted_only: Annotated[
        bool, typer.Option("--trusted-only", help="Leave out labels that are not trusted.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Of the choice and the order.")] = 0,
    concepts: Annotated[
        str | None, typer.Option(help="concepts/id, instead of a release's.")
    ] = None,
    release: Release = "default",
    json: Json = False,
) -> None:
    """Write a survey: `survey.html` and `survey.csv` for raters, `key.json` for yourself.

    Raises:
        InvalidInput: the folder holds the key of another survey.
        MissingData: no concept can be asked about.
    """
    from reclens.cli.jobs.survey_page import as_page  # noqa: PLC0415 - Jinja2, for this command only
    from reclens.concepts.people.survey import SurveyOptions  # noqa: PLC0415 - scipy likewise
    from reclens.concepts.people.survey_sheet import as_sheet  # noqa: PLC0415

    store = ArtifactStore.from_settings(client_settings())
    artifact = concepts or store.releases.head(release).concepts
    options = SurveyOptions(
        n=n, seed=seed, min_confidence=min_confidence, trusted_only=trusted_only
    )
    survey, key = _make(store, artifact, split, options)
    _check_folder(out, survey.survey_id)
    out.mkdir(parents=True, exist_ok=True)
    (out / _PAGE).write_text(as_page(survey), encoding="utf-8")
    # Spreadsheets take a file for UTF-8 when it begins with a byte order mark.
    (out / _SHEET).write_text(as_sheet(survey), encoding="utf-8-sig", newline="")
    (out / _KEY).write_text(dumps(key.canonical(), indent=2) + "\n", encoding="utf-8")
    if len(survey.questions) < n:
        say(f"only {len(survey.questions)} concepts can be asked about.")
    if json:
        print_json(
            {"survey": survey.survey_id, "questions": len(survey.questions), "folder": str(out)}
        )
        return
    print_line(f"survey {survey.survey_id}: {len(survey.questions)} concepts of {artifact}")
    print_line(f"  for raters    {out / _PAGE}  or  {out / _SHEET}")
    print_line(f"  for yourself  {out / _KEY}  (it tells the answers: keep it from raters)")


def _make(
    store: ArtifactStore,
    artifact: str,
    split: Literal["construct", "verify", "test"],
    options: SurveyOptions,
) -> tuple[Survey, SurveyKey]:
    from reclens.concepts.evidence.cases import read_cases, read_histories  # noqa: PLC0415
    from reclens.concepts.labels.concepts import group_concepts  # noqa: PLC0415
    from reclens.concepts.labels.table import read_concepts  # noqa: PLC0415
    from reclens.concepts.people.survey import HISTORY_SHOWN, make_survey  # noqa: PLC0415
    from reclens.data import read_dataset  # noqa: PLC0415

    upstream = store.lineage(artifact)
    missing = [role for role in ("autoencoder", "dataset") if role not in upstream]
    if missing:
        raise InvalidInput(
            f"{artifact} was not made from an {missing[0]}.",
            field="concepts",
            remedy="name an artifact of the kind `concepts` (`reclens artifacts list`).",
        )
    autoencoder = upstream["autoencoder"]
    items = read_dataset(store.fetch_all(upstream["dataset"])).items
    scale, shards = scale_of(store, autoencoder), codes_of(store, autoencoder)
    drawn = {"max_cases": _MAX_CASES, "seed": options.seed}
    return make_survey(
        group_concepts(read_concepts(store.fetch(artifact, CONCEPTS.file))),
        read_cases(shards, split, items.ids, len(scale), **drawn),
        read_histories(shards, split, last=HISTORY_SHOWN, **drawn),
        items,
        scale,
        artifact=artifact,
        split=split,
        options=options,
    )


def _check_folder(out: Path, survey_id: str) -> None:
    if not (out / _KEY).exists():
        return
    there = SurveyKey.parse((out / _KEY).read_bytes()).survey_id
    if there != survey_id:
        raise InvalidInput(
            f"{out} holds the key of survey {there}; its answers could not be read without it.",
            field="out",
            remedy="choose another folder with --out.",
        )


@app.command(name="import")
def import_answers(
    key: Annotated[Path, typer.Argument(help="The survey's key.json.")],
    answers: Annotated[
        list[Path], typer.Argument(help="answers-*.csv, or the filled-in survey.csv; one a rater.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            help="File to write; survey-result.json beside the key unless told otherwise.",
            dir_okay=False,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the intervals.")] = 0,
    json: Json = False,
) -> None:
    """Hold raters' answers against what fired, against the machine's confidence and each other.

    Raises:
        MalformedData: names file, line and column of what does not fit the survey.
        MissingData: a file is not there.
    """
    from reclens.concepts.people.survey_sheet import read_answers  # noqa: PLC0415
    from reclens.evaluation.survey_agreement import survey_result  # noqa: PLC0415 - scipy

    known = SurveyKey.parse(read_text(key, field="key"))
    read = [read_answers(read_text(one, field="answers"), one.name, known) for one in answers]
    result = survey_result(known, read, seed=seed)
    document = result.as_json()
    path = out or key.with_name(_RESULT)
    path.write_text(dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    if json:
        print_json(document)
        return
    _print(result)
    print_line(f"all of it: {path}")


def _print(result: SurveyResult) -> None:
    columns = ["concept", "label", "machine", "people", "accuracy", "clarity", "answers", "neither"]
    rows = [
        [
            one.concept_id,
            one.label,
            f"{one.confidence:.2f}{' trusted' if one.trusted else ''}",
            _figure(one.balanced_accuracy),
            _figure(one.accuracy),
            _figure(one.clarity, 1),
            one.answers,
            one.cannot_tell,
        ]
        for one in result.concepts
    ]
    print_table(columns, rows, right=tuple(columns[3:]))
    found = result.summary
    accuracy, correlation = found["balanced_accuracy"], found["confidence_spearman"]
    agreement = found["trusted_agreement"]
    alpha, why_not = found["krippendorff_alpha"], found["alpha_missing_because"]
    for rater in found["raters"]:
        print_line(
            f"rater {rater['rater']}: {rater['answered']} of {rater['of']} lists, "
            f"{rater['cannot_tell']} cannot tell, balanced accuracy "
            f"{_figure(rater['balanced_accuracy'])}"
        )
    print_line(f"people's balanced accuracy, mean    {_interval(accuracy, 'mean')}")
    print_line(f"Spearman with machine's confidence  {_interval(correlation, 'value')}")
    print_line(f"trusted by both or by neither       {_interval(agreement, 'share')}")
    print_line(
        f"Krippendorff's alpha of raters      {_figure(alpha)}{f' ({why_not})' if why_not else ''}"
    )


def _interval(values: dict[str, Any], name: str) -> str:
    if values[name] is None:
        return "n/a"
    return f"{values[name]:.2f} (95 % {values['low']:.2f} to {values['high']:.2f})"


def _figure(value: float | None, digits: int = 2) -> str:
    return "n/a" if value is None else f"{value:.{digits}f}"
