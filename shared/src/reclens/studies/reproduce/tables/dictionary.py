"""Tables of dictionaries: health, stability, probing; controls are rows among them."""

from __future__ import annotations

from typing import Any

from reclens.evaluation.carriers import MAX_SHARE, MIN_SHARE, MIN_TAGS
from reclens.studies.reproduce.collecting import Collected, Dictionary
from reclens.studies.reproduce.plan import Role
from reclens.studies.reproduce.tables.table import Column, Table

_PROBED = ("1", "2", "5")


def health(collected: Collected) -> Table:
    """T4."""
    rows = []
    for one in collected.dictionaries:
        shown = one.kind if not one.is_control else f"control: {one.name}"
        rows.append(_health_row(shown, _part(one), one.health, one.health))
        if one is collected.main and len(collected.origins) > 1:
            rows += [
                _health_row(
                    one.kind,
                    f"main, {origin} vectors alone ({measured['cases']:,} cases)",
                    one.health,
                    measured,
                )
                for origin, measured in collected.origins.items()
            ]
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
        f"On {held_out_cases(collected)} of users that were not trained on. FVU: share of the "
        "variance unexplained; answering with the mean gives 1. Dead: fires for none of these "
        "cases. Always on: for more than half."
        + (" FVU of one origin alone: of its own variance." if len(collected.origins) > 1 else ""),
    )


def _health_row(
    shown: str, part: str, shape: dict[str, Any], measured: dict[str, Any]
) -> list[Any]:
    return [
        shown,
        part,
        shape["n_latents"],
        shape["k"],
        measured["l0"],
        measured["fvu"],
        measured.get("random_fvu"),
        measured["dead_fraction"],
        measured["always_on_fraction"],
        measured["cosine"],
    ]


def held_out_cases(collected: Collected) -> str:
    """Cases of users that were not trained on, by origin where there are several."""
    origins = collected.origins
    if len(origins) == 1:
        (counts,) = origins.values()
        return f"{counts['cases']:,} cases"
    return " and ".join(f"{one['cases']:,} {origin}" for origin, one in origins.items()) + " cases"


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
        for name, shown in (
            ("retrained", "the same trained with another seed"),
            ("alike", "control: random, with the mean and covariance of that one's directions"),
            ("random", "control: random, every direction equally likely"),
        )
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
            "Decoder directions. Pairs: each direction once, by the Hungarian method. Directions "
            "crowd where the vectors vary, so the first control is the one to beat.",
        )
    ]


def probing(collected: Collected) -> list[Table]:
    """T5b: how few latents tell a tag of the item on top."""
    rows: list[list[Any]] = []
    tags = usable = 0
    for one in collected.evaluated:
        assert one.evaluation is not None
        measured = one.evaluation.metrics["probing"]
        usable = measured["usable"]
        if not measured["tags"]:
            continue
        tags, auroc = measured["tags"], measured["auroc"]
        rows.append([labelled(one), *(auroc["latents"][n] for n in _PROBED)])
        if one is collected.main:
            raw = [auroc["dimensions"][n] for n in _PROBED]
            rows.append(["control: coordinates of the vector itself", *raw])
            rows.append(["ceiling: the whole vector", *([auroc["full"]] * len(_PROBED))])
    title = "Sparse probing: AUROC of telling a tag of the top item"
    if not rows:
        return [
            Table(
                "T5b",
                title,
                (),
                [],
                f"No usable tags: it takes {MIN_TAGS} that {MIN_SHARE:.0%} to {MAX_SHARE:.0%} of "
                f"the cases have on top, and these data have {usable}. A tag of nearly all items "
                "is a placeholder.",
            )
        ]
    return [
        Table(
            "T5b",
            f"{title}, mean over {tags} tags",
            (
                Column("from"),
                *(Column(f"{n} feature{'s' if n != '1' else ''}", ".3f") for n in _PROBED),
            ),
            rows,
            "Features are chosen and a logistic regression is fitted on construct users; measured "
            "on test users. Chance is 0.5. Coordinates of the vector itself are signed; the "
            "dictionary of raw dimensions has their positive and negative halves as latents and "
            "keeps the k largest.",
        )
    ]


def labelled(one: Dictionary) -> str:
    """Its name, and what it is here for."""
    if one.is_control:
        return f"control: {one.name}"
    return f"{one.name} (main)" if one.has(Role.MAIN) else one.name
