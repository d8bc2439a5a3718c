"""What a run shows of single latents: whether their cases are alike and their labels hold."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from reclens.evaluation.monosemanticity.intruder import CHANCE
from reclens.studies.reproduce.experiment.plan import Role
from reclens.studies.reproduce.experiment.results import Collected, Dictionary
from reclens.studies.reproduce.report.verdicts import Verdict, above, number, shown

_CONTROL_NAMES = {
    Role.UNTRAINED: "the latents of an untrained autoencoder",
    Role.DIMENSIONS: "raw dimensions",
    Role.PCA: "principal components",
}


def alike(collected: Collected) -> Iterator[str]:
    """Whether a latent's cases are more alike than the controls'."""
    own = _above_random(collected.main)
    if own is None:
        return
    beside = [
        f"{called(one)} {_beside(own, theirs)} ({shown(theirs)})"
        for one in collected.controls
        if (theirs := _above_random(one)) is not None
    ]
    if beside:
        yield (
            "Items on top of a latent's strongest cases of two users are closer than those of "
            f"random cases by {shown(own)}; {listed(beside)}."
        )


def odd_one_out(collected: Collected) -> Iterator[str]:
    """Whether a machine tells the case that does not fire a latent, by vectors and by text."""
    for measured, by in (
        ("similarity", "the recommender's item vectors"),
        ("similarity_text", "text"),
    ):
        own = _intruder(collected.main, measured)
        if own is None:
            continue
        told = {Verdict.HOLDS: "is told", Verdict.FAILS: "is told less often than by guessing"}.get(
            above(own, CHANCE), "is not told better than by guessing"
        )
        beside = [
            f"{called(one)} {_beside(own, theirs)} ({shown(theirs, '.3f')})"
            for one in collected.controls
            if (theirs := _intruder(one, measured)) is not None
        ]
        yield (
            f"By {by}, a case that does not fire a latent {told} among the five strongest that do: "
            f"{shown(own, '.3f')}, {CHANCE:.3f} by guessing"
            f"{f'; {listed(beside)}' if beside else ''}."
        )


def labels_hold(collected: Collected) -> Iterator[str]:
    """Whether what is on top carries the labels, by tags, against another latent's label."""
    own = _by_tags(collected.main)
    if own is None:
        return
    held, interval = own
    told = {Verdict.HOLDS: "more than", Verdict.FAILS: "less than"}.get(
        above(interval), "as much as"
    )
    by = (
        "tags of people whose tags the labels are not made of"
        if held["independent"]
        else "the very tags that the labels are made of, on users that they were not made from"
    )
    found = held["labelled"]
    purity = found["purity_10"]
    beside = [
        f"{called(one)} {_beside(interval, theirs[1])} ({shown(theirs[1])})"
        for one in collected.controls
        if (theirs := _by_tags(one)) is not None
    ]
    yield (
        f"Held against {by}, a latent's activation goes with its label on top {told} with another "
        f"latent's (point-biserial correlation, {found['latents']:,} labels: median "
        f"{shown(found['point_biserial']['median'], '.3f')}; above the other label's "
        f"{shown(interval)}"
        f"{f'; {listed(beside)}' if beside else ''}); of the ten strongest items "
        f"{number(purity['median'][0], '.0%')} carry it, {number(purity['shuffled'], '.0%')} the "
        f"other (medians, {purity['latents']:,} labels)."
    )


def _by_tags(one: Dictionary) -> tuple[dict[str, Any], list[float]] | None:
    """What was measured, and the interval of what the own label is above another's."""
    assert one.evaluation is not None
    held = one.evaluation.metrics["label_truth"]
    interval = held["labelled"]["point_biserial"]["above_shuffled"]
    return None if None in interval else (held, interval)


def _intruder(one: Dictionary, measured: str) -> list[float] | None:
    assert one.evaluation is not None
    found = one.evaluation.metrics[measured]
    if found is None or None in found["firing"]["intruder"]:
        return None
    return found["firing"]["intruder"]


def _above_random(one: Dictionary) -> list[float] | None:
    assert one.evaluation is not None
    found = one.evaluation.metrics["similarity"]["firing"]["above_random"]
    return None if None in found else found


def _beside(own: list[float], theirs: list[float]) -> str:
    """Intervals of different latents that do not meet differ for sure."""
    if theirs[1] > own[2]:
        return "do better"
    return "do worse" if theirs[2] < own[1] else "do as well"


def called(one: Dictionary) -> str:
    """A control in words."""
    return next(name for role, name in _CONTROL_NAMES.items() if one.has(role))


def listed(names: list[str]) -> str:
    """Names in a sentence."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
