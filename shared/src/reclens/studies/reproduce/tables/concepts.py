"""Table T5: what labels are worth, and whether a latent stands for one thing."""

from __future__ import annotations

from typing import Any

from reclens.evaluation.label_truth import PURITIES
from reclens.evaluation.monosemanticity.intruder import CHANCE, N_MEMBERS
from reclens.evaluation.monosemanticity.similarity import N_ITEMS
from reclens.studies.reproduce.collecting import Collected, Dictionary
from reclens.studies.reproduce.comparing import INTERPRETABLE, interpretable, interpretable_share
from reclens.studies.reproduce.plan import Role
from reclens.studies.reproduce.tables.dictionary import held_out_cases, labelled
from reclens.studies.reproduce.tables.table import Column, Table
from reclens.studies.reproduce.verdicts import shown

_SIMILARITIES = ("intra", "intra_distinct", "random_case", "inter")
_BY_VECTORS = ("similarity", "the recommender's own vectors of items")
_BY_TEXT = ("similarity_text", "TF-IDF vectors of the items' titles and tags")


def concepts(collected: Collected) -> list[Table]:
    """T5."""
    return [
        _labels(collected),
        _similarities(collected, *_BY_VECTORS),
        *([_similarities(collected, *_BY_TEXT)] if _has_text(collected) else []),
        _intruders(collected),
        _by_tags(collected),
    ]


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


def _similarities(collected: Collected, measured: str, vectors: str) -> Table:
    def columns(group: str) -> list[Column]:
        names = ("intra", "intra, other user and item", "random case", "inter")
        return [
            Column(f"{group}: latents", ",d"),
            *(Column(f"{group}: {name}", ".3f") for name in names),
        ]

    by = " by what is written of the items" if measured == _BY_TEXT[0] else ""
    return Table(
        "T5",
        f"Are the cases of one latent alike{by}?",
        (Column("dictionary"), *columns("fire"), *columns(f"P ≥ {INTERPRETABLE}")),
        [_similarity_row(one, measured) for one in collected.evaluated],
        f"Cosines between {vectors}, on test users. Intra: the items on top of a latent's two "
        "strongest cases; then the same with the second case of another user and with another "
        "item. Random case: its control, with the second case drawn from all cases of other users "
        "with another item. Inter: mean over pairs of different latents' strongest items. First "
        "over all latents that fire, then over those with a high P.",
    )


def _similarity_row(one: Dictionary, measured: str) -> list[Any]:
    row: list[Any] = [labelled(one)]
    for group in ("firing", "interpretable"):
        found = _found(one, measured, group)
        row += [found["latents"], *(found[name] for name in _SIMILARITIES)]
    return row


def _intruders(collected: Collected) -> Table:
    """Coherence and intruder test, by item vectors and by text."""

    def columns(by: str) -> list[Column]:
        return [
            Column(f"{by}: coherence", ".3f"),
            Column(f"{by}: as popular items at random", ".3f"),
            Column(f"{by}: intruder told"),
            Column(f"{by}: as popular an intruder told"),
        ]

    text = _has_text(collected)
    return Table(
        "T5",
        "Do a latent's cases hold together, and can one that does not fire it be told among them?",
        (
            Column("dictionary"),
            Column("latents tested", ",d"),
            *columns("vectors"),
            *(columns("text") if text else []),
        ),
        [_intruder_row(one, text) for one in collected.evaluated],
        "All latents that fire for test users. Coherence: mean cosine over pairs of the up to "
        f"{N_ITEMS} strongest distinct items of a latent, of different users, weighted by the "
        "product of activations; beside it random items in their place, each as popular. Intruder "
        f"test: {N_MEMBERS} strongest cases of different items and users and one silent case; how "
        "often the item least like the others is the silent one, with 95 % interval over latents "
        f"with enough cases. Guessing reaches {CHANCE:.3f}. The intruder is drawn from all silent "
        "cases of other users, or as popular as one of the firing ones.",
    )


def _intruder_row(one: Dictionary, text: bool) -> list[Any]:
    row: list[Any] = [
        labelled(one),
        _found(one, _BY_VECTORS[0], "firing")["intruder_latents"],
    ]
    for measured in (_BY_VECTORS[0], *([_BY_TEXT[0]] if text else [])):
        found = _found(one, measured, "firing")
        row += [
            found["coherence"],
            found["coherence_random"],
            *(shown(found[name], ".3f") for name in ("intruder", "intruder_hard")),
        ]
    return row


def _by_tags(collected: Collected) -> Table:
    """Labels against tags."""
    assert collected.main.evaluation is not None
    independent = collected.main.evaluation.metrics["label_truth"]["independent"]
    truth = (
        "people whose tags no label is made of: labels that fit by chance do not hold"
        if independent
        else "the very tags that keyword labels are made of, so this is no independent truth: the "
        "users are others, the items and their tags are the same"
    )
    purities = [f"purity@{n}" for n in PURITIES]
    return Table(
        "T5",
        "Do the labels hold against tags?"
        if not independent
        else "Do the labels hold against the tags of other people?",
        (
            Column("dictionary"),
            Column("labels by tags", ",d"),
            Column("partly", ",d"),
            Column("without", ",d"),
            Column("point-biserial, median"),
            Column("of another's label", ".3f"),
            Column("above it, mean"),
            *(
                column
                for name in purities
                for column in (
                    Column(f"{name}: labels", ",d"),
                    Column(f"{name}, median", ".2f"),
                    Column(f"{name} of another's label", ".2f"),
                )
            ),
        ),
        [_by_tags_row(one) for one in collected.evaluated],
        "All labels whose latent fires for test users and whose keywords all have a tag, which are "
        "judged by tag, time and popularity; left out are those of which some keywords (partly) or "
        "all (without) have none. Point-biserial: "
        "correlation of a latent's activation with whether the item on top carries the label, over "
        "all cases. Purity@n: share of the n strongest distinct items that carry it, over latents "
        "with as many. Control: the label of another latent. With 95 % intervals over latents. The "
        f"tags are of {truth}.",
    )


def _by_tags_row(one: Dictionary) -> list[Any]:
    assert one.evaluation is not None
    found = one.evaluation.metrics["label_truth"]["labelled"]
    correlation = found["point_biserial"]
    row: list[Any] = [
        labelled(one),
        found["latents"],
        found["partly"],
        found["without_tag"],
        shown(correlation["median"], ".3f"),
        correlation["shuffled"],
        shown(correlation["above_shuffled"]),
    ]
    for n in PURITIES:
        purity = found[f"purity_{n}"]
        row += [purity["latents"], purity["median"][0], purity["shuffled"]]
    return row


def _has_text(collected: Collected) -> bool:
    assert collected.main.evaluation is not None
    return collected.main.evaluation.metrics[_BY_TEXT[0]] is not None


def _found(one: Dictionary, measured: str, group: str) -> dict[str, Any]:
    assert one.evaluation is not None
    return one.evaluation.metrics[measured][group]
