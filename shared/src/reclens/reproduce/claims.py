"""Published claims held against what was measured. Verdicts are computed, never written by hand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from reclens.reproduce.collecting import Collected, Dictionary
from reclens.reproduce.dictionary_tables import INTERPRETABLE, interpretable

_PAPER = "arXiv 2411.06112"
_CODE = "public code of arXiv 2411.06112"

PUBLISHED_BASE: dict[tuple[str, str], dict[str, float]] = {
    ("grocery", "sasrec"): {"hr@10": 0.0678, "ndcg@10": 0.0367},
    ("ml-1m", "sasrec"): {"hr@10": 0.1611, "ndcg@10": 0.0882},
}
"""Test figures of the base model, full ranking."""
PUBLISHED_ALIVE = 1000 / 1024
"""Share of latents that fire, in a published run."""
PUBLISHED_INTERPRETABLE = 398 / 2026
"""Share of latents with P of at least 0.8, in a published run."""
PUBLISHED_ONE_ITEM = 141 / 1024
"""Share of latents with one title in four of five cases, in a published run."""
KEPT_LOSS = 0.05
"""Relative loss of NDCG@10 up to which ranking quality counts as kept."""
RISING = 0.9
"""Least rank correlation of hit ratio and level that counts as rising."""


class Verdict(StrEnum):
    """What our run says."""

    HOLDS = "holds"
    FAILS = "does not hold"


@dataclass(frozen=True)
class Claim:
    """One claim and what became of it."""

    claim: str
    """What is claimed, with the rule by which it is judged."""
    source: str
    """Where."""
    measured: str
    """Our figures."""
    control: str
    """The same figures of the controls."""
    verdict: Verdict
    """Whether it holds in this run."""

    def as_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)


def check_claims(collected: Collected) -> list[Claim]:
    """All claims that this data set and model can be held against."""
    return [
        *_base(collected),
        _kept(collected),
        _proves(collected),
        _alive(collected.main),
        _interpretable(collected),
        *_better_than_controls(collected),
        _monosemantic(collected.main),
        *_rises(collected.main),
        _one_item(collected.main),
    ]


def _verdict(holds: bool) -> Verdict:
    return Verdict.HOLDS if holds else Verdict.FAILS


def _base(collected: Collected) -> Iterator[Claim]:
    published = PUBLISHED_BASE.get((collected.dataset_name, collected.model_name))
    if published is None:
        return
    test = collected.recommender.metrics["test"]
    yield Claim(
        f"The base model reaches HR@10 {published['hr@10']:.4f} and NDCG@10 "
        f"{published['ndcg@10']:.4f} on test (full ranking). Judged: both at least as high.",
        _CODE,
        f"HR@10 {test['hr@10']:.4f}, NDCG@10 {test['ndcg@10']:.4f}.",
        "Most popular first: see T2.",
        _verdict(all(test[name] >= value for name, value in published.items())),
    )


def _kept(collected: Collected) -> Claim:
    variants = collected.main.fidelity()["variants"]
    base, kept = variants["base"]["ndcg@10"], variants["reconstruction"]["ndcg@10"]
    overlap = {name: means["overlap@10"] for name, means in variants.items()}
    closest = max(overlap["random_sae"], overlap["mean"])
    return Claim(
        "The reconstruction keeps the recommender's behaviour. Judged: it loses at most "
        f"{KEPT_LOSS:.0%} of NDCG@10 and shares more of the top 10 with the base than the controls "
        "do.",
        _PAPER,
        f"NDCG@10 {base:.4f} to {kept:.4f} ({_change(kept, base)}), overlap@10 "
        f"{overlap['reconstruction']:.2f}.",
        f"Untrained autoencoder: NDCG@10 {variants['random_sae']['ndcg@10']:.4f}, overlap@10 "
        f"{overlap['random_sae']:.2f}. Mean vector: {variants['mean']['ndcg@10']:.4f}, "
        f"{overlap['mean']:.2f}.",
        _verdict(kept >= (1 - KEPT_LOSS) * base and overlap["reconstruction"] > closest),
    )


def _proves(collected: Collected) -> Claim:
    variants = collected.main.fidelity()["variants"]
    base, control = variants["base"]["ndcg@10"], variants["random_sae"]["ndcg@10"]
    return Claim(
        "Ranking quality kept by the reconstruction shows that the dictionary has learned the "
        "representation. Judged: an untrained autoencoder loses more than "
        f"{KEPT_LOSS:.0%} of NDCG@10.",
        _PAPER,
        f"Untrained: NDCG@10 {control:.4f} ({_change(control, base)}).",
        f"Base: {base:.4f}. Mean vector: {variants['mean']['ndcg@10']:.4f}.",
        _verdict(control < (1 - KEPT_LOSS) * base),
    )


def _alive(main: Dictionary) -> Claim:
    assert main.concepts is not None
    alive, n_latents = main.concepts.metrics["alive"], main.health["n_latents"]
    return Claim(
        "About 1,000 of 1,024 latents are alive. Judged: at least "
        f"{PUBLISHED_ALIVE:.1%} fire for the users that labels are made from.",
        _CODE,
        f"{alive:,} of {n_latents:,} ({alive / n_latents:.1%}); "
        f"{main.health['dead_fraction']:.1%} fire for no held-out case.",
        "The published count takes zeros that TopK picked as firing; ours does not.",
        _verdict(alive / n_latents >= PUBLISHED_ALIVE),
    )


def _share(one: Dictionary) -> float:
    assert one.concepts is not None
    alive = one.concepts.metrics["alive"]
    return interpretable(one) / alive if alive else 0.0


def _interpretable(collected: Collected) -> Claim:
    main = collected.main
    assert main.concepts is not None
    return Claim(
        f"A fifth of the latents is interpretable: 398 of 2,026 with P ≥ {INTERPRETABLE}. Judged: "
        f"at least {PUBLISHED_INTERPRETABLE:.1%} of those alive. (Published with an LLM as writer "
        "and judge; here keywords and their matcher.)",
        _CODE,
        f"{interpretable(main):,} of {main.concepts.metrics['alive']:,} ({_share(main):.1%}).",
        _shares_of_controls(collected),
        _verdict(_share(main) >= PUBLISHED_INTERPRETABLE),
    )


def _better_than_controls(collected: Collected) -> Iterator[Claim]:
    main = collected.main
    assert main.concepts is not None
    controls = [one for one in collected.evaluated if one.is_control and one.concepts]
    if not controls:
        return
    medians = {one.name: one.concepts.metrics["auroc_median"] for one in controls if one.concepts}
    own = main.concepts.metrics["auroc_median"]
    shuffled = main.concepts.metrics["shuffled_auroc_median"]
    yield Claim(
        "Latents are easier to name than raw dimensions, principal components and the latents of "
        "an untrained autoencoder. Judged: higher share with "
        f"P ≥ {INTERPRETABLE} and higher median AUROC than each of them.",
        _PAPER,
        f"P ≥ {INTERPRETABLE}: {_share(main):.1%} of those alive; AUROC median {_median(own)}.",
        f"{_shares_of_controls(collected)} AUROC medians: "
        + ", ".join(f"{name} {_median(value)}" for name, value in medians.items())
        + f"; own labels shuffled among latents {_median(shuffled)}.",
        _verdict(
            all(_share(main) > _share(one) for one in controls)
            and all((own or 0) > (value or 0) for value in [*medians.values(), shuffled])
        ),
    )


def _median(value: float | None) -> str:
    return "none (no label to judge)" if value is None else f"{value:.3f}"


def _shares_of_controls(collected: Collected) -> str:
    shares = [f"{one.name} {_share(one):.1%}" for one in collected.evaluated if one.is_control]
    return f"{', '.join(shares) or 'none were made'}."


def _monosemantic(main: Dictionary) -> Claim:
    assert main.evaluation is not None
    found = main.evaluation.metrics["similarity"]["interpretable"]
    intra, distinct, inter = found["intra"], found["intra_distinct"], found["inter"]
    pairs = found["random_case"]
    known = None not in (intra, distinct, inter, pairs)
    return Claim(
        "Cases of one latent are alike, different latents are not. Judged: intra-latent similarity "
        "above inter-latent similarity, also when the second case is of another user and has "
        "another item.",
        _PAPER,
        f"Over {found['latents']:,} latents: intra {_number(intra)}, with another user and item "
        f"{_number(distinct)}, inter {_number(inter)}.",
        f"Random pairs of the same items: {_number(pairs)}.",
        _verdict(known and intra > inter and distinct > inter and distinct > pairs),
    )


def _rises(main: Dictionary) -> Iterator[Claim]:
    assert main.evaluation is not None
    levels = main.evaluation.metrics["levels"]["interpretable"]
    ratios = [row[0] for row in levels["hit_ratio"][1:]]
    if not levels["latents"] or None in ratios:
        return
    ranks = np.argsort(np.argsort(ratios))
    rising = float(np.corrcoef(np.arange(len(ratios)), ranks)[0, 1])
    other = levels["exchanged"][-1][0]
    yield Claim(
        "The more a latent fires, the more often its concept is in the recommended item. Judged: "
        f"rank correlation of level and hit ratio of at least {RISING}, and the highest level "
        "above both the average of all cases and the same with exchanged labels.",
        _PAPER,
        f"Hit ratio {ratios[0]:.2f} at level 1 to {ratios[-1]:.2f} at level 10 (rank correlation "
        f"{rising:.2f}) over {levels['latents']:,} latents; average {levels['average']:.2f}.",
        f"Labels exchanged among latents, level 10: {other:.2f}.",
        _verdict(rising >= RISING and ratios[-1] > levels["average"] and ratios[-1] > other),
    )


def _one_item(main: Dictionary) -> Claim:
    assert main.concepts is not None
    metrics = main.concepts.metrics
    share = metrics["single_item"] / metrics["alive"] if metrics["alive"] else 0.0
    return Claim(
        "Many concepts are one popular item: 141 of 1,024 latents have the same title in four of "
        f"five cases. Judged: at least {PUBLISHED_ONE_ITEM:.1%} of our latents that fire are "
        "labelled by one item.",
        _CODE,
        f"{metrics['single_item']:,} of {metrics['alive']:,} ({share:.1%}).",
        "Evidence takes each item once, so popularity alone does not make a label.",
        _verdict(share >= PUBLISHED_ONE_ITEM),
    )


def _change(after: float, before: float) -> str:
    return f"{after / before - 1:+.1%}" if before else "base is 0"


def _number(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.3f}"
