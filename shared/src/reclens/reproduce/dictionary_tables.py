"""Tables of dictionaries: health, stability, concepts, probing; controls are rows among them."""

from __future__ import annotations

from typing import Any

import pyarrow.compute as pc

from reclens.reproduce.collecting import Collected, Dictionary
from reclens.reproduce.plan import Role
from reclens.reproduce.table import Column, Table

INTERPRETABLE = 0.8
"""Least P of an interpretable latent in the published protocol."""

_PROBED = ("1", "2", "5")


def health(collected: Collected) -> Table:
    """T4."""
    rows = []
    for one in collected.dictionaries:
        metrics = one.health
        rows.append(
            [
                one.kind if not one.is_control else f"control: {one.name}",
                _part(one),
                metrics["n_latents"],
                metrics["k"],
                metrics["l0"],
                metrics["fvu"],
                metrics.get("random_fvu"),
                metrics["dead_fraction"],
                metrics["always_on_fraction"],
                metrics["cosine"],
            ]
        )
    return Table(
        "T4",
        "Health of the autoencoders, over k, size and architecture",
        (
            Column("architecture"),
            Column("part of"),
            Column("latents", ",d"),
            Column("k", "d"),
            Column("L0", ".2f"),
            Column("FVU", ".4f"),
            Column("FVU untrained, same shape", ".3f"),
            Column("dead", ".1%"),
            Column("always on", ".1%"),
            Column("cosine of x and x̂", ".4f"),
        ),
        rows,
        "On users that were not trained on. FVU: share of the variance unexplained; answering with "
        "the mean gives 1. Dead: fires for none of these cases. Always on: for more than half.",
    )


def _part(one: Dictionary) -> str:
    if one.is_control:
        return "control"
    roles = ", ".join(one.roles)
    if one.has(Role.PREDICTION):
        weight = one.autoencoder.spec["config"]["prediction_coefficient"]
        return f"{roles}, weight {weight:g}"
    return roles


def stability(collected: Collected) -> list[Table]:
    """T4b: the directions of two trainings that differ in their seed; none without the second."""
    assert collected.main.evaluation is not None
    measured = collected.main.evaluation.metrics.get("stability")
    if measured is None:
        return []
    rows = [
        [
            shown,
            measured[name]["mean_max_cosine"],
            measured[name]["mean_matched_cosine"],
            *measured[name]["matched_share"].values(),
        ]
        for name, shown in (("retrained", "two seeds"), ("random", "control: random directions"))
    ]
    shares = measured["random"]["matched_share"]
    return [
        Table(
            "T4b",
            "Are the directions the same when the seed is another?",
            (
                Column("main dictionary beside"),
                Column("mean cosine to the nearest", ".3f"),
                Column("mean cosine of pairs", ".3f"),
                *(Column(f"pairs above {limit}", ".1%") for limit in shares),
            ),
            rows,
            "Decoder directions. Pairs: each direction once, by the Hungarian method.",
        )
    ]


def concepts(collected: Collected) -> Table:
    """T5."""
    rows = [_concept_row(one) for one in collected.evaluated]
    return Table(
        "T5",
        "Concepts against raw dimensions, PCA and an untrained autoencoder on an equal footing",
        (
            Column("dictionary"),
            Column("alive", ",d"),
            Column("labelled", ",d"),
            Column("one item", ",d"),
            Column("trusted", ",d"),
            Column(f"P ≥ {INTERPRETABLE}", ",d"),
            Column(f"P ≥ {INTERPRETABLE}, of alive", ".1%"),
            Column("distinct labels", ",d"),
            Column("AUROC, median", ".3f"),
            Column("AUROC, labels shuffled", ".3f"),
            Column("AUROC ≥ 0.8", ".1%"),
            Column("intra", ".3f"),
            Column("intra, other user and item", ".3f"),
            Column("random pairs", ".3f"),
            Column("inter", ".3f"),
        ),
        rows,
        "All dictionaries are labelled and judged by the same code on the same users. P is that of "
        "the published protocol with the keyword matcher as judge. Intra: cosine of the embeddings "
        "of the items of a latent's two strongest cases; then the same with the second case of "
        "another user and with another item; random pairs are its control. Inter: mean cosine of "
        f"different latents' strongest items. All four over latents with P ≥ {INTERPRETABLE}.",
    )


def _concept_row(one: Dictionary) -> list[Any]:
    assert one.concepts is not None
    assert one.evaluation is not None
    metrics = one.concepts.metrics
    similarity = one.evaluation.metrics["similarity"]["interpretable"]
    count = interpretable(one)
    return [
        labelled(one),
        metrics["alive"],
        metrics["labelled"],
        metrics["single_item"],
        metrics["trusted"],
        count,
        count / metrics["alive"] if metrics["alive"] else None,
        metrics["distinct"],
        metrics["auroc_median"],
        metrics["shuffled_auroc_median"],
        metrics["auroc_share_08"],
        *(similarity[name] for name in ("intra", "intra_distinct", "random_case", "inter")),
    ]


def probing(collected: Collected) -> list[Table]:
    """T5b: how few latents tell a tag of the item on top; nothing where the data have no tags."""
    rows: list[list[Any]] = []
    tags = 0
    for one in collected.evaluated:
        assert one.evaluation is not None
        measured = one.evaluation.metrics.get("probing", {"tags": 0})
        if not measured["tags"]:
            continue
        tags, auroc = measured["tags"], measured["auroc"]
        rows.append([labelled(one), *(auroc["latents"][n] for n in _PROBED)])
        if one is collected.main:
            raw = [auroc["dimensions"][n] for n in _PROBED]
            rows.append(["control: as many raw dimensions", *raw])
            rows.append(["ceiling: the whole representation", *([auroc["full"]] * len(_PROBED))])
    if not rows:
        return []
    return [
        Table(
            "T5b",
            f"Sparse probing: AUROC of telling a tag of the top item, tags averaged: {tags}",
            (
                Column("from"),
                *(Column(f"{n} feature{'s' if n != '1' else ''}", ".3f") for n in _PROBED),
            ),
            rows,
            "Features are chosen and a logistic regression is fitted on construct users; measured "
            "on test users. Chance is 0.5.",
        )
    ]


def interpretable(one: Dictionary) -> int:
    """Latents with P of at least ``INTERPRETABLE``."""
    assert one.labels is not None
    above = pc.greater_equal(one.labels["paper_p"], INTERPRETABLE)  # type: ignore[attr-defined]
    return int(pc.sum(above).as_py() or 0)  # type: ignore[attr-defined]


def labelled(one: Dictionary) -> str:
    """Its name, and what it is here for."""
    if one.is_control:
        return f"control: {one.name}"
    return f"{one.name} (main)" if one.has(Role.MAIN) else one.name
