"""What a run shows, by rule from its figures. The sentences stand in ``templates/findings.j2``."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

from reclens.studies.reproduce.experiment.comparison import (
    Verdict,
    above,
    auroc_difference,
    share_difference,
)
from reclens.studies.reproduce.experiment.plan import Role
from reclens.studies.reproduce.experiment.results import Dictionary, StudyResults
from reclens.studies.reproduce.report import prose

SAME_L0 = 0.05
"""Relative difference of L0 up to which two dictionaries count as equally sparse."""
SAME_FVU = 0.02
"""Relative difference of FVU up to which two dictionaries explain as much; FVU has no interval."""
STABLE_SHARE = 0.5
"""Share of directions that another training must find again for a dictionary to be stable."""
FOUND_AGAIN = "0.7"
"""Cosine from which a direction counts as found again."""
SOME_SHARE = 0.1
"""Share of directions found again from which it is worth saying that some are."""
MANY_DEAD = 0.1
"""Share of dead latents that is worth a sentence."""
DESCRIBED_SHARE = 0.5
"""Share of the items with a title, or with a tag, from which the data describe them."""
LABELLED_SHARE = 0.5
"""Share of the latents that fire from which on labels are not few."""


def what_it_shows(results: StudyResults) -> list[str]:
    """Sentences, most important first."""
    constants = {"FOUND_AGAIN": FOUND_AGAIN, "MANY_DEAD": MANY_DEAD}
    return prose.paragraphs("findings.j2", results=results, main=results.main, **constants)


@prose.function
def is_as_sparse(one: Dictionary, main: Dictionary) -> bool:
    """Whether two dictionaries have the same L0."""
    return abs(one.health["l0"] / main.health["l0"] - 1) <= SAME_L0


@prose.function
def explains_more(one: Dictionary, main: Dictionary) -> Verdict:
    """Whether one leaves less of the variance unexplained."""
    own, theirs = main.health["fvu"], one.health["fvu"]
    if math.isclose(own, theirs, rel_tol=SAME_FVU):
        return Verdict.UNDECIDED
    return Verdict.HOLDS if theirs < own else Verdict.FAILS


@prose.function
def ease_of_naming(results: StudyResults) -> list[tuple[Verdict, list[Dictionary]]]:
    """Controls that the main dictionary is easier to name than, harder than, and neither."""
    main = results.main
    order = (Verdict.HOLDS, Verdict.FAILS, Verdict.UNDECIDED)
    groups: dict[Verdict, list[Dictionary]] = {verdict: [] for verdict in order}
    for one in results.controls:
        if not one.concepts:
            continue
        verdicts = {above(share_difference(main, one))}
        if one.labelling["auroc_median"] is not None:
            verdicts.add(above(auroc_difference(main, one)))
        groups[verdicts.pop() if len(verdicts) == 1 else Verdict.UNDECIDED].append(one)
    return [(verdict, found) for verdict, found in groups.items() if found]


@prose.function
def lacks_descriptions(main: Dictionary) -> bool:
    """Whether there are few labels because the data say next to nothing of the items."""
    described, metrics = main.measured["described"], main.labelling
    share = max(described["titled"], described["tagged"]) / max(described["items"], 1)
    return share < DESCRIBED_SHARE and metrics["labelled"] < LABELLED_SHARE * metrics["alive"]


@prose.function
def measured_interval(one: Dictionary, name: str) -> list[float] | None:
    """An interval of what was measured of a dictionary, by its dotted name; None: unknown."""
    found: Any = one.measured
    for key in name.split("."):
        found = found and found[key]
    return None if found is None or None in found else found


@prose.function
def found_again(stability: dict[str, Any]) -> str:
    """How many directions another seed finds: ``most``, ``some``, ``few``, or as by ``chance``."""
    again, by_chance = (
        stability[name]["matched_share"][FOUND_AGAIN] for name in ("retrained", "alike")
    )
    if again <= by_chance:
        return "chance"
    return "most" if again >= STABLE_SHARE else "some" if again >= SOME_SHARE else "few"


@prose.function
def probed_pairs(main: Dictionary) -> list[dict[str, Any]]:
    """AUROC of ``n`` latents and of as many coordinates of the vector, where both are known."""
    auroc = main.measured["probing"]["auroc"]
    pairs = [
        {"n": n, "latents": latents, "dimensions": auroc["dimensions"][n]}
        for n, latents in auroc["latents"].items()
    ]
    return [
        {**pair, "is_better": pair["latents"] > pair["dimensions"]}
        for pair in pairs
        if None not in pair.values()
    ]


@prose.function
def prediction_aware_pairs(results: StudyResults) -> Iterator[tuple[Dictionary, Dictionary]]:
    """Each dictionary trained with the prediction-aware term, beside the same without it."""
    for one in results.evaluated:
        if not one.has(Role.PREDICTION):
            continue
        for other in results.evaluated:
            same = all(
                other.config.get(key) == one.config.get(key) for key in ("kind", "k", "n_latents")
            )
            if same and not other.config.get("prediction_coefficient") and not other.is_control:
                yield one, other
                break


@prose.function
def by_size(results: StudyResults) -> list[dict[str, Any]]:
    """Health of the grid over the size, smallest first; nothing where there is only one."""
    found = [one.health for one in results.dictionaries if one.has(Role.GRID_SIZE)]
    return sorted(found, key=lambda one: one["n_latents"]) if len(found) > 1 else []


@prose.function
def worse_than_smaller(sizes: list[dict[str, Any]]) -> list[dict[str, int]]:
    """Numbers of latents that leave more unexplained than the next smaller one."""
    return [
        {"before": small["n_latents"], "after": large["n_latents"]}
        for small, large in itertools.pairwise(sizes)
        if large["fvu"] > small["fvu"]
    ]


@prose.function
def grid_over_k(results: StudyResults) -> list[dict[str, Any]]:
    """Health of the grid over k."""
    found = [one.health for one in results.dictionaries if one.has(Role.GRID_K)]
    return sorted(found, key=lambda one: (one["k"], one["dead_fraction"]))
