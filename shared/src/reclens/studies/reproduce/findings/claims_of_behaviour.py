"""Claims on the recommender and on what the reconstruction keeps of it."""

from __future__ import annotations

from collections.abc import Iterator

from reclens.evaluation.statistics import Interval
from reclens.studies.reproduce.collecting import Collected, Dictionary
from reclens.studies.reproduce.comparing import RECONSTRUCTION, paired
from reclens.studies.reproduce.plan import Role
from reclens.studies.reproduce.verdicts import (
    CODE,
    PAPER,
    Claim,
    Verdict,
    above,
    all_of,
    below,
    change,
    plain,
    shown,
)

PUBLISHED_BASE: dict[tuple[str, str], dict[str, float]] = {
    ("grocery", "sasrec"): {"hr@10": 0.0678, "ndcg@10": 0.0367},
    ("ml-1m", "sasrec"): {"hr@10": 0.1611, "ndcg@10": 0.0882},
}
"""Test figures of the base model, full ranking."""
PUBLISHED_INTERACTIONS: dict[str, int] = {"grocery": 151_254}
"""Interactions of the data that they are of, with the publisher's own dev and test sets; data sets
that are not here were published without saying how they were filtered."""
KEPT_LOSS = 0.05
"""Relative loss of NDCG@10 up to which ranking quality counts as kept."""


def base(collected: Collected) -> Iterator[Claim]:
    """The base model is as good as published; judged on the same data only."""
    published = PUBLISHED_BASE.get((collected.dataset_name, collected.model_name))
    if published is None:
        return
    test = collected.recommender.metrics["test"]
    theirs = PUBLISHED_INTERACTIONS.get(collected.dataset_name)
    ours = collected.dataset.metrics["interactions"]
    same = theirs == ours
    of_theirs = "data of a size that is not stated" if theirs is None else f"{theirs:,}"
    yield Claim(
        f"The base model reaches HR@10 {published['hr@10']:.4f} and NDCG@10 "
        f"{published['ndcg@10']:.4f} on test (full ranking). Judged: both at least as high, on "
        "as many interactions.",
        CODE,
        f"HR@10 {test['hr@10']:.4f}, NDCG@10 {test['ndcg@10']:.4f} on {ours:,} interactions, "
        f"divided as T1 says; published: {of_theirs} interactions, divided by its publisher.",
        "Most popular first: see T2.",
        plain(all(test[name] >= value for name, value in published.items()))
        if same
        else Verdict.NOT_COMPARABLE,
    )


def kept(collected: Collected) -> Claim:
    """The reconstruction keeps the behaviour, and more of it than any control."""
    main = collected.main
    verdicts: list[Verdict] = []
    measured: list[str] = []
    controls: list[str] = []
    for origin, groups in main.fidelity_by_origin.items():
        group = groups["held_out"]
        own, untouched = group["variants"][RECONSTRUCTION], group["variants"]["base"]
        lost = group["difference"][RECONSTRUCTION]["ndcg@10"]
        found = [not_lost(lost, untouched["ndcg@10"])]
        beside = []
        for name, overlap, more in _rivals(collected, origin):
            found.append(above(more))
            beside.append(f"{name} {overlap:.3f}, main less it {shown(more)}")
        verdicts.append(all_of(*found))
        prefix = _prefix(collected, origin)
        measured.append(
            f"{prefix}NDCG@10 {untouched['ndcg@10']:.4f} to {own['ndcg@10']:.4f} "
            f"({change(own['ndcg@10'], untouched['ndcg@10'])}; difference {shown(lost, '+.4f')}), "
            f"overlap@10 {own['overlap@10']:.3f}."
        )
        controls.append(f"{prefix}overlap@10 of {'; '.join(beside)}.")
    return Claim(
        "The reconstruction keeps the recommender's behaviour. Judged: it loses at most "
        f"{KEPT_LOSS:.0%} of NDCG@10 and shares more of the top 10 with the base than every "
        "control does: untrained autoencoder, mean vector, raw dimensions, PCA."
        + _worst(collected),
        PAPER,
        " ".join(measured),
        " ".join(controls),
        all_of(*verdicts),
    )


def proves(collected: Collected) -> Claim:
    """What has learned nothing does not keep the ranking quality."""
    verdicts: list[Verdict] = []
    measured: list[str] = []
    bases: list[str] = []
    for origin, groups in collected.main.fidelity_by_origin.items():
        variants = groups["held_out"]["variants"]
        untouched = variants["base"]["ndcg@10"]
        rivals = {
            "untrained autoencoder": (
                variants["random_sae"]["ndcg@10"],
                groups["held_out"]["difference"]["random_sae"]["ndcg@10"],
            )
        }
        for one in collected.controls:
            if one.has(Role.DIMENSIONS):
                theirs = one.fidelity_by_origin[origin]["held_out"]
                rivals["raw dimensions"] = (
                    theirs["variants"][RECONSTRUCTION]["ndcg@10"],
                    theirs["difference"][RECONSTRUCTION]["ndcg@10"],
                )
        verdicts += [below(lost, -KEPT_LOSS * untouched) for _, lost in rivals.values()]
        prefix = _prefix(collected, origin)
        figures = [
            f"{name} NDCG@10 {ndcg:.4f} ({change(ndcg, untouched)}; difference "
            f"{shown(lost, '+.4f')})"
            for name, (ndcg, lost) in rivals.items()
        ]
        measured.append(f"{prefix}{'; '.join(figures)}.")
        bases.append(
            f"{prefix}base {untouched:.4f}, mean vector {variants['mean']['ndcg@10']:.4f}."
        )
    return Claim(
        "Ranking quality kept by the reconstruction shows that the dictionary has learned the "
        "representation. Judged: dictionaries that have learned nothing (untrained autoencoder, "
        f"raw dimensions) lose more than {KEPT_LOSS:.0%} of NDCG@10." + _worst(collected),
        PAPER,
        " ".join(measured),
        " ".join(bases),
        all_of(*verdicts),
    )


def not_lost(difference: list[float | None], untouched: float) -> Verdict:
    """Whether at most `KEPT_LOSS` of NDCG@10 is lost."""
    return above(difference, -KEPT_LOSS * untouched)


def _rivals(collected: Collected, origin: str) -> Iterator[tuple[str, float, Interval | None]]:
    """Every control: name, overlap@10, and what the main dictionary has above it."""
    main = collected.main
    variants = main.fidelity_by_origin[origin]["held_out"]["variants"]
    for variant, name in (("random_sae", "untrained autoencoder"), ("mean", "mean vector")):
        more = paired(main, main, "overlap@10", origin, other_variant=variant)
        yield name, variants[variant]["overlap@10"], more
    others: list[Dictionary] = [
        one
        for one in collected.controls
        if not one.has(Role.UNTRAINED) and origin in one.fidelity_by_origin
    ]
    for one in others:
        means = one.fidelity_by_origin[origin]["held_out"]["variants"][RECONSTRUCTION]
        yield one.name, means["overlap@10"], paired(main, one, "overlap@10", origin)


def _prefix(collected: Collected, origin: str) -> str:
    return f"{origin} vectors: " if len(collected.main.fidelity_by_origin) > 1 else ""


def _worst(collected: Collected) -> str:
    several = len(collected.main.fidelity_by_origin) > 1
    return " The worst of the origins counts." if several else ""
