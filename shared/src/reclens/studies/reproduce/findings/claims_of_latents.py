"""Claims on latents: alive, interpretable, alike within, rising, one item."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from reclens.concepts.evidence.classification_metrics import wilson_interval
from reclens.studies.reproduce.collecting import Collected, Dictionary
from reclens.studies.reproduce.comparing import (
    INTERPRETABLE,
    auroc_difference,
    interpretable,
    interpretable_share,
    share_difference,
)
from reclens.studies.reproduce.verdicts import (
    CODE,
    PAPER,
    Claim,
    Verdict,
    above,
    all_of,
    number,
    plain,
    shown,
)

PUBLISHED_ALIVE = 1000 / 1024
"""Share of latents that fire, in a published run."""
PUBLISHED_INTERPRETABLE = 398 / 2026
"""Share of latents with P of at least 0.8, in a published run."""
PUBLISHED_ONE_ITEM = 141 / 1024
"""Share of latents with one title in four of five cases, in a published run."""
RISING = 0.9
"""Least rank correlation of hit ratio and level that counts as rising."""


def alive(main: Dictionary) -> Claim:
    """Most latents fire."""
    assert main.concepts is not None
    metrics = main.concepts.metrics
    count, n_latents = metrics["alive"], main.health["n_latents"]
    return Claim(
        "About 1,000 of 1,024 latents are alive. Judged: at least "
        f"{PUBLISHED_ALIVE:.1%} fire for the users that labels are made from.",
        CODE,
        f"{_of(count, n_latents)} in {metrics['construct_cases']:,} cases; "
        f"{main.health['dead_fraction']:.1%} fire for no held-out case.",
        "The published count takes zeros that TopK picked as firing; ours does not.",
        _share_verdict(count, n_latents, PUBLISHED_ALIVE),
    )


def interpretable_fifth(collected: Collected) -> Claim:
    """A fifth of the latents has a high P."""
    main = collected.main
    assert main.concepts is not None
    metrics = main.concepts.metrics
    count, alive_ = interpretable(main), metrics["alive"]
    return Claim(
        f"A fifth of the latents is interpretable: 398 of 2,026 with P ≥ {INTERPRETABLE}. Judged: "
        f"at least {PUBLISHED_INTERPRETABLE:.1%} of those alive. (Published with an LLM as writer "
        "and judge; here keywords and their matcher.)",
        CODE,
        f"{_of(count, alive_)} of those alive; {number(metrics['paper_p_share_08'], '.1%')} of the "
        f"{metrics['judged']:,} judged.",
        f"Of those alive: {_shares_of_controls(collected)} Of the judged, labels shuffled among "
        f"latents: {number(metrics['shuffled_paper_p_share_08'], '.1%')}; a judge that guesses: "
        "5.5%.",
        _share_verdict(count, alive_, PUBLISHED_INTERPRETABLE),
    )


def better_than_controls(collected: Collected) -> Iterator[Claim]:
    """Latents are easier to name than what has learned nothing."""
    main = collected.main
    assert main.concepts is not None
    controls = [one for one in collected.controls if one.concepts]
    if not controls:
        return
    own = main.concepts.metrics["auroc_median"]
    shuffled = main.concepts.metrics["shuffled_auroc_median"]
    verdicts = [plain((own or 0) > (shuffled or 0))]
    figures = []
    for one in controls:
        assert one.concepts is not None
        share = share_difference(main, one)
        auroc = auroc_difference(main, one)
        # A control that no label fits has none to be named by: nothing is easier than that.
        nameless = one.concepts.metrics["auroc_median"] is None
        verdicts += [above(share), plain(True) if nameless else above(auroc)]
        figures.append(
            f"{one.name} {number(interpretable_share(one), '.1%')}, AUROC "
            + (
                "none (no label to judge)"
                if nameless
                else f"{number(one.concepts.metrics['auroc_median'])}, main less it {shown(auroc)}"
            )
        )
    yield Claim(
        "Latents are easier to name than raw dimensions, principal components and the latents of "
        "an untrained autoencoder. Judged: higher share with "
        f"P ≥ {INTERPRETABLE} of those alive and higher median AUROC than each of them.",
        PAPER,
        f"P ≥ {INTERPRETABLE}: {number(interpretable_share(main), '.1%')} of those alive; AUROC "
        f"median {number(own)}.",
        f"{'; '.join(figures)}; own labels shuffled among latents {number(shuffled)}.",
        all_of(*verdicts),
    )


def monosemantic(collected: Collected) -> Claim:
    """Cases of one latent are alike."""
    main = collected.main
    firing, chosen = _similarity(main, "firing"), _similarity(main, "interpretable")
    distinct, inter = firing["intra_distinct"], firing["inter"]
    others = [
        f"{one.name} {shown(_similarity(one, 'firing')['above_random'])}"
        for one in collected.controls
    ]
    return Claim(
        "Cases of one latent are alike, different latents are not. Judged, over all latents that "
        "fire for test users: the item of the strongest case and that of the strongest case of "
        "another user with another item are closer than to the item of a random case of another "
        "user with another item, and closer than the strongest items of different latents.",
        PAPER,
        f"Over {firing['latents']:,} latents: {number(distinct)}, different latents "
        f"{number(inter)}; over {chosen['latents']:,} with P ≥ {INTERPRETABLE}: "
        f"{number(chosen['intra_distinct'])}, {number(chosen['inter'])}. Two strongest cases of "
        f"any user: {number(firing['intra'])}.",
        f"Random case: {number(firing['random_case'])}, above it {shown(firing['above_random'])}. "
        f"Above their own random cases: {'; '.join(others) or 'no control was made'}.",
        all_of(
            above(firing["above_random"]),
            Verdict.UNDECIDED if None in (distinct, inter) else plain(distinct > inter),
        ),
    )


def rises(main: Dictionary) -> Iterator[Claim]:
    """The concept is met more often the more the latent fires."""
    assert main.evaluation is not None
    levels = main.evaluation.metrics["levels"]["interpretable"]
    ratios = [row[0] for row in levels["hit_ratio"][1:]]
    if not levels["latents"] or None in ratios:
        return
    yield Claim(
        "The more a latent fires, the more often its concept is in the recommended item. Judged: "
        f"rank correlation of level and mean hit ratio of at least {RISING}, and the highest level "
        "above the lowest, above the average of all cases and above the same with labels exchanged "
        "among latents.",
        PAPER,
        f"Hit ratio {ratios[0]:.2f} at level 1 to {ratios[-1]:.2f} at level 10 (difference "
        f"{shown(levels['rise'], '+.2f')}), rank correlation "
        f"{shown(levels['rank_correlation'], '.2f')}, over {levels['latents']:,} latents; "
        f"{levels['too_rare']:,} more fire too rarely to be levelled.",
        f"Level 10 is above the average of all cases by {shown(levels['above_average'], '+.2f')}, "
        f"above exchanged labels by {shown(levels['above_exchanged'], '+.2f')}.",
        all_of(
            above(levels["rank_correlation"], RISING - 1e-9),
            *(above(levels[name]) for name in ("rise", "above_average", "above_exchanged")),
        ),
    )


def one_item(main: Dictionary) -> Claim:
    """Many labels are one popular item."""
    assert main.concepts is not None
    metrics = main.concepts.metrics
    return Claim(
        "Many concepts are one popular item: 141 of 1,024 latents have the same title in four of "
        f"five cases. Judged: at least {PUBLISHED_ONE_ITEM:.1%} of our latents that fire are "
        "labelled by one item.",
        CODE,
        f"{_of(metrics['single_item'], metrics['alive'])}.",
        "Evidence takes each item once, so popularity alone does not make a label.",
        _share_verdict(metrics["single_item"], metrics["alive"], PUBLISHED_ONE_ITEM),
    )


def _similarity(one: Dictionary, group: str) -> dict[str, Any]:
    assert one.evaluation is not None
    return one.evaluation.metrics["similarity"][group]


def _share_verdict(count: int, whole: int, published: float) -> Verdict:
    """Whether a share is at least the published one, by its Wilson interval: another training
    would draw other latents."""
    low, high = wilson_interval(count, whole)
    # "At least": a share of exactly the threshold holds.
    return above((count / whole if whole else math.nan, low, high), published - 1e-9)


def _of(count: int, whole: int) -> str:
    low, high = wilson_interval(count, whole)
    share = f"{count / whole:.1%}" if whole else "n/a"
    return f"{count:,} of {whole:,} ({share}, 95 % interval {low:.1%} to {high:.1%})"


def _shares_of_controls(collected: Collected) -> str:
    shares = [f"{one.name} {number(interpretable_share(one), '.1%')}" for one in collected.controls]
    return f"{', '.join(shares) or 'no control was made'}."
