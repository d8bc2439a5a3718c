"""What a stranger must know before the figures: what was run, on what, and what the words mean."""

from __future__ import annotations

from reclens.concepts.judging.confidence import MIN_POSITIVE
from reclens.concepts.labels.rows import TRUSTED_CONFIDENCE
from reclens.evaluation.levels import MIN_FIRING
from reclens.studies.reproduce.experiment.comparison import INTERPRETABLE
from reclens.studies.reproduce.experiment.results import Collected
from reclens.studies.reproduce.report.tables_dictionary import held_out_cases

ORIGIN_WORDS = {
    "history": "computed from a part of a user's history",
    "learned": "learned by the model for a user that it was trained on",
    "folded": "folded in from a part of a user's history, as for a user that the model does not "
    "know",
}


def paragraphs(collected: Collected) -> list[str]:
    """First words of a report."""
    main = collected.main
    epochs = sorted(
        {
            one.autoencoder.spec["config"].get("n_epochs", 0)
            for one in collected.dictionaries
            if not one.is_control
        }
    )
    said = [
        f"The recommender {collected.model_name}, trained on {collected.dataset_name}, makes one "
        "vector of a user and ranks all items by it. A sparse autoencoder, here called a "
        "dictionary, takes that vector apart into latents, few of them active at once. The main "
        f"dictionary is {main.kind} with {main.health['n_latents']:,} latents, {main.health['k']} "
        f"active at once. Every dictionary was trained for {' or '.join(map(str, epochs))} epochs; "
        "the controls were not: random weights, the vector's own dimensions, its principal "
        "components. Every figure stands beside its control. Figures of dictionaries are of users "
        "that they were not trained on.",
        _cases(collected),
    ]
    if collected.missing:
        named = "; ".join(f"{name} ({why})" for name, why in collected.missing.items())
        said.append(f"Not made, and so missing below: {named}.")
    return said


def _cases(collected: Collected) -> str:
    trained = collected.activations.metrics["train_cases"]
    origins = collected.origins
    if len(origins) == 1:
        (origin,) = origins
        words = f"each vector is {ORIGIN_WORDS[origin]}"
    else:
        words = "; ".join(
            f"a {origin} vector is {ORIGIN_WORDS[origin]} ({counts['users']:,} users)"
            for origin, counts in origins.items()
        )
    return (
        f"A case is one vector with the recommender's answer to it. Dictionaries were trained on "
        f"{trained:,} cases and measured on {held_out_cases(collected)} of other users: {words}. "
        "These other users are divided once more: labels are made from construct users and judged "
        "on verify users; test users are kept from both."
    )


def terms(collected: Collected) -> list[tuple[str, str]]:
    """Words of the tables and what they mean."""
    main = collected.main
    assert main.concepts is not None
    assert main.evaluation is not None
    metrics = main.concepts.metrics
    levels = main.evaluation.metrics["levels"]["labelled"]
    return [
        (
            "HR@k, NDCG@k",
            "hit rate and normalised discounted cumulative gain of the first k items: whether a "
            "test item is among them, and how far up. Every item that the user has not met is "
            "ranked.",
        ),
        (
            "overlap@10, Kendall, Spearman with base",
            "share of the first 10 items that are the untouched recommender's too; Kendall's τ and "
            "Spearman's rank correlation of the two rankings of all items. 1 is the same.",
        ),
        (
            "reconstruction",
            "the vector that the dictionary makes of its active latents, put in the place of the "
            "recommender's own.",
        ),
        ("FVU", "fraction of the variance of the vectors that the reconstruction leaves out."),
        ("L0", "active latents of a case on average."),
        ("dead, always on", "latents that fire for no held-out case, and for more than half."),
        (
            "alive",
            f"latents that fire in any of the {metrics['construct_cases']:,} cases of construct "
            "users that labels are made from (no more are sampled).",
        ),
        (
            "labelled, distinct",
            "latents that a keyword, or one item, was found for that stands out in what they fire "
            "for; distinct counts each label once.",
        ),
        (
            "one item",
            "labels that are one item, which is on top in most of the latent's activation.",
        ),
        (
            "judged",
            f"labelled latents that fire in at least {MIN_POSITIVE} of the "
            f"{metrics['verify_cases']:,} cases of verify users. The judge is told the label alone "
            "and says for each case whether the latent fires; it looks for the label's keywords in "
            "the recommender's answer.",
        ),
        (
            "P",
            "share of right answers of that judge on 5 of the 10 strongest cases and 5 silent "
            f"ones (the published protocol); a latent with P ≥ {INTERPRETABLE} is called "
            "interpretable.",
        ),
        (
            "AUROC",
            "chance that a firing case scores above a silent one by the label, over all cases of "
            "verify users; 0.5 is guessing.",
        ),
        (
            "confidence, trusted",
            "balanced accuracy of the judge over firing cases of all strengths and as many silent "
            f"ones, half of them look-alikes; trusted labels have at least {TRUSTED_CONFIDENCE} "
            "and are better than guessing even if the shares of right answers on firing and on "
            "silent cases are both at the lower end of their 95 % intervals.",
        ),
        (
            "level (F5)",
            "tenths of a latent's firing test cases by activation, 10 the strongest. Only latents "
            f"that fire in at least {MIN_FIRING} test cases are levelled, so that every level "
            f"averages the same ones; of the labelled, {levels['too_rare']:,} of "
            f"{levels['too_rare'] + levels['latents']:,} fire too rarely.",
        ),
        (
            "untrained",
            "an autoencoder of the main dictionary's shape with random weights.",
        ),
        (
            "raw dimensions, PCA",
            "dictionaries of two latents a dimension: the positive and the negative half of each "
            "coordinate of the vector, or of each principal component; the k largest are kept.",
        ),
        (
            "prediction-aware",
            "trained with a second term: that the recommender's scores stay the same, with the "
            "weight that is named.",
        ),
        (
            "interval",
            "95 % interval by resampling users (T3), latents (F5, AUROC, P of two dictionaries), "
            "or by Wilson's formula (shares). A verdict is undecided where it reaches over the "
            "threshold.",
        ),
    ]
