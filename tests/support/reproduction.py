"""A reproduction with chosen figures, so that every table, claim and plot is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from reclens.contracts import Manifest, ObjectEntry
from reclens.contracts.tables import EXAMPLES, LEVELS
from reclens.studies.reproduce.experiment.plan import Role
from reclens.studies.reproduce.experiment.results import Dictionary, StudyResults

KS = (5, 10, 20, 50)


def manifest(kind: str, number: int, metrics: dict[str, Any], **spec: Any) -> Manifest:
    return Manifest(
        artifact=f"{kind}/{number:016x}",
        task="",
        spec=spec,
        inputs={},
        objects=[
            ObjectEntry(name="a", size=1_500_000, sha256="0" * 64),
            ObjectEntry(name="b", size=500_000, sha256="1" * 64),
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
        "intervals": {
            "ndcg@10": [ndcg - 0.01, ndcg + 0.01],
            **{name: [overlap - 0.02, overlap + 0.02] for name in ("overlap@10", "kendall")},
        },
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
        "too_rare": 3,
        "rise": [0.45, 0.4, 0.5],
        "above_average": [0.45, 0.4, 0.5],
        "above_exchanged": [0.4, 0.3, 0.5],
        "rank_correlation": [1.0, 0.95, 1.0],
    }


def fidelity_rows(overlap: float, ndcg: float = 0.098, origins=("history",)) -> pa.Table:
    """Ten users; what a dictionary has above another is the same for all of them."""
    rows = [
        {
            "user_id": f"u{user}",
            "split": "test",
            "origin": origin,
            "variant": variant,
            "ndcg@10": value + 0.001 * user,
            "overlap@10": share - 0.01 * user,
            "kendall": share - 0.01 * user,
        }
        for origin in origins
        for user in range(10)
        for variant, value, share in (
            ("base", 0.1, 1.0),
            ("reconstruction", ndcg, overlap),
            ("random_sae", 0.06, 0.4),
            ("mean", 0.03, 0.1),
        )
    ]
    return pa.Table.from_pylist(rows)


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
    overlap: float = 0.9,
) -> Dictionary:
    health = {
        "fvu": fvu,
        "l0": 16.0,
        "dead_fraction": 0.01,
        "always_on_fraction": 0.0,
        "cosine": 0.98,
        "random_fvu": 1.7,
        "n_latents": 1000,
        "k": 2,
    }
    concepts = {
        "alive": 1000,
        "labelled": 600,
        "single_item": 50,
        "distinct": 5,
        "trusted": 3,
        "auroc_median": auroc,
        "auroc_share_08": 0.5,
        "paper_p_share_08": 0.5,
        "shuffled_auroc_median": 0.5,
        "shuffled_balanced_accuracy_median": 0.5,
        "shuffled_paper_p_share_08": 0.06,
        "judged": 450,
        "construct_cases": 200,
        "verify_cases": 150,
    }
    similar = {
        "latents": 4,
        "intra": 0.5,
        "intra_distinct": 0.3,
        "random_case": 0.1,
        "above_random": [0.2, 0.15, 0.25],
        "inter": 0.05,
        "distinct_first_items": 4,
        "coherence": 0.25,
        "coherence_random": 0.125,
        "coherence_above_random": [0.125, 0.1, 0.15],
        "intruder_latents": 3,
        "intruder": [0.6, 0.5, 0.7],
        "intruder_hard": [0.4, 0.3, 0.5],
    }
    by_tags = {
        "latents": 3,
        "partly": 1,
        "without_tag": 2,
        "point_biserial": {
            "latents": 3,
            "median": [0.3, 0.2, 0.4],
            "shuffled": 0.01,
            "above_shuffled": [0.25, 0.2, 0.3],
        },
        **{
            f"purity_{n}": {
                "latents": 2,
                "median": [0.5, 0.4, 0.6],
                "shuffled": 0.1,
                "above_shuffled": [0.4, 0.3, 0.5],
            }
            for n in (10, 20, 50)
        },
    }
    evaluation = {
        # As JSON gives it back: sorted by key.
        "fidelity": {"history": {"held_out": fidelity(0.098, 0.9), "test": fidelity(0.097, 0.9)}},
        "eligible": {"held_out": 66, "test": 40},
        "origins": {"history": {"cases": 400, "users": 40}},
        "described": {"items": 50, "titled": 50, "tagged": 45},
        "probing": {
            "usable": 4,
            "tags": 4,
            "auroc": {
                "latents": {"1": 0.6, "2": 0.65, "5": 0.7},
                "dimensions": {"1": 0.65, "2": 0.7, "5": 0.75},
                "full": 0.9,
            },
        },
        "popularity": quality(0.04),
        "similarity": {"interpretable": similar, "firing": similar},
        "similarity_text": {"interpretable": similar, "firing": similar},
        "label_truth": {"independent": False, "labelled": by_tags, "interpretable": by_tags},
        "levels": {"interpretable": levels(4), "labelled": levels(8)},
        "stability": {
            "retrained": stability(0.9),
            "alike": stability(0.5),
            "random": stability(0.4),
        },
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
    config = {
        "kind": kind,
        "k": 16,
        "n_latents": 1000,
        "n_epochs": 6,
        "prediction_coefficient": prediction_coefficient,
    }
    return Dictionary(
        name=name,
        roles=roles,
        autoencoder=manifest("autoencoders", number, health, config=config),
        concepts=manifest("concepts", number, concepts),
        evaluation=manifest("evaluations", number, evaluation),
        labels=pa.table(
            {
                "latent": pa.array(range(600), pa.int32()),
                "label": ["Drama", "Drama", "Comedy", "Film-Noir <1940s>"] * 150,
                "source": ["keywords"] * 600,
                "evidence_items": pa.array([["50"], ["50"], ["172"], ["181"]] * 150),
                "paper_p": pa.array(paper_p * 150, pa.float64()),
                "confidence": pa.array([0.6, 0.7, 0.8, None] * 150, pa.float64()),
                "auroc": pa.array([auroc - 0.001, auroc, auroc + 0.001, None] * 150, pa.float64()),
            }
        ),
        fidelity_rows=fidelity_rows(overlap),
    )


def level_counts() -> pa.Table:
    """Ten cases a level; latent j hits j more often a level, and never with another's label."""
    return pa.table(
        {
            "latent": pa.array(np.repeat(range(4), 11), pa.int32()),
            "level": pa.array(np.tile(range(11), 4), pa.int32()),
            "cases": pa.array([10] * 44, pa.int64()),
            "hits": pa.array([min(10, j * level) for j in range(4) for level in range(11)]),
            "exchanged_hits": pa.array([0] * 44, pa.int64()),
        }
    )


def results_of(*dictionaries: Dictionary, dataset: str = "ml-100k") -> StudyResults:
    examples = pa.table(
        {
            "latent": pa.array([3] * 6, pa.int32()),
            "label": ["Film-Noir <1940s>"] * 6,
            "activation": pa.array([0.0, 1.0, 2.0, 0.0, 0.0, 0.5], pa.float32()),
            "with_concept": [True, True, True, False, False, False],
        }
    )
    counts = {"users": 100, "items": 50, "interactions": 900, "train": 700, "valid": 100}
    return StudyResults(
        dataset_name=dataset,
        model_name="sasrec",
        dataset=manifest(
            "datasets",
            1,
            {**counts, "test": 100, "density": 0.18},
            split={"kind": "leave-one-out"},
        ),
        recommender=manifest("recommenders", 2, {"valid": quality(0.12), "test": quality(0.1)}),
        activations=manifest("activations", 3, {"train_cases": 500}),
        dictionaries=dictionaries,
        tables={EXAMPLES.file: examples, LEVELS.file: level_counts()},
        missing={},
    )
