"""Reads what the jobs of a plan made: manifests and tables. Nothing is computed here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from reclens.contracts import Manifest
from reclens.contracts.tables import CONCEPTS, EXAMPLES, FIDELITY, LATENT_QUALITY, LEVELS
from reclens.platform.store.artifacts import ArtifactStore
from reclens.studies.reproduce.plan import CONTROLS, Plan, PlannedDictionary, Role

EVALUATION_TABLES = (FIDELITY.file, LATENT_QUALITY.file, LEVELS.file, EXAMPLES.file)
"""Objects of an evaluation."""


ORIGINS = ("history", "learned", "folded")
"""Where a representation comes from: computed from the history, learned per user, or folded in
from the history as for a user that the model does not know."""


@dataclass(frozen=True)
class Dictionary:
    """One autoencoder with what is known of it."""

    name: str
    """Short and unique within a report."""
    roles: tuple[Role, ...]
    """Why it is there."""
    autoencoder: Manifest
    """Its manifest."""
    concepts: Manifest | None = None
    """Manifest of its concepts, where it is labelled."""
    evaluation: Manifest | None = None
    """Manifest of its evaluation."""
    labels: pa.Table | None = None
    """The concepts table."""
    fidelity_rows: pa.Table | None = None
    """Fidelity user by user, the table ``FIDELITY`` of its evaluation."""

    @property
    def kind(self) -> str:
        """Its architecture."""
        return self.autoencoder.spec["config"]["kind"]

    @property
    def health(self) -> dict[str, Any]:
        """What its training reported."""
        return self.autoencoder.metrics

    @property
    def is_control(self) -> bool:
        """Whether it has learned nothing of its own."""
        return any(role in CONTROLS for role in self.roles)

    def has(self, role: Role) -> bool:
        """Whether it is there for this reason."""
        return role in self.roles

    @property
    def fidelity_by_origin(self) -> dict[str, dict[str, Any]]:
        """Fidelity by origin of the representation: how a known user is served comes first."""
        assert self.evaluation is not None
        measured = self.evaluation.metrics["fidelity"]
        return {origin: measured[origin] for origin in ORIGINS if origin in measured}

    @property
    def origin(self) -> str:
        """The origin that `fidelity` is of; where a figure shows one only, it is this one."""
        return next(iter(self.fidelity_by_origin))

    def fidelity(self, group: str = "held_out") -> dict[str, Any]:
        """Fidelity for one group of users as known users are served; empty without such users."""
        return next(iter(self.fidelity_by_origin.values())).get(group, {})


@dataclass(frozen=True)
class Collected:
    """Everything that a report is made of."""

    dataset_name: str
    """Data set."""
    model_name: str
    """Kind of recommender."""
    dataset: Manifest
    """Its manifest."""
    recommender: Manifest
    """Its manifest."""
    activations: Manifest
    """Its manifest."""
    dictionaries: tuple[Dictionary, ...]
    """Those that were made; the main one first."""
    tables: dict[str, pa.Table] = field(default_factory=dict)
    """Tables of the main dictionary's evaluation, by object name."""
    missing: dict[str, str] = field(default_factory=dict)
    """What could not be made, and why, by name."""

    @property
    def main(self) -> Dictionary:
        """The dictionary that the report is about."""
        return self.dictionaries[0]

    @property
    def origins(self) -> dict[str, dict[str, Any]]:
        """Held-out ``cases`` and ``users`` by origin of the representation, and where there are
        several, how well the main dictionary reconstructs each."""
        assert self.main.evaluation is not None
        measured = self.main.evaluation.metrics["origins"]
        return {origin: measured[origin] for origin in ORIGINS if origin in measured}

    @property
    def note_on_cases(self) -> str:
        """A sentence for figures of all cases together; empty where all are of one origin."""
        origins = list(self.main.fidelity_by_origin)
        if len(origins) == 1:
            return ""
        return f" Cases with {' and with '.join(origins)} vectors together."

    @property
    def note_on_origin(self) -> str:
        """A sentence for figures of one origin; empty where there is no other."""
        if len(self.main.fidelity_by_origin) == 1:
            return ""
        return f" With {self.main.origin} vectors; T3b has the others too."

    @property
    def controls(self) -> list[Dictionary]:
        """Evaluated dictionaries that have learned nothing of their own."""
        return [one for one in self.evaluated if one.is_control]

    @property
    def evaluated(self) -> list[Dictionary]:
        """Those that were labelled and measured; the main one first."""
        return [one for one in self.dictionaries if one.evaluation is not None]


def collect(plan: Plan, store: ArtifactStore, failures: Mapping[str, str]) -> Collected:
    """Read everything that was made.

    Raises:
        NotFound: a required artifact is missing.
        CorruptArtifact: its bytes are not what its manifest says.
    """
    names = {job.ref: job.name for job in plan.jobs()}
    dictionaries = tuple(
        _dictionary(one, store, failures)
        for one in plan.dictionaries
        if one.autoencoder.artifact_ref() not in failures
    )
    evaluation = dictionaries[0].evaluation
    assert evaluation is not None
    return Collected(
        dataset_name=plan.dataset_name,
        model_name=plan.model_name,
        dataset=store.manifest(plan.dataset.artifact_ref()),
        recommender=store.manifest(plan.recommender.artifact_ref()),
        activations=store.manifest(plan.activations.artifact_ref()),
        dictionaries=dictionaries,
        tables={
            name: pq.read_table(store.fetch(evaluation.artifact, name))
            for name in EVALUATION_TABLES
        },
        missing={names[ref]: why for ref, why in failures.items()},
    )


def _dictionary(
    planned: PlannedDictionary, store: ArtifactStore, failures: Mapping[str, str]
) -> Dictionary:
    labelled = planned.concepts is not None and planned.concepts.artifact_ref() not in failures
    measured = planned.evaluation is not None and planned.evaluation.artifact_ref() not in failures
    concepts = planned.concepts.artifact_ref() if planned.concepts and labelled else None
    evaluation = planned.evaluation.artifact_ref() if planned.evaluation and measured else None
    return Dictionary(
        name=planned.name,
        roles=planned.roles,
        autoencoder=store.manifest(planned.autoencoder.artifact_ref()),
        concepts=store.manifest(concepts) if concepts else None,
        evaluation=store.manifest(evaluation) if evaluation else None,
        labels=pq.read_table(store.fetch(concepts, CONCEPTS.file)) if concepts else None,
        fidelity_rows=pq.read_table(store.fetch(evaluation, FIDELITY.file)) if evaluation else None,
    )
