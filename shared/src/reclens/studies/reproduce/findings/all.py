"""What a run shows, in sentences made by rule from its figures: good news and bad alike."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

from reclens.evaluation.statistics import Interval
from reclens.studies.reproduce.collecting import Collected, Dictionary
from reclens.studies.reproduce.comparing import (
    INTERPRETABLE,
    RECONSTRUCTION,
    auroc_difference,
    interpretable_share,
    paired,
    share_difference,
)
from reclens.studies.reproduce.findings.latents import (
    alike,
    called,
    labels_hold,
    listed,
    odd_one_out,
)
from reclens.studies.reproduce.plan import Role
from reclens.studies.reproduce.verdicts import Verdict, above, number, shown

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

_MOVED = {Verdict.HOLDS: "raises", Verdict.FAILS: "lowers"}
_NEITHER = "neither clearly easier nor clearly harder"


def what_it_shows(collected: Collected) -> list[str]:
    """Sentences, most important first."""
    return [
        *_linear(collected),
        *_names(collected),
        *_few_names(collected),
        *alike(collected),
        *odd_one_out(collected),
        *labels_hold(collected),
        *_stability(collected),
        *_probing(collected),
        *_prediction(collected),
        *_size(collected),
        *_dead(collected),
    ]


def _linear(collected: Collected) -> Iterator[str]:
    """PCA, and the raw dimensions, with as many active at once."""
    main = collected.main
    for role, name in ((Role.PCA, "PCA"), (Role.DIMENSIONS, "The raw dimensions")):
        for one in collected.controls:
            if one.has(role):
                yield _linear_sentence(main, one, name)


def _linear_sentence(main: Dictionary, one: Dictionary, name: str) -> str:
    own, theirs = main.health, one.health
    same = abs(theirs["l0"] / own["l0"] - 1) <= SAME_L0
    sparse = (
        f"at the same L0 ({theirs['l0']:.1f})"
        if same
        else (f"at L0 {theirs['l0']:.1f} (the main dictionary: {own['l0']:.1f})")
    )
    singular = name == "PCA"
    verb = ("explains", "keeps", "is") if singular else ("explain", "keep", "are")
    fvu = _by_ratio(own["fvu"], theirs["fvu"])
    parts = [
        f"{name} {sparse} {verb[0]} {fvu} of the variance (FVU {theirs['fvu']:.4f} against "
        f"{own['fvu']:.4f})"
    ]
    for origin in main.fidelity_by_origin:
        if origin not in one.fidelity_by_origin:
            continue
        of = "" if len(main.fidelity_by_origin) == 1 else f" of {origin} vectors"
        overlap = paired(one, main, "overlap@10", origin)
        ndcg = paired(one, main, "ndcg@10", origin)
        parts.append(
            f"{verb[1]} {_by_interval(overlap)} of the base's top 10{of} (overlap@10 "
            f"{_mean(one, origin, 'overlap@10'):.3f} against "
            f"{_mean(main, origin, 'overlap@10'):.3f}, difference {shown(overlap)}) and "
            f"{_by_interval(ndcg)} of NDCG@10 ({shown(ndcg, '+.4f')})"
        )
    named = _named(one, main, verb[2])
    return f"{'; '.join(parts)}; {named}."


def _named(one: Dictionary, main: Dictionary, verb: str) -> str:
    share = share_difference(one, main)
    words = {Verdict.HOLDS: "named better", Verdict.FAILS: "named worse"}.get(
        above(share), "named neither better nor worse"
    )
    return (
        f"{verb} {words} (P ≥ {INTERPRETABLE} for {number(interpretable_share(one), '.1%')} of "
        f"what fires, against {number(interpretable_share(main), '.1%')}; difference "
        f"{shown(share, '+.1%')})"
    )


def _names(collected: Collected) -> Iterator[str]:
    """Labels against every control."""
    main = collected.main
    controls = [one for one in collected.controls if one.concepts and main.concepts]
    if not controls:
        return
    groups: dict[str, list[str]] = {"easier": [], "harder": [], _NEITHER: []}
    for one in controls:
        verdicts = {above(share_difference(main, one))}
        assert one.concepts is not None
        if one.concepts.metrics["auroc_median"] is not None:
            verdicts.add(above(auroc_difference(main, one)))
        if verdicts == {Verdict.HOLDS}:
            groups["easier"].append(called(one))
        elif verdicts == {Verdict.FAILS}:
            groups["harder"].append(called(one))
        else:
            groups[_NEITHER].append(called(one))
    told = [f"{words} to name than {listed(names)}" for words, names in groups.items() if names]
    yield (
        f"The main dictionary's latents are {'; '.join(told)}. Measured by the share with P ≥ "
        f"{INTERPRETABLE} and by the median AUROC of the labels (T5); where the two do not agree "
        "beyond their intervals, neither is said."
    )


def _few_names(collected: Collected) -> Iterator[str]:
    main = collected.main
    assert main.concepts is not None
    assert main.evaluation is not None
    found = main.evaluation.metrics["described"]
    metrics = main.concepts.metrics
    said = max(found["titled"], found["tagged"]) / max(found["items"], 1)
    if said >= 0.5 or metrics["labelled"] >= 0.5 * metrics["alive"]:
        return
    yield (
        f"Few latents are labelled ({metrics['labelled']:,} of {metrics['alive']:,} that fire), "
        f"because the data say next to nothing of the items: of {found['items']:,}, "
        f"{found['titled']:,} have a title and {found['tagged']:,} a tag besides one that nearly "
        "all items carry. What is left to name a latent by is one item on top of most of its "
        f"cases: {metrics['single_item']:,} of the labels."
    )


def _stability(collected: Collected) -> Iterator[str]:
    assert collected.main.evaluation is not None
    measured = collected.main.evaluation.metrics.get("stability")
    if measured is None:
        return
    own, alike = measured["retrained"], measured["alike"]
    again, chance = own["matched_share"][FOUND_AGAIN], alike["matched_share"][FOUND_AGAIN]
    if again <= chance:
        stable = "finds no more of its directions again than chance would"
    elif again >= STABLE_SHARE:
        stable = "finds most of its directions again"
    elif again >= SOME_SHARE:
        stable = "finds some of its directions again"
    else:
        stable = "finds next to none of its directions again"
    yield (
        f"A training with another seed {stable}: {again:.1%} have a partner with a cosine above "
        f"{FOUND_AGAIN}, random directions with the same mean and covariance give {chance:.1%}; "
        f"the mean cosine to the nearest is {own['mean_max_cosine']:.3f}, by chance "
        f"{alike['mean_max_cosine']:.3f}."
    )


def _probing(collected: Collected) -> Iterator[str]:
    assert collected.main.evaluation is not None
    measured = collected.main.evaluation.metrics["probing"]
    if not measured["tags"]:
        return
    auroc = measured["auroc"]
    counts = [
        n for n in auroc["latents"] if None not in (auroc["latents"][n], auroc["dimensions"][n])
    ]
    more = [n for n in counts if auroc["latents"][n] > auroc["dimensions"][n]]
    words = "more" if len(more) == len(counts) else "less" if not more else "sometimes more"
    pairs = ", ".join(
        f"{auroc['latents'][n]:.3f} against {auroc['dimensions'][n]:.3f} from {n}" for n in counts
    )
    yield (
        f"Single latents tell {words} of the tag of the item on top than as many coordinates of "
        f"the representation itself (AUROC {pairs}; from the whole representation "
        f"{number(auroc['full'])}; mean over {measured['tags']} tags)."
    )


def _prediction(collected: Collected) -> Iterator[str]:
    """The term's effect, each dictionary beside the same without it."""
    for one in collected.evaluated:
        if not one.has(Role.PREDICTION):
            continue
        without = _without_term(collected, one)
        if without is None:
            continue
        weight = one.autoencoder.spec["config"]["prediction_coefficient"]
        k = one.autoencoder.spec["config"]["k"]
        origin = one.origin
        changed = {
            shown_name: paired(one, without, measure, origin)
            for measure, shown_name in (
                ("ndcg@10", "NDCG@10"),
                ("overlap@10", "overlap@10"),
                ("kendall", "Kendall's τ"),
            )
        }
        moved = [
            f"{word} {name} ({shown(change, '+.4f')})"
            for name, change in changed.items()
            if (word := _MOVED.get(above(change)))
        ]
        still = [
            f"{name} ({shown(change, '+.4f')})"
            for name, change in changed.items()
            if above(change) not in _MOVED
        ]
        told = [*moved, *([f"no change beyond the interval in {listed(still)}"] if still else [])]
        of = f", {origin} vectors" if len(one.fidelity_by_origin) > 1 else ""
        yield (
            f"The prediction-aware term (k {k}, weight {weight:g}{of}): {'; '.join(told)}; FVU "
            f"{without.health['fvu']:.4f} without it, {one.health['fvu']:.4f} with it."
        )


def _without_term(collected: Collected, one: Dictionary) -> Dictionary | None:
    config = one.autoencoder.spec["config"]
    for other in collected.evaluated:
        theirs = other.autoencoder.spec["config"]
        same = all(theirs.get(key) == config.get(key) for key in ("kind", "k", "n_latents"))
        if same and not theirs.get("prediction_coefficient") and not other.is_control:
            return other
    return None


def _size(collected: Collected) -> Iterator[str]:
    """Whether more latents explain more, at one k."""
    sizes = sorted(
        (one.health["n_latents"], one.health["fvu"], one.health["dead_fraction"])
        for one in collected.dictionaries
        if one.has(Role.GRID_SIZE)
    )
    if len(sizes) < 2:
        return
    worse = [
        f"{large:,} latents leave more unexplained than {small:,}"
        for (small, before, _), (large, after, _) in itertools.pairwise(sizes)
        if after > before
    ]
    figures = ", ".join(
        f"{n:,} latents FVU {fvu:.4f} with {dead:.1%} dead" for n, fvu, dead in sizes
    )
    yield (
        f"A larger dictionary is not always better: {'; '.join(worse)} ({figures})."
        if worse
        else f"A larger dictionary explains more: {figures}."
    )


def _dead(collected: Collected) -> Iterator[str]:
    grid = [one for one in collected.dictionaries if one.has(Role.GRID_K)]
    dead = [(one.health["k"], one.health["dead_fraction"]) for one in grid]
    many = [f"{share:.1%} at k {k}" for k, share in sorted(dead) if share > MANY_DEAD]
    if not dead:
        return
    n_latents = grid[0].health["n_latents"]
    yield (
        f"Of {n_latents:,} latents many never fire for held-out users where few may fire at once: "
        f"{', '.join(many)}."
        if many
        else f"At no k are more than {MANY_DEAD:.0%} of {n_latents:,} latents dead."
    )


def _mean(one: Dictionary, origin: str, measure: str) -> float:
    return one.fidelity_by_origin[origin]["held_out"]["variants"][RECONSTRUCTION][measure]


def _by_ratio(own: float, theirs: float) -> str:
    if math.isclose(own, theirs, rel_tol=SAME_FVU):
        return "as much"
    return "more" if theirs < own else "less"


def _by_interval(interval: Interval | None) -> str:
    found: dict[Any, str] = {Verdict.HOLDS: "more", Verdict.FAILS: "less"}
    return found.get(above(interval), "about as much")
