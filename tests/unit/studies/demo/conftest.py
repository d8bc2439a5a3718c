"""One story with known numbers."""

from __future__ import annotations

import pytest

from reclens.api.steering.v1 import steering_pb2 as pb
from reclens.contracts import ArtifactKind, Manifest
from reclens.studies.demo.report import Figures
from reclens.studies.demo.story import Average, Choice, Story

COMEDY = pb.Concept(concept_id="comedy", label="Comedy", confidence=0.75, latents=[1, 2])
ACTION = pb.Concept(concept_id="action", label="Action", confidence=0.7, latents=[3, 4, 5])


def item(rank: int, name: str, *tags: str, before: int) -> pb.Recommendation:
    return pb.Recommendation(
        item_id=name.lower(), title=name, tags=tags, rank=rank, baseline_rank=before, score=1 / rank
    )


@pytest.fixture
def story() -> Story:
    """Two of three items change: an action film leaves, a comedy with a pipe in its title comes."""
    answer = pb.RecommendResponse(
        baseline=[
            item(1, "Heat", "Action", before=1),
            item(2, "Speed", "Action", before=2),
            item(3, "True Lies", "Action", "Comedy", before=3),
        ],
        items=[
            item(1, "True Lies", "Action", "Comedy", before=3),
            item(2, "Airplane|Zero Hour", "Comedy", before=40),
            item(3, "Heat", "Action", before=1),
        ],
        effect=pb.Effect(overlap=2 / 3, score_shift=-0.25, relative_shift=0.5, edited_latents=5),
        versions=pb.Versions(release="demo", release_version="0123456789abcdef"),
    )
    explanation = pb.ExplainResponse(
        history=[pb.HistoryItem(item_id="9", title="Die Hard", tags=["Action"])],
        explanation=pb.Explanation(
            latents=[
                pb.FiringLatent(
                    latent=3,
                    concept_id="action",
                    label="Action",
                    confidence=0.7,
                    activation=0.9,
                    measured=True,
                ),
                pb.FiringLatent(latent=77, activation=0.25),
            ]
        ),
    )
    average = Average(
        users=100, more_before=3.25, more_after=7.25, less_before=3.5, less_after=1.25
    )
    return Story(Choice("12", COMEDY, ACTION), explanation, answer, average)


@pytest.fixture
def figures() -> Figures:
    metrics = {
        "dataset": {"users": 943, "items": 1682, "interactions": 100_000, "density": 0.06},
        "recommender": {
            "model": "sasrec",
            "test": {"hr@10": 0.19, "ndcg@10": 0.099, "hr@5": 0.1},
            "valid": {"hr@10": 0.5, "ndcg@10": 0.5},
        },
        "activations": {"cases": 100_000},
        "autoencoder": {
            "fvu": 0.0625,
            "l0": 16.0,
            "dead_fraction": 0.015625,
            "random_fvu": 1.5,
            "n_latents": 1024,
            "curve": [[1, 1.6, 1.5], [100, 0.4, 0.3], [200, 0.1, 0.07]],
        },
        "concepts": {
            "alive": 1008,
            "labelled": 900,
            "trusted": 120,
            "balanced_accuracy_median": 0.6,
            "shuffled_balanced_accuracy_median": 0.5,
        },
    }
    stages = {
        stage: Manifest(
            artifact=f"{ArtifactKind[stage.upper()]}/{index:016x}",
            task="a task",
            spec={},
            inputs={},
            objects=[],
            metrics=values,
            versions={},
            created_at="2026-01-01T00:00:00Z",
            seconds=float(index),
        )
        for index, (stage, values) in enumerate(metrics.items(), start=1)
    }
    return Figures(stages, confidences=[0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.9])
