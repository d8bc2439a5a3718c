"""Reads what the jobs of a plan made: manifests and tables. Nothing is computed here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from reclens.contracts import JobSpec, Manifest
from reclens.contracts.specs.evaluation import EvaluationOptions
from reclens.contracts.tables import CONCEPTS, FIDELITY, TABLES
from reclens.platform.store.artifacts import ArtifactStore
from reclens.studies.reproduce.experiment.plan import CONTROLS, PlannedDictionary, Role, StudyPlan

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
        return self.config["kind"]

    @property
    def config(self) -> dict[str, Any]:
        """Its architecture and training, as specified."""
        return self.autoencoder.spec["config"]

    @property
    def health(self) -> dict[str, Any]:
        """What its training reported."""
        return self.autoencoder.metrics

    @property
    def labelling(self) -> dict[str, Any]:
        """What its labelling reported; only for dictionaries that were labelled."""
        assert self.concepts is not None
        return self.concepts.metrics

    @property
    def measured(self) -> dict[str, Any]:
        """What its evaluation reported; only for dictionaries that were evaluated."""
        assert self.evaluation is not None
        return self.evaluation.metrics

    @property
    def is_control(self) -> bool:
        """Whether it has learned nothing of its own."""
        return self.has(*CONTROLS)

    @property
    def title(self) -> str:
        """Its name, and what it is here for."""
        if self.is_control:
            return f"control: {self.name}"
        return f"{self.name} (main)" if self.has(Role.MAIN) else self.name

    def has(self, *roles: Role) -> bool:
        """Whether it is there for any of these reasons."""
        return any(role in self.roles for role in roles)

    def column(self, name: str) -> pa.ChunkedArray:
        """A column of its labels: entry j is of latent j."""
        assert self.labels is not None
        return self.labels[name]

    def judged(self, column: str) -> np.ndarray:
        """A column of its labels, without the latents that have no value there."""
        return self.column(column).drop_null().to_numpy()

    def measured_with(self, option: str) -> Any:
        """An option of its evaluation."""
        assert self.evaluation is not None
        return self.evaluation.spec.get(option, getattr(EvaluationOptions(), option))

    @property
    def fidelity_by_origin(self) -> dict[str, dict[str, Any]]:
        """Fidelity by origin of the representation: how a known user is served comes first."""
        return _by_origin(self.measured["fidelity"])

    @property
    def origin(self) -> str:
        """The origin that `fidelity` is of; where a figure shows one only, it is this one."""
        return next(iter(self.fidelity_by_origin))

    def fidelity(self, group: str = "held_out") -> dict[str, Any]:
        """Fidelity for one group of users as known users are served; empty without such users."""
        return self.fidelity_by_origin[self.origin].get(group, {})


@dataclass(frozen=True)
class StudyResults:
    """Everything that a report is made of."""

    dataset_name: str
    """Data set."""
    model_name: str
    """Kind of recommender."""
    dataset: Manifest
    """Manifest of the data set."""
    recommender: Manifest
    """Manifest of the recommender."""
    activations: Manifest
    """Manifest of the activations."""
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
        return _by_origin(self.main.measured["origins"])

    @property
    def controls(self) -> list[Dictionary]:
        """Evaluated dictionaries that have learned nothing of their own."""
        return [one for one in self.evaluated if one.is_control]

    @property
    def evaluated(self) -> list[Dictionary]:
        """Those that were labelled and measured; the main one first."""
        return [one for one in self.dictionaries if one.evaluation is not None]

    @property
    def stages(self) -> dict[str, Manifest]:
        """Manifests behind the main dictionary's results, by stage, in order."""
        stages = {
            "dataset": self.dataset,
            "recommender": self.recommender,
            "activations": self.activations,
            "autoencoder": self.main.autoencoder,
            "concepts": self.main.concepts,
            "evaluation": self.main.evaluation,
        }
        return {stage: manifest for stage, manifest in stages.items() if manifest is not None}


def read_results(
    plan: StudyPlan, store: ArtifactStore, failures: Mapping[str, str]
) -> StudyResults:
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
    return StudyResults(
        dataset_name=plan.dataset_name,
        model_name=plan.model_name,
        dataset=store.manifest(plan.dataset.artifact_ref()),
        recommender=store.manifest(plan.recommender.artifact_ref()),
        activations=store.manifest(plan.activations.artifact_ref()),
        dictionaries=dictionaries,
        tables={
            table.file: table.read(store.fetch(evaluation.artifact, table.file))
            for table in TABLES["evaluations"]
        },
        missing={names[ref]: why for ref, why in failures.items()},
    )


def _dictionary(
    planned: PlannedDictionary, store: ArtifactStore, failures: Mapping[str, str]
) -> Dictionary:
    def made(spec: JobSpec | None) -> str | None:
        ref = spec.artifact_ref() if spec else None
        return None if ref in failures else ref

    concepts, evaluation = made(planned.concepts), made(planned.evaluation)
    return Dictionary(
        name=planned.name,
        roles=planned.roles,
        autoencoder=store.manifest(planned.autoencoder.artifact_ref()),
        concepts=store.manifest(concepts) if concepts else None,
        evaluation=store.manifest(evaluation) if evaluation else None,
        labels=CONCEPTS.read(store.fetch(concepts, CONCEPTS.file)) if concepts else None,
        fidelity_rows=FIDELITY.read(store.fetch(evaluation, FIDELITY.file)) if evaluation else None,
    )


def _by_origin(measured: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {origin: measured[origin] for origin in ORIGINS if origin in measured}
