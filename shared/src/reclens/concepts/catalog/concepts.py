"""Concepts of a release: by id, by latent, by words, by evidence."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Self

from reclens.concepts.catalog.items import ItemCatalog
from reclens.concepts.labels.concepts import Concept, group_concepts
from reclens.concepts.labels.table import read_concepts
from reclens.contracts.tables.concepts import LatentLabel
from reclens.errors import CorruptArtifact, InvalidInput, NotFound
from reclens.similar_names import SimilarNames

_WORD = re.compile(r"\w+")
_LABEL_WEIGHT, _KEYWORD_WEIGHT, _TITLE_WEIGHT = 4, 2, 1


class ConceptIndex:
    """The concepts of a release, most trusted first, from one row per latent."""

    def __init__(self, rows: Sequence[LatentLabel]) -> None:
        self._rows = rows
        self.concepts: list[Concept] = group_concepts(rows)
        self._by_id = {concept.concept_id: concept for concept in self.concepts}
        self._similar_ids = SimilarNames(self._by_id)
        # Made at the first search: every search would read all evidence again.
        self._word_weights = lru_cache(1)(self._weigh_words)

    @classmethod
    def read(cls, path: Path, n_latents: int) -> Self:
        """Read the concepts table (see ``contracts.tables.CONCEPTS``).

        Raises:
            CorruptArtifact: it cannot be read, or does not have a row per latent.
        """
        rows = read_concepts(path)
        if len(rows) != n_latents:
            raise CorruptArtifact(
                f"{path.name} has {len(rows)} rows for {n_latents} latents.",
                field="concepts",
                remedy="label the latents of this autoencoder again.",
            )
        return cls(rows)

    def label(self, latent: int) -> LatentLabel | None:
        """What ``latent`` stands for; None where it is unlabelled."""
        row = self._rows[latent]
        return row if row.concept_id else None

    def get(self, concept_id: str, *, field: str) -> Concept:
        """The concept called ``concept_id``.

        Raises:
            NotFound: there is none; the remedy lists similar ids.
        """
        concept = self._by_id.get(concept_id)
        if concept is not None:
            return concept
        message = f"there is no concept {concept_id[:100]!r}."
        raise NotFound.named(
            message, concept_id, self._similar_ids, field=field, otherwise="see ListConcepts."
        )

    def search(self, text: str, items: ItemCatalog) -> list[Concept]:
        """Concepts with words of ``text`` in label, keywords or evidence titles, best first.

        Every distinct word counts once, at the place where it weighs most: label, keyword, title.

        Raises:
            InvalidInput: there is no word in ``text``.
        """
        words = _words(text)
        if not words:
            raise InvalidInput(
                "there is no word to search for.", field="text", remedy="give a word."
            )
        scores = [
            sum(weights.get(word, 0) for word in words) for weights in self._word_weights(items)
        ]
        found = [place for place, score in enumerate(scores) if score]
        return [self.concepts[place] for place in sorted(found, key=lambda place: -scores[place])]

    def _weigh_words(self, items: ItemCatalog) -> list[dict[str, int]]:
        """What each word of each concept weighs: where it stands in several places, the most."""
        return [
            {
                **dict.fromkeys(
                    _words(*(items[item_id].title for item_id in concept.evidence_items)),
                    _TITLE_WEIGHT,
                ),
                **dict.fromkeys(_words(*concept.keywords), _KEYWORD_WEIGHT),
                **dict.fromkeys(_words(concept.label), _LABEL_WEIGHT),
            }
            for concept in self.concepts
        ]

    def evidenced_by(self, item_id: str) -> list[Concept]:
        """Concepts that ``item_id`` is evidence of, those that it is strongest for first."""
        found = [concept for concept in self.concepts if item_id in concept.evidence_items]
        return sorted(found, key=lambda concept: concept.evidence_items.index(item_id))

    def firing(self, activations: Mapping[int, float]) -> list[Concept]:
        """Concepts of the given latents, strongest first.

        Args:
            activations: latent to activation, in units of its 99th percentile.
        """
        strength: dict[str, float] = {}
        for latent, activation in activations.items():
            concept_id = self._rows[latent].concept_id
            if concept_id and activation > 0:
                strength[concept_id] = max(strength.get(concept_id, 0.0), activation)
        found = [self._by_id[concept_id] for concept_id in strength]
        return sorted(
            found, key=lambda concept: (-strength[concept.concept_id], concept.concept_id)
        )


def _words(*texts: str) -> set[str]:
    return {word for text in texts for word in _WORD.findall(text.casefold())}
