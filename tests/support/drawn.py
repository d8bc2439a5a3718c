"""A reproduction small enough to work out by hand what its figures show, and ways to read them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure

from reclens.contracts import Manifest
from reclens.contracts.tables import EXAMPLES, LEVELS
from reclens.studies.reproduce.experiment.plan import Role
from reclens.studies.reproduce.experiment.results import Dictionary, StudyResults

N_LEVELS = 11


def manifest(kind: str, metrics: dict[str, Any], **spec: Any) -> Manifest:
    return Manifest(
        artifact=f"{kind}/{0:016x}",
        task="",
        spec=spec,
        inputs={},
        objects=[],
        metrics=metrics,
        versions={},
        created_at="",
        seconds=0.0,
    )


def drawn_dictionary(
    role: Role, name: str, *, kind: str = "topk", weight: float = 0.0
) -> Dictionary:
    """Five latents, four labelled, three labels; it loses .002 of the base's NDCG@10 of .1."""
    kept = {
        "ndcg@10": 0.098,
        "overlap@10": 0.9,
        "kendall": 0.8,
        "intervals": {"ndcg@10": [0.09, 0.1], "overlap@10": [0.88, 0.92], "kendall": [0.7, 0.85]},
    }
    held_out = {
        "users": 40,
        "variants": {"base": {"ndcg@10": 0.1}, "reconstruction": kept},
        "difference": {"reconstruction": {"ndcg@10": [-0.002, -0.012, 0.008]}},
    }
    measured = {
        "fidelity": {"history": {"held_out": held_out}},
        "examples": [example(3, "Film-Noir <1940s>", 0.9, (2 / 3, 1 / 3))],
    }
    return Dictionary(
        name=name,
        roles=(role,),
        autoencoder=manifest(
            "autoencoders",
            {"fvu": 0.05, "l0": 16.0, "n_latents": 10, "k": 2},
            config={"kind": kind, "k": 16, "prediction_coefficient": weight},
        ),
        concepts=manifest(
            "concepts",
            {"alive": 10, "distinct": 5, "shuffled_balanced_accuracy_median": 0.5},
        ),
        evaluation=manifest("evaluations", measured, seed=0),
        labels=pa.table(
            {
                "latent": pa.array(range(5), pa.int32()),
                "label": ["Drama", "Drama", "Comedy", "Film-Noir <1940s>", None],
                "source": ["keywords"] * 5,
                "evidence_items": pa.array([["50"], ["50"], ["172"], ["181"], []]),
                "paper_p": pa.array([0.9, 0.8, 0.7, None, None], pa.float64()),
                "confidence": pa.array([0.6, 0.7, 0.8, None, None], pa.float64()),
            }
        ),
    )


def example(latent: int, label: str, score: float, fires: tuple[float | None, float]) -> Any:
    """As the evaluation describes one."""
    return {
        "latent": latent,
        "label": label,
        "confidence": score,
        "cases": 6,
        "cases_with": 3,
        "fires_with": fires[0],
        "fires_without": fires[1],
    }


def hits_by_level() -> np.ndarray:
    """[4, 11], of ten cases: latent j hits j times more at each level than at the one before."""
    return np.minimum(10, np.outer(range(4), range(N_LEVELS)))


def drawn_results() -> StudyResults:
    """A main dictionary, one untrained, one trained with the prediction-aware term."""
    examples = pa.table(
        {
            "latent": pa.array([3] * 6, pa.int32()),
            "activation": pa.array([0.0, 1.0, 2.0, 0.0, 0.0, 0.5], pa.float32()),
            "with_concept": [True, True, True, False, False, False],
        }
    )
    levels = pa.table(
        {
            "latent": pa.array(np.repeat(range(4), N_LEVELS), pa.int32()),
            "level": pa.array(np.tile(range(N_LEVELS), 4), pa.int32()),
            "cases": pa.array([10] * 44, pa.int64()),
            "hits": pa.array(hits_by_level().ravel(), pa.int64()),
            "exchanged_hits": pa.array([0] * 44, pa.int64()),
        }
    )
    main = drawn_dictionary(Role.MAIN, "topk 10/2")
    return StudyResults(
        dataset_name="ml-100k",
        model_name="sasrec",
        dataset=manifest("datasets", {}),
        recommender=manifest("recommenders", {}),
        activations=manifest("activations", {}),
        dictionaries=(
            replace(main, roles=(Role.MAIN, Role.GRID_K)),
            drawn_dictionary(Role.UNTRAINED, "untrained"),
            drawn_dictionary(Role.PREDICTION, "prediction-aware", weight=1.0),
        ),
        tables={EXAMPLES.file: examples, LEVELS.file: levels},
    )


def with_metrics(manifest: Manifest | None, **metrics: Any) -> Manifest:
    assert manifest is not None
    return manifest.model_copy(update={"metrics": {**manifest.metrics, **metrics}})


def with_config(one: Dictionary, *, l0: float, fvu: float, **config: Any) -> Dictionary:
    """The same dictionary under another configuration, with the health that it brings."""
    spec = {"config": {**one.autoencoder.spec["config"], **config}}
    health = {"l0": l0, "fvu": fvu, "k": config["k"], "n_latents": config["n_latents"]}
    autoencoder = with_metrics(one.autoencoder, **health).model_copy(update={"spec": spec})
    return replace(one, autoencoder=autoencoder)


def control_of(one: Dictionary, role: Role, name: str) -> Dictionary:
    return replace(one, roles=(role,), name=name)


def with_main(results: StudyResults, **parts: Any) -> StudyResults:
    main, *others = results.dictionaries
    return replace(results, dictionaries=(replace(main, **parts), *others))


def legend_texts(figure: Figure) -> list[str]:
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def errorbars(figure: Figure, panel: int = 0) -> dict[str, ErrorbarContainer]:
    axes = figure.axes[panel]
    return {
        str(one.get_label()): one for one in axes.containers if isinstance(one, ErrorbarContainer)
    }


def reach(bar: ErrorbarContainer) -> np.ndarray:
    """Ends of the bars, [n_points, 2 ends, x and y]."""
    _, _, (lines,) = bar
    return np.array(lines.get_segments())  # type: ignore[attr-defined]
