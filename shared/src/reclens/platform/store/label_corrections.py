"""The log of people's corrections to the concepts of one autoencoder, in the object store."""

from __future__ import annotations

from typing import Final

from reclens.contracts import ConceptCorrection, ConceptCorrectionsSpec, ConceptsSpec, split_ref
from reclens.contracts.specs.corrections import CONCEPTS_EDIT
from reclens.errors import StaleCorrection
from reclens.platform.store.append_log import AppendLog
from reclens.platform.store.artifacts import ArtifactStore

_PREFIX: Final = "edits"


class CorrectionLog(AppendLog[ConceptCorrection]):
    """Append-only: entry n is the object ``edits/{autoencoder_id}/{n:06d}.json``, n from 1.

    Args:
        store: with the autoencoder.
        autoencoder: ``autoencoders/id``, whose latents the corrections are about.
    """

    def __init__(self, store: ArtifactStore, autoencoder: str) -> None:
        folder = f"{_PREFIX}/{split_ref(autoencoder).artifact_id}/"
        super().__init__(store.objects, folder, ConceptCorrection, field="edits")

    def append(self, correction: ConceptCorrection, *, seen: int) -> tuple[ConceptCorrection, ...]:
        """Add an entry at the end and return the log with it.

        Args:
            correction: to add.
            seen: entries that its author knew of.

        Raises:
            StaleCorrection: somebody corrected one of its latents after what the author had seen.
        """
        while True:
            entries = self.read()
            for number, other in enumerate(entries[seen:], start=seen + 1):
                if set(other.latents) & set(correction.latents):
                    raise _stale(correction, number, other)
            # Of two who append at once one finds the number taken, and reads again.
            if self.add(len(entries) + 1, correction):
                return (*entries, correction)


def machine_concepts_of(store: ArtifactStore, concepts: str) -> tuple[str, int]:
    """The machine-made concepts under ``concepts``, and how many corrections that has applied."""
    manifest = store.manifest(concepts)
    if manifest.task != CONCEPTS_EDIT.task:
        return concepts, 0
    spec = ConceptCorrectionsSpec.parse(manifest.spec)
    return spec.concepts, spec.n_edits


def labelling_spec_of(store: ArtifactStore, concepts: str) -> ConceptsSpec:
    """How the machine made the labels of ``concepts``, whether people corrected them or not."""
    return ConceptsSpec.parse(store.manifest(machine_concepts_of(store, concepts)[0]).spec)


def _stale(correction: ConceptCorrection, number: int, other: ConceptCorrection) -> StaleCorrection:
    return StaleCorrection(
        f"{other.author} has changed {correction.was!r} meanwhile "
        f"(edit {number}: {other.in_words}).",
        field="concept_id",
        remedy="look at it again (`reclens concepts list`) and edit what it is now; if it still "
        "looks the same, publish that edit first (`reclens concepts edits --apply`).",
    )
