"""From what a person asks for to an edit that can be logged, or a reason why not."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from reclens.concepts.evidence.text import MAX_TITLE, clean, slug
from reclens.concepts.labels.grouping import Concept
from reclens.contracts import ConceptEdit, EditOperation
from reclens.errors import InvalidInput, NotFound

_MAX_SENTENCE = 400


@dataclass(frozen=True)
class EditRequest:
    """What a person asks for."""

    concept_id: str
    """Concept to edit."""
    rename: str | None = None
    """Name to give it."""
    description: str | None = None
    """Sentence to give with the name."""
    merge: tuple[str, ...] = ()
    """Other concepts to join to it."""
    reject: bool = False
    """Take the label away."""
    restore: bool = False
    """Give back what the machine says."""
    reason: str = ""
    """Why."""


def make_edit(
    request: EditRequest,
    concepts: Sequence[Concept],
    log: Sequence[ConceptEdit],
    *,
    author: str,
    at: str,
) -> ConceptEdit:
    """Check a request against the concepts as they are, and word it as an edit.

    A merge without a name keeps the name of ``concept_id``. ``restore`` also finds a concept that
    is no longer there, because it was rejected or renamed, in the log.

    Args:
        request: what is asked for.
        concepts: of the release, edits included.
        log: edits that the release has applied.
        author: who asks.
        at: when, UTC, ISO 8601.

    Raises:
        InvalidInput: not exactly one thing is asked for, or a name that another concept has.
        NotFound: there is no such concept.
    """
    operation = _operation(request)
    by_id = {concept.concept_id: concept for concept in concepts}
    if operation == "restore" and request.concept_id not in by_id:
        was, latents = _logged(request.concept_id, log, by_id)
    else:
        concept = _found(request.concept_id, by_id, "concept_id")
        others = [_found(other, by_id, "merge") for other in request.merge]
        if concept in others:
            raise InvalidInput(
                f"{concept.concept_id!r} cannot be merged with itself.",
                field="merge",
                remedy="name other concepts.",
            )
        was = concept.label
        latents = {latent for one in (concept, *others) for latent in one.latents}
    name = _name(request, was) if operation in {"rename", "merge"} else None
    if name is not None:
        _check_free(name, by_id, {request.concept_id, *request.merge})
    return ConceptEdit(
        operation=operation,
        concept_id=request.concept_id,
        was=was,
        latents=tuple(sorted(latents)),
        name=name,
        description=clean(request.description or "", _MAX_SENTENCE) or None,
        author=clean(author, MAX_TITLE) or "unknown",
        reason=clean(request.reason, _MAX_SENTENCE),
        at=at,
    )


def _operation(request: EditRequest) -> EditOperation:
    named = request.rename is not None or request.description is not None
    asked: list[EditOperation] = []
    if request.merge:
        asked.append("merge")
    elif named:
        asked.append("rename")
    if request.reject:
        asked.append("reject")
    if request.restore:
        asked.append("restore")
    if len(asked) != 1 or (named and asked[0] not in {"rename", "merge"}):
        raise InvalidInput(
            "exactly one thing can be done at a time.",
            field="edit",
            remedy="give --rename (with --description), --merge (with --rename), --reject or "
            "--restore.",
        )
    return asked[0]


def _name(request: EditRequest, was: str) -> str:
    name = clean(was if request.rename is None else request.rename, MAX_TITLE)
    if not name:
        raise InvalidInput(
            "a concept needs a name that can be read.", field="rename", remedy="give a word or two."
        )
    return name


def _check_free(name: str, by_id: dict[str, Concept], joined: set[str]) -> None:
    for other in by_id.values():
        if other.concept_id in joined:
            continue
        if other.label.casefold() == name.casefold() or other.concept_id == slug(name):
            raise InvalidInput(
                f"{other.concept_id!r} is called {other.label!r} already.",
                field="rename",
                remedy=f"choose another name, or join them with --merge {other.concept_id}.",
            )


def _found(concept_id: str, by_id: dict[str, Concept], field: str) -> Concept:
    if concept_id in by_id:
        return by_id[concept_id]
    near = difflib.get_close_matches(concept_id, by_id, n=3, cutoff=0.5)
    raise NotFound(
        f"there is no concept {concept_id!r}.",
        field=field,
        remedy=f"did you mean {' or '.join(near)}?" if near else "see `reclens concepts list`.",
    )


def _logged(
    concept_id: str, log: Sequence[ConceptEdit], by_id: dict[str, Concept]
) -> tuple[str, set[int]]:
    for edit in reversed(log):
        if edit.concept_id == concept_id:
            return edit.was, set(edit.latents)
    return _found(concept_id, by_id, "concept_id").label, set()
