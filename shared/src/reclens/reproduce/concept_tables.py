"""Table T5: what labels are worth, and whether cases of a latent are alike."""

from __future__ import annotations

from typing import Any

from reclens.reproduce.collecting import Collected, Dictionary
from reclens.reproduce.comparing import INTERPRETABLE, interpretable, interpretable_share
from reclens.reproduce.dictionary_tables import held_out_cases, labelled
from reclens.reproduce.plan import Role
from reclens.reproduce.table import Column, Table

_SIMILARITIES = ("intra", "intra_distinct", "random_case", "inter")


def concepts(collected: Collected) -> list[Table]:
    """T5."""
    return [_labels(collected), _similarities(collected)]


def _labels(collected: Collected) -> Table:
    return Table(
        "T5",
        "Concepts against raw dimensions, PCA and an untrained autoencoder",
        (
            Column("dictionary"),
            Column("latents", ",d"),
            Column("alive", ",d"),
            Column("labelled", ",d"),
            Column("one item", ",d"),
            Column("distinct labels", ",d"),
            Column("judged", ",d"),
            Column("trusted", ",d"),
            Column(f"P ≥ {INTERPRETABLE}", ",d"),
            Column(f"P ≥ {INTERPRETABLE}, of alive", ".1%"),
            Column(f"P ≥ {INTERPRETABLE}, of judged", ".1%"),
            Column(f"P ≥ {INTERPRETABLE}, of judged, labels shuffled", ".1%"),
            Column("AUROC, median", ".3f"),
            Column("AUROC, labels shuffled", ".3f"),
            Column("AUROC ≥ 0.8, of judged", ".1%"),
        ),
        [_label_row(one) for one in collected.evaluated],
        "All dictionaries are labelled and judged by the same code on the same users. P is that of "
        "the published protocol with the keyword matcher as judge: of 5 firing and 5 silent cases, "
        f"so a judge that guesses reaches {INTERPRETABLE} for 5.5 % of the latents. Shuffled: the "
        f"same cases judged by another latent's label.{_mixed(collected)}{_footing(collected)}",
    )


def _mixed(collected: Collected) -> str:
    """Which vectors the cases are of, where there are several kinds."""
    if len(collected.origins) == 1:
        return ""
    return (
        f" Cases of all origins together: {held_out_cases(collected)} in construct, verify, test."
    )


def _footing(collected: Collected) -> str:
    """The controls that have far fewer latents, and what follows."""
    main = collected.main.health
    narrow = [
        one
        for one in collected.controls
        if (one.has(Role.DIMENSIONS) or one.has(Role.PCA))
        and one.health["n_latents"] < main["n_latents"]
    ]
    if not narrow:
        return ""
    shapes = " and ".join(
        f"{one.name} {one.health['n_latents']:,} latents, of which each fires in "
        f"{one.health['l0'] / one.health['n_latents']:.1%} of the cases on average"
        for one in narrow
    )
    return (
        " The controls do not all stand on an equal footing: raw dimensions and PCA have two "
        f"latents a dimension (its positive and its negative half): {shapes}; the main dictionary "
        f"has {main['n_latents']:,} that fire in {main['l0'] / main['n_latents']:.1%}. Counts of "
        "latents cannot be compared between them."
    )


def _label_row(one: Dictionary) -> list[Any]:
    assert one.concepts is not None
    metrics = one.concepts.metrics
    return [
        labelled(one),
        one.health["n_latents"],
        *(metrics[name] for name in ("alive", "labelled", "single_item", "distinct", "judged")),
        metrics["trusted"],
        interpretable(one),
        interpretable_share(one),
        metrics["paper_p_share_08"],
        metrics["shuffled_paper_p_share_08"],
        metrics["auroc_median"],
        metrics["shuffled_auroc_median"],
        metrics["auroc_share_08"],
    ]


def _similarities(collected: Collected) -> Table:
    def columns(group: str) -> list[Column]:
        names = ("intra", "intra, other user and item", "random case", "inter")
        return [
            Column(f"{group}: latents", ",d"),
            *(Column(f"{group}: {name}", ".3f") for name in names),
        ]

    return Table(
        "T5",
        "Are the cases of one latent alike?",
        (Column("dictionary"), *columns("fire"), *columns(f"P ≥ {INTERPRETABLE}")),
        [_similarity_row(one) for one in collected.evaluated],
        "Cosines between the recommender's own vectors of items, on test users. Intra: the items "
        "on top of a latent's two strongest cases; then the same with the second case of another "
        "user and with another item. Random case: its control, with the second case drawn from all "
        "cases of other users with another item. Inter: mean over pairs of different latents' "
        "strongest items. First over all latents that fire, then over those with a high P.",
    )


def _similarity_row(one: Dictionary) -> list[Any]:
    assert one.evaluation is not None
    row: list[Any] = [labelled(one)]
    for group in ("firing", "interpretable"):
        measured = one.evaluation.metrics["similarity"][group]
        row += [measured["latents"], *(measured[name] for name in _SIMILARITIES)]
    return row
