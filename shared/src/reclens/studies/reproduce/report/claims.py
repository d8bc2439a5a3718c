"""Published claims held against what was measured. Verdicts are computed, never written by hand.

What each claim says stands in ``templates/claims.j2``.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from reclens.concepts.evidence.classification_metrics import wilson_interval
from reclens.studies.reproduce.experiment.comparison import (
    RECONSTRUCTION,
    Verdict,
    above,
    all_of,
    auroc_difference,
    below,
    interpretable,
    paired,
    plain,
    share_difference,
)
from reclens.studies.reproduce.experiment.plan import Role
from reclens.studies.reproduce.experiment.results import StudyResults
from reclens.studies.reproduce.report import prose

PAPER = "arXiv 2411.06112"
CODE = "public code of arXiv 2411.06112"

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
PUBLISHED_ALIVE = 1000 / 1024
"""Share of latents that fire, in a published run."""
PUBLISHED_INTERPRETABLE = 398 / 2026
"""Share of latents with P of at least 0.8, in a published run."""
PUBLISHED_ONE_ITEM = 141 / 1024
"""Share of latents with one title in four of five cases, in a published run."""
RISING = 0.9
"""Least rank correlation of hit ratio and level that counts as rising."""


@dataclass(frozen=True)
class Claim:
    """One claim and what became of it."""

    claim: str
    """What is claimed, with the rule by which it is judged."""
    source: str
    """Where it is claimed."""
    measured: str
    """Our figures."""
    control: str
    """The same figures of the controls."""
    verdict: Verdict
    """Whether it holds in this run."""


def check_claims(results: StudyResults) -> list[Claim]:
    """All claims that this data set and model can be held against."""
    return [
        *base(results),
        kept(results),
        proves(results),
        alive(results),
        interpretable_fifth(results),
        *easier_than_controls(results),
        monosemantic(results),
        *rises(results),
        one_item(results),
    ]


def summary(claims: list[Claim]) -> str:
    """How many claims hold, and how that was decided."""
    found = Counter(claim.verdict for claim in claims)
    counts = {verdict: found[verdict] for verdict in Verdict if found[verdict]}
    (text,) = prose.macro("claims.j2", "summary", claims=claims, counts=counts)
    return text


def _claim(name: str, source: str, verdict: Verdict, **values: Any) -> Claim:
    claim, measured, control = prose.macro("claims.j2", name, **values)
    return Claim(claim, source, measured, control, verdict)


# --- The recommender, and what the reconstruction keeps of it ------------------------------------


def base(results: StudyResults) -> Iterator[Claim]:
    """The base model is as good as published; judged on the same data only."""
    published = PUBLISHED_BASE.get((results.dataset_name, results.model_name))
    if published is None:
        return
    test = results.recommender.metrics["test"]
    theirs = PUBLISHED_INTERACTIONS.get(results.dataset_name)
    ours = results.dataset.metrics["interactions"]
    as_good = plain(all(test[name] >= value for name, value in published.items()))
    yield _claim(
        "base",
        CODE,
        as_good if theirs == ours else Verdict.NOT_COMPARABLE,
        published=published,
        theirs=theirs,
        ours=ours,
        test=test,
    )


def kept(results: StudyResults) -> Claim:
    """The reconstruction keeps the behaviour, and more of it than any control."""
    verdicts: list[Verdict] = []
    origins = []
    for origin, groups in results.main.fidelity_by_origin.items():
        variants = groups["held_out"]["variants"]
        lost = groups["held_out"]["difference"][RECONSTRUCTION]["ndcg@10"]
        untouched = variants["base"]["ndcg@10"]
        rivals = list(_rivals(results, origin))
        verdicts += [
            above(lost, -KEPT_LOSS * untouched),
            *(above(rival["more"]) for rival in rivals),
        ]
        one = {"origin": origin, "base": untouched, "own": variants[RECONSTRUCTION], "lost": lost}
        origins.append({**one, "rivals": rivals})
    return _claim_of_origins("kept", origins, verdicts)


def proves(results: StudyResults) -> Claim:
    """What has learned nothing does not keep the ranking quality."""
    verdicts: list[Verdict] = []
    origins = []
    for origin, groups in results.main.fidelity_by_origin.items():
        variants = groups["held_out"]["variants"]
        untouched = variants["base"]["ndcg@10"]
        measured = {"untrained autoencoder": (groups["held_out"], "random_sae")}
        for one in results.controls:
            if one.has(Role.DIMENSIONS):
                theirs = one.fidelity_by_origin[origin]["held_out"]
                measured["raw dimensions"] = (theirs, RECONSTRUCTION)
        rivals = [
            {
                "name": name,
                "ndcg": found["variants"][variant]["ndcg@10"],
                "lost": found["difference"][variant]["ndcg@10"],
            }
            for name, (found, variant) in measured.items()
        ]
        verdicts += [below(rival["lost"], -KEPT_LOSS * untouched) for rival in rivals]
        mean = variants["mean"]["ndcg@10"]
        origins.append({"origin": origin, "base": untouched, "mean": mean, "rivals": rivals})
    return _claim_of_origins("proves", origins, verdicts)


def _claim_of_origins(name: str, origins: list[dict[str, Any]], verdicts: list[Verdict]) -> Claim:
    """A claim that must hold for vectors of every origin."""
    several = len(origins) > 1
    verdict = all_of(*verdicts)
    return _claim(name, PAPER, verdict, loss=KEPT_LOSS, origins=origins, several=several)


def _rivals(results: StudyResults, origin: str) -> Iterator[dict[str, Any]]:
    """Every control: name, overlap@10, and what the main dictionary has above it."""
    main = results.main
    variants = main.fidelity_by_origin[origin]["held_out"]["variants"]
    for variant, name in (("random_sae", "untrained autoencoder"), ("mean", "mean vector")):
        more = paired(main, main, "overlap@10", origin, other_variant=variant)
        yield {"name": name, "overlap": variants[variant]["overlap@10"], "more": more}
    for one in results.controls:
        if not one.has(Role.UNTRAINED) and origin in one.fidelity_by_origin:
            means = one.fidelity_by_origin[origin]["held_out"]["variants"][RECONSTRUCTION]
            more = paired(main, one, "overlap@10", origin)
            yield {"name": one.name, "overlap": means["overlap@10"], "more": more}


# --- Latents: alive, interpretable, alike within, rising, one item --------------------------------


def alive(results: StudyResults) -> Claim:
    """Most latents fire."""
    main = results.main
    verdict, share = _share(main.labelling["alive"], main.health["n_latents"], PUBLISHED_ALIVE)
    return _claim("alive", CODE, verdict, published=PUBLISHED_ALIVE, share=share, main=main)


def interpretable_fifth(results: StudyResults) -> Claim:
    """A fifth of the latents has a high P."""
    main = results.main
    verdict, share = _share(interpretable(main), main.labelling["alive"], PUBLISHED_INTERPRETABLE)
    return _claim(
        "interpretable_fifth",
        CODE,
        verdict,
        published=PUBLISHED_INTERPRETABLE,
        share=share,
        main=main,
        controls=results.controls,
    )


def easier_than_controls(results: StudyResults) -> Iterator[Claim]:
    """Latents are easier to name than what has learned nothing."""
    main = results.main
    controls = [one for one in results.controls if one.concepts]
    if not controls:
        return
    own, shuffled = (main.labelling[name] for name in ("auroc_median", "shuffled_auroc_median"))
    verdicts = [plain((own or 0) > (shuffled or 0))]
    for one in controls:
        verdicts.append(above(share_difference(main, one)))
        # A control that no label fits has none to be named by: nothing is easier than that.
        if one.labelling["auroc_median"] is not None:
            verdicts.append(above(auroc_difference(main, one)))
    yield _claim("easier_than_controls", PAPER, all_of(*verdicts), main=main, controls=controls)


def monosemantic(results: StudyResults) -> Claim:
    """Cases of one latent are alike."""
    similarity = results.main.measured["similarity"]
    firing, chosen = similarity["firing"], similarity["interpretable"]
    distinct, inter = firing["intra_distinct"], firing["inter"]
    unknown = None in (distinct, inter)
    return _claim(
        "monosemantic",
        PAPER,
        all_of(
            above(firing["above_random"]),
            Verdict.UNDECIDED if unknown else plain(distinct > inter),
        ),
        firing=firing,
        chosen=chosen,
        controls=results.controls,
    )


def rises(results: StudyResults) -> Iterator[Claim]:
    """The concept is met more often the more the latent fires."""
    levels = results.main.measured["levels"]["interpretable"]
    ratios = [row[0] for row in levels["hit_ratio"][1:]]
    if not levels["latents"] or None in ratios:
        return
    verdict = all_of(
        above(levels["rank_correlation"], RISING - 1e-9),
        *(above(levels[name]) for name in ("rise", "above_average", "above_exchanged")),
    )
    yield _claim("rises", PAPER, verdict, rising=RISING, levels=levels, ratios=ratios)


def one_item(results: StudyResults) -> Claim:
    """Many labels are one popular item."""
    metrics = results.main.labelling
    verdict, share = _share(metrics["single_item"], metrics["alive"], PUBLISHED_ONE_ITEM)
    return _claim("one_item", CODE, verdict, published=PUBLISHED_ONE_ITEM, share=share)


def _share(count: int, whole: int, published: float) -> tuple[Verdict, dict[str, Any]]:
    """Whether a share is at least the published one, by its Wilson interval: another training
    would draw other latents. And the share with that interval."""
    low, high = wilson_interval(count, whole)
    value = count / whole if whole else None
    # "At least": a share of exactly the threshold holds.
    verdict = above((math.nan if value is None else value, low, high), published - 1e-9)
    return verdict, {"count": count, "whole": whole, "value": value, "low": low, "high": high}
