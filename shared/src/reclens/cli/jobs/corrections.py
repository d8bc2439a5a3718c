"""``concepts edit`` and ``concepts edits``: people rename, merge, reject and restore concepts."""

from __future__ import annotations

import getpass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from reclens.cli.connection import client_settings
from reclens.cli.jobs.watching import carry_out
from reclens.cli.options import Release as ReleaseOption
from reclens.cli.output import Json, print_json, print_line, print_table, say
from reclens.contracts import Release, ReleaseSpec
from reclens.contracts.specs.release import RELEASE_PUBLISH
from reclens.contracts.tables import CONCEPTS
from reclens.platform.store.artifacts import ArtifactStore
from reclens.platform.store.label_corrections import CorrectionLog, machine_concepts_of

if TYPE_CHECKING:
    from reclens.concepts.labels.concepts import Concept


def edit(
    concept_id: Annotated[str, typer.Argument(help="Id, e.g. film-noir.")],
    *,
    rename: Annotated[str | None, typer.Option(help="Name to give it.")] = None,
    description: Annotated[str | None, typer.Option(help="Sentence to give it.")] = None,
    merge: Annotated[
        list[str] | None,
        typer.Option(help="Id of another concept to join to it; may be given several times."),
    ] = None,
    reject: Annotated[bool, typer.Option("--reject", help="Take its label away.")] = False,
    restore: Annotated[
        bool, typer.Option("--restore", help="Give back what the machine says.")
    ] = False,
    reason: Annotated[str, typer.Option(help="Why; kept in the log.")] = "",
    author: Annotated[
        str | None, typer.Option(help="Who edits; you, unless told otherwise.")
    ] = None,
    release: ReleaseOption = "default",
    json: Json = False,
) -> None:
    """Rename, merge, reject or restore a concept, and publish the release with it.

    The edit is logged for the latents that carry the concept. It stands when they are labelled
    again, until it is restored.

    Raises:
        NotFound: there is no such concept or release.
        InvalidInput: not exactly one thing is asked for, or the name is taken.
        StaleCorrection: somebody else has changed the concept meanwhile.
    """
    from reclens.concepts.people.corrections import make_correction  # noqa: PLC0415 - scipy

    store = ArtifactStore.from_settings(client_settings())
    pointer = store.releases.head(release)
    log = CorrectionLog(store, pointer.autoencoder)
    _, seen = machine_concepts_of(store, pointer.concepts)
    before = _concepts(store, pointer)
    wanted = make_correction(
        concept_id,
        before,
        log.read()[:seen],
        author=author or getpass.getuser(),
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        rename=rename,
        description=description,
        merge=merge or (),
        reject=reject,
        restore=restore,
        reason=reason,
    )
    entries = log.append(wanted, seen=seen)
    say(f"edit {len(entries)} logged; publishing release {release!r} with it")
    published = _publish(store, pointer)
    touched = set(wanted.latents)
    old, new = (
        [one for one in concepts if touched & set(one.latents)]
        for concepts in (before, _concepts(store, published))
    )
    if json:
        print_json(
            {
                "edit": {"number": len(entries), **wanted.canonical()},
                "release": published.canonical(),
                "before": [_as_json(one) for one in old],
                "after": [_as_json(one) for one in new],
            }
        )
        return
    for word, concepts in (("was", old), ("is", new)):
        for one in concepts:
            print_line(f"{word:<4} {one.concept_id}: {one.label}  ({one.source}; {_carriers(one)})")
            print_line(f"     {one.description}")
        if not concepts:
            print_line(f"{word:<4} unlabelled")
    print_line(f"release {release} {published.version}: {published.concepts}")


def edits(
    apply: Annotated[
        bool, typer.Option("--apply", help="Publish the release with all of them.")
    ] = False,
    release: ReleaseOption = "default",
    json: Json = False,
) -> None:
    """List what people changed of a release's concepts, and what of it the release has."""
    store = ArtifactStore.from_settings(client_settings())
    pointer = store.releases.head(release)
    entries = CorrectionLog(store, pointer.autoencoder).read()
    if apply:
        pointer = _publish(store, pointer)
    _, applied = machine_concepts_of(store, pointer.concepts)
    if json:
        print_json(
            [
                {"number": number, "applied": number <= applied, **entry.canonical()}
                for number, entry in enumerate(entries, start=1)
            ]
        )
        return
    rows = [
        [number, entry.at, entry.author, entry.in_words, len(entry.latents), entry.reason,
         "yes" if number <= applied else "not yet"]
        for number, entry in enumerate(entries, start=1)
    ]  # fmt: skip
    print_table(
        ["edit", "at", "author", "what", "latents", "why", "in the release"],
        rows,
        right=("edit", "latents"),
    )


def _publish(store: ArtifactStore, pointer: Release) -> Release:
    """Publish the release anew, with all edits; wait for it."""
    spec = ReleaseSpec(
        name=pointer.name,
        recommender=pointer.recommender,
        autoencoder=pointer.autoencoder,
        concepts=machine_concepts_of(store, pointer.concepts)[0],
        # It is still what was ordered then: a pipeline under way may follow it.
        ordered_at=pointer.ordered_at or pointer.published_at,
    )
    carry_out(
        client_settings().redis,
        RELEASE_PUBLISH.task,
        spec,
        "the release was not published",
        "the edit is logged; see `reclens jobs show {job}`, then `reclens concepts edits --apply`.",
    )
    return store.releases.head(pointer.name)


def _concepts(store: ArtifactStore, release: Release) -> list[Concept]:
    from reclens.concepts.labels.concepts import group_concepts  # noqa: PLC0415
    from reclens.concepts.labels.table import read_concepts  # noqa: PLC0415 - pyarrow

    return group_concepts(read_concepts(store.fetch(release.concepts, CONCEPTS.file)))


def _as_json(concept: Concept) -> dict[str, Any]:
    shown = ("concept_id", "label", "description", "source", "confidence", "trusted", "latents")
    return {name: getattr(concept, name) for name in shown}


def _carriers(concept: Concept) -> str:
    confidence = "not measured" if concept.confidence is None else f"{concept.confidence:.2f}"
    n = len(concept.latents)
    return f"{n} latent{'s' if n > 1 else ''}, confidence {confidence}"
