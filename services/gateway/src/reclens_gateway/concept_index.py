"""Concepts of a release: by id, by latent, by words, by evidence."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pyarrow.parquet as pq

from reclens.errors import CorruptArtifact, InvalidInput, NotFound
from reclens_gateway.item_catalog import ItemCatalog

_WORD = re.compile(r"\w+")
_LABEL_WEIGHT, _KEYWORD_WEIGHT, _TITLE_WEIGHT = 4, 2, 1


@dataclass(frozen=True)
class LatentLabel:
    """What one latent stands for."""

    latent: int
    """Index."""
    concept_id: str
    """Id of the concept that it carries."""
    label: str
    """Label of that concept."""
    confidence: float
    """Confidence of the label for this latent, 0 to 1."""


@dataclass(frozen=True)
class Concept:
    """A labelled meaning and the latents that carry it."""

    concept_id: str
    """Id within the release."""
    label: str
    """Label."""
    description: str
    """One sentence."""
    keywords: tuple[str, ...]
    """Terms that the label was made from."""
    confidence: float
    """Balanced accuracy on held-out users, 0 to 1; 0 where it could not be measured."""
    precision: float
    """Share of the cases predicted to fire that do."""
    recall: float
    """Share of the firing cases that are predicted."""
    n_positive: int
    """Held-out firing cases judged."""
    n_negative: int
    """Held-out silent cases judged."""
    latents: tuple[int, ...]
    """Latents that carry it, most confident first."""
    evidence: tuple[str, ...]
    """Item ids that it was read from, strongest first."""
    source: str
    """Who labelled it."""


class ConceptIndex:
    """All concepts, most trusted first."""

    def __init__(self, concepts: Iterable[Concept], labels: Iterable[LatentLabel]) -> None:
        self.concepts: list[Concept] = sorted(
            concepts, key=lambda concept: (-concept.confidence, concept.concept_id)
        )
        self._by_id = {concept.concept_id: concept for concept in self.concepts}
        self._labels = {label.latent: label for label in labels}

    @classmethod
    def read(cls, path: Path, n_latents: int) -> Self:
        """Read the concepts table (see ``contracts.tables.CONCEPTS``).

        Raises:
            CorruptArtifact: it does not have a row per latent.
        """
        rows = pq.read_table(path).to_pylist()
        if [row["latent"] for row in rows] != list(range(n_latents)):
            raise CorruptArtifact(
                f"{path.name} has {len(rows)} rows for {n_latents} latents.",
                field="concepts",
                remedy="label the latents of this autoencoder again.",
            )
        labelled = [row for row in rows if row["concept_id"]]
        # Python's sort is stable: equally confident latents stay in order of their index.
        labelled.sort(key=lambda row: -(row["confidence"] or 0.0))
        groups: dict[str, list[Mapping[str, Any]]] = {}
        for row in labelled:
            groups.setdefault(row["concept_id"], []).append(row)
        return cls(
            [_concept(rows) for rows in groups.values()],
            [
                LatentLabel(
                    row["latent"], row["concept_id"], row["label"] or "", row["confidence"] or 0.0
                )
                for row in labelled
            ],
        )

    def label(self, latent: int) -> LatentLabel | None:
        """What ``latent`` stands for; None where it is unlabelled."""
        return self._labels.get(latent)

    def get(self, concept_id: str, *, field: str) -> Concept:
        """The concept called ``concept_id``.

        Raises:
            NotFound: there is none; the remedy lists similar ids.
        """
        concept = self._by_id.get(concept_id)
        if concept is not None:
            return concept
        near = difflib.get_close_matches(concept_id[:100].lower(), self._by_id, n=3, cutoff=0.5)
        raise NotFound(
            f"there is no concept {concept_id[:100]!r}.",
            field=field,
            remedy=f"did you mean {', '.join(near)}?" if near else "see ListConcepts.",
        )

    def search(self, text: str, items: ItemCatalog) -> list[Concept]:
        """Concepts with words of ``text`` in label, keywords or evidence titles, best first.

        Every distinct word counts once, at the place where it weighs most: label, keyword, title.

        Raises:
            InvalidInput: there is no word in ``text``.
        """
        words = set(_words(text))
        if not words:
            raise InvalidInput(
                "there is no word to search for.", field="text", remedy="give a word."
            )
        scores = {
            concept.concept_id: sum(_weight(word, concept, items) for word in words)
            for concept in self.concepts
        }
        found = [concept for concept in self.concepts if scores[concept.concept_id]]
        return sorted(found, key=lambda concept: -scores[concept.concept_id])

    def evidenced_by(self, item_id: str) -> list[Concept]:
        """Concepts that ``item_id`` is evidence of, those that it is strongest for first."""
        found = [concept for concept in self.concepts if item_id in concept.evidence]
        return sorted(found, key=lambda concept: concept.evidence.index(item_id))

    def firing(self, activations: Mapping[int, float]) -> list[Concept]:
        """Concepts of the given latents, strongest first.

        Args:
            activations: latent to activation, in units of its 99th percentile.
        """
        strength: dict[str, float] = {}
        for latent, activation in activations.items():
            label = self._labels.get(latent)
            if label is not None:
                strongest = max(strength.get(label.concept_id, 0.0), activation)
                strength[label.concept_id] = strongest
        found = [self._by_id[concept_id] for concept_id in strength]
        return sorted(
            found, key=lambda concept: (-strength[concept.concept_id], concept.concept_id)
        )


def _concept(rows: Sequence[Mapping[str, Any]]) -> Concept:
    """One concept from its latents' rows, most confident first, which speaks for it."""
    best = rows[0]
    evidence = dict.fromkeys(item for row in rows for item in row["evidence_items"] or ())
    return Concept(
        concept_id=best["concept_id"],
        label=best["label"] or "",
        description=best["description"] or "",
        keywords=tuple(best["keywords"] or ()),
        confidence=best["confidence"] or 0.0,
        precision=best["precision"] or 0.0,
        recall=best["recall"] or 0.0,
        n_positive=best["n_positive"] or 0,
        n_negative=best["n_negative"] or 0,
        latents=tuple(row["latent"] for row in rows),
        evidence=tuple(evidence),
        source=best["source"] or "",
    )


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())


def _weight(word: str, concept: Concept, items: ItemCatalog) -> int:
    if word in _words(concept.label):
        return _LABEL_WEIGHT
    if any(word in _words(keyword) for keyword in concept.keywords):
        return _KEYWORD_WEIGHT
    if any(word in _words(items[item_id].title) for item_id in concept.evidence):
        return _TITLE_WEIGHT
    return 0
