"""A collected reproduction with chosen figures, so that every table, claim and plot is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from reclens.contracts import Manifest, ObjectEntry
from reclens.contracts.tables import EXAMPLES
from reclens.reproduce.collecting import Collected, Dictionary
from reclens.reproduce.plan import Role

KS = (5, 10, 20, 50)


def manifest(kind: str, number: int, metrics: dict[str, Any], **spec: Any) -> Manifest:
    return Manifest(
        artifact=f"{kind}/{number:016x}",
        task="",
        spec=spec,
        inputs={},
        objects=[
            ObjectEntry(name="a", size=1_500_000, sha256=""),
            ObjectEntry(name="b", size=500_000, sha256=""),
        ],
        metrics=metrics,
        versions={"reclens": "1"},
        created_at="",
        seconds=float(number),
        peak_memory_bytes=number * 1_000_000,
    )


def quality(value: float) -> dict[str, float]:
    return {f"{name}@{k}": value * k / 10 for name in ("hr", "ndcg") for k in KS}


def means(ndcg: float, overlap: float) -> dict[str, Any]:
    return {
        **quality(ndcg),
        "overlap@10": overlap,
        "kendall": overlap,
        "spearman": overlap,
        "intervals": {"ndcg@10": [ndcg - 0.01, ndcg + 0.01]},
    }


def fidelity(kept: float, overlap: float) -> dict[str, Any]:
    variants = {
        "base": means(0.1, 1.0),
        "reconstruction": means(kept, overlap),
        "random_sae": means(0.06, 0.4),
        "mean": means(0.03, 0.1),
    }
    difference = {
        name: {"ndcg@10": [one["ndcg@10"] - 0.1, one["ndcg@10"] - 0.11, one["ndcg@10"] - 0.09]}
        for name, one in variants.items()
        if name != "base"
    }
    return {"users": 40, "variants": variants, "difference": difference}


def levels(n_latents: int) -> dict[str, Any]:
    def curve(low: float, high: float) -> list[list[float]]:
        return [[v, v - 0.05, v + 0.05] for v in np.linspace(low, high, 11)]

    return {
        "latents": n_latents,
        "cases": 600,
        "hit_ratio": curve(0.1, 0.6),
        "exchanged": curve(0.2, 0.2),
        "average": 0.15,
    }


def stability(cosine: float) -> dict[str, Any]:
    return {
        "mean_max_cosine": cosine,
        "mean_matched_cosine": cosine - 0.1,
        "matched_share": {"0.7": cosine - 0.2, "0.9": cosine - 0.3},
    }


def dictionary(
    number: int,
    roles: tuple[Role, ...],
    name: str,
    *,
    paper_p: list[float | None],
    auroc: float,
    kind: str = "topk",
    fvu: float = 0.05,
    prediction_coefficient: float = 0.0,
) -> Dictionary:
    health = {
        "fvu": fvu,
        "l0": 16.0,
        "dead_fraction": 0.01,
        "always_on_fraction": 0.0,
        "cosine": 0.98,
        "random_fvu": 1.7,
        "n_latents": 10,
        "k": 2,
    }
    concepts = {
        "alive": 10,
        "labelled": 8,
        "single_item": 1,
        "distinct": 5,
        "trusted": 3,
        "auroc_median": auroc,
        "auroc_share_08": 0.5,
        "paper_p_share_08": 0.5,
        "shuffled_auroc_median": 0.5,
        "shuffled_balanced_accuracy_median": 0.5,
    }
    similar = {
        "latents": 4,
        "intra": 0.5,
        "intra_distinct": 0.3,
        "random_case": 0.1,
        "inter": 0.05,
        "distinct_first_items": 4,
    }
    evaluation = {
        # As JSON gives it back: sorted by key.
        "fidelity": {"history": {"held_out": fidelity(0.098, 0.9), "test": fidelity(0.097, 0.9)}},
        "popularity": quality(0.04),
        "similarity": {"interpretable": similar, "firing": similar},
        "levels": {"interpretable": levels(4), "labelled": levels(8)},
        "stability": {"retrained": stability(0.9), "random": stability(0.4)},
        "examples": [
            {
                "latent": 3,
                "label": "Film-Noir <1940s>",
                "confidence": 0.9,
                "cases": 6,
                "cases_with": 3,
                "fires_with": 2 / 3,
                "fires_without": 1 / 3,
            }
        ],
    }
    config = {"kind": kind, "k": 16, "prediction_coefficient": prediction_coefficient}
    return Dictionary(
        name=name,
        roles=roles,
        autoencoder=manifest("autoencoders", number, health, config=config),
        concepts=manifest("concepts", number, concepts),
        evaluation=manifest("evaluations", number, evaluation),
        labels=pa.table(
            {
                "paper_p": pa.array(paper_p, pa.float64()),
                "confidence": pa.array([0.6, 0.7, 0.8, None], pa.float64()),
            }
        ),
    )


def collected_of(*dictionaries: Dictionary, dataset: str = "ml-100k") -> Collected:
    examples = pa.table(
        {
            "latent": pa.array([3] * 6, pa.int32()),
            "label": ["Film-Noir <1940s>"] * 6,
            "activation": pa.array([0.0, 1.0, 2.0, 0.0, 0.0, 0.5], pa.float32()),
            "with_concept": [True, True, True, False, False, False],
        }
    )
    counts = {"users": 100, "items": 50, "interactions": 900, "train": 700, "valid": 100}
    return Collected(
        dataset_name=dataset,
        model_name="sasrec",
        dataset=manifest(
            "datasets",
            1,
            {**counts, "test": 100, "density": 0.18},
            split={"kind": "leave-one-out"},
        ),
        recommender=manifest("recommenders", 2, {"valid": quality(0.12), "test": quality(0.1)}),
        activations=manifest("activations", 3, {}),
        dictionaries=dictionaries,
        tables={EXAMPLES: examples},
        missing={},
    )


@pytest.fixture(scope="session")
def main_dictionary() -> Dictionary:
    return dictionary(
        4, (Role.MAIN, Role.GRID_K), "topk 10/2", paper_p=[0.9, 0.8, 0.7, None], auroc=0.8
    )


@pytest.fixture(scope="session")
def untrained() -> Dictionary:
    return dictionary(
        5, (Role.UNTRAINED,), "untrained", paper_p=[0.9, 0.5, 0.5, None], auroc=0.6, fvu=1.7
    )


@pytest.fixture(scope="session")
def collected(main_dictionary: Dictionary, untrained: Dictionary) -> Collected:
    aware = dictionary(
        6,
        (Role.PREDICTION,),
        "prediction-aware",
        paper_p=[0.9, 0.8, 0.7, None],
        auroc=0.8,
        prediction_coefficient=1.0,
    )
    return collected_of(main_dictionary, untrained, aware)
