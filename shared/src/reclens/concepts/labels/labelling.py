"""Labels latents and measures every label, range by range.

What every latent is compared with (evidence, vocabulary, false discovery control) is made once, as
a `LabellingContext`. On it any range of latents can be labelled by itself; the rows of all ranges
are joined to concepts by `reclens.concepts.labels.joining`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from reclens.concepts.evidence.cases import Cases
from reclens.concepts.evidence.item_text import describe_items, item_name
from reclens.concepts.evidence.keywords import KeywordLabel, KeywordSelector
from reclens.concepts.evidence.latent_evidence import Evidence, gather_evidence
from reclens.concepts.evidence.vocabulary import Vocabulary, build_vocabulary
from reclens.concepts.judging.confidence import HeldOutCases
from reclens.concepts.judging.judges import (
    Embed,
    ItemScorer,
    Judge,
    Statement,
    embedding_scorer,
    keyword_scorer,
)
from reclens.concepts.labels.llm_usage import Usage
from reclens.concepts.labels.rows import ONE_ITEM, with_judgements
from reclens.contracts import ConceptsOptions, JudgeName
from reclens.contracts.tables.concepts import Judgement, LatentLabel
from reclens.data.dataset import Items
from reclens.errors import InvalidInput

_SEPARATOR = " · "
_NO_QUOTES = str.maketrans("", "", "“”")


@dataclass(frozen=True, eq=False)
class LabellingContext:
    """What labelling any latent takes. Nothing in it is changed, so threads may share it."""

    construct: Cases
    """Cases of the users that labels are made from."""
    n_verify: int
    """Cases of the users that they are judged on."""
    items: Items
    """Items of the data set."""
    options: ConceptsOptions
    """How latents are labelled."""
    vocabulary: Vocabulary
    """Terms of the data set."""
    evidence: Evidence
    """Evidence of all latents."""
    keywords: KeywordSelector
    """Finds the keyword label of any latent."""
    held_out: HeldOutCases
    """What judges are asked about."""
    judges: tuple[Judge, ...]
    """Those of ``options.judges`` that read items, in that order."""

    @property
    def n_latents(self) -> int:
        """Latents of the dictionary."""
        return self.construct.n_latents

    def label_by_keywords(self, latents: Sequence[int]) -> Iterator[LabelledLatent]:
        """`Labeller` by the terms that set a latent's answers apart from all answers."""
        for latent in latents:
            named = self.named_by_keywords(latent, self.keywords.choose(latent))
            yield self.judged(named.row, named.statement) if named.statement else named

    def named_by_keywords(self, latent: int, label: KeywordLabel | None) -> LabelledLatent:
        """A latent with that keyword label, its concept and its worth left open.

        Args:
            latent: index of the latent.
            label: None where nothing can honestly be said.
        """
        evidence = self.evidence
        evidence_items = tuple(self.items.ids[item] for item in evidence.items[latent])
        if label is None:
            fires = evidence.n_cases[latent] > 0
            why = "No term stands out in what it fires for." if fires else "It does not fire."
            row = LatentLabel(latent, description=why, evidence_items=evidence_items)
            return LabelledLatent(row)
        if label.item is not None:
            name = item_name(self.items, label.item)
            text, keywords = f"{ONE_ITEM}{name}", (name,)
            description = (
                f"Fires when {name} is recommended first: {label.support:.0%} of its activation, "
                f"{label.lift:.1f} times the item's usual share of first places."
            )
        else:
            keywords = tuple(self.vocabulary.terms[term].text for term in label.terms)
            text, n_items = _SEPARATOR.join(keywords), len(evidence_items)
            description = (
                f"Fires when {' or '.join(keywords)} is recommended: "
                f"{round(label.support * n_items)} of its {n_items} strongest items carry it, "
                f"{label.lift:.1f} times the usual share of recommendations."
            )
        row = LatentLabel(
            latent,
            label=text,
            description=description,
            keywords=keywords,
            support=label.support,
            lift=label.lift,
            evidence_items=evidence_items,
        )
        # Quotes mark title words for people; to a judge of sentences they mean nothing.
        return LabelledLatent(row, Statement(" or ".join(keywords).translate(_NO_QUOTES), label))

    def judged(
        self, row: LatentLabel, statement: Statement, others: Sequence[Judgement] = ()
    ) -> LabelledLatent:
        """A row with the judgements of all judges that read items, and of ``others``."""
        judgements = list(others)
        thresholds: dict[JudgeName, float] = {}
        for judge in self.judges:
            threshold = judge.threshold(row.latent, statement)
            if threshold is None:
                continue
            found = judge.judge_latent(row.latent, statement, threshold)
            if found is not None:
                judgements.append(found)
                thresholds[judge.name] = threshold
        judgements.sort(key=lambda one: self.options.judges.index(one.judge))
        row = with_judgements(row, judgements, self.options.judges[0])
        return LabelledLatent(row, statement, thresholds)


@dataclass(frozen=True)
class LabelledLatent:
    """One latent, labelled and measured by itself: what joining all of them takes."""

    row: LatentLabel
    """Its row, its concept left open."""
    statement: Statement | None = None
    """What judges were told; None where there is no label."""
    thresholds: dict[JudgeName, float] = field(default_factory=dict)
    """By judge that reads items: score from which it says that the latent fires. A judge that
    could not measure the label is not in it."""
    usage: Usage = field(default_factory=Usage)
    """What a language model was asked for it."""


Labeller = Callable[[Sequence[int]], Iterator[LabelledLatent]]
"""Names latents: yields them in turn, each as soon as it is labelled and measured.

What it needs to know of all of them it was given when it was made. What is yielded for a latent
must not depend on which others are asked for."""


def prepare_labelling(
    construct: Cases,
    verify: Cases,
    items: Items,
    scale: np.ndarray,
    *,
    options: ConceptsOptions,
    embed: Embed | None = None,
) -> LabellingContext:
    """Make what labelling any latent takes.

    Args:
        construct: cases of the users that labels are made from.
        verify: cases of other users.
        items: of the data set.
        scale: float [n_latents], unit of each latent's activation (its 99th percentile), in which
            latents of one concept are compared.
        options: how to label.
        embed: sentence model, for the judge ``embedding``.

    Raises:
        InvalidInput: a user is in both divisions, or the judge ``embedding`` has no model.
    """
    both = np.intersect1d(construct.user_ids.astype(str), verify.user_ids.astype(str))
    if len(both):
        raise InvalidInput(
            f"user {both[0]!r} is among those that labels are made from and judged on.",
            field="autoencoder",
            remedy="capture again; a user belongs to one division.",
        )
    vocabulary = build_vocabulary(items, min_items=options.min_items)
    evidence = gather_evidence(construct, len(items), n_evidence=options.n_evidence)
    keywords = KeywordSelector(construct, evidence, vocabulary, options)
    held_out = HeldOutCases(construct, verify, evidence=evidence, scale=scale, seed=options.seed)
    scorers: dict[JudgeName, ItemScorer] = {}
    for name in options.judges:
        if name == "keywords":
            scorers[name] = keyword_scorer(vocabulary, keywords.statistics.inverse_frequency)
        elif name == "embedding":
            if embed is None:
                raise InvalidInput(
                    "the judge `embedding` was given no sentence model.",
                    field="judges",
                    remedy="give `embed`.",
                )
            scorers[name] = embedding_scorer(embed, describe_items(items))
    judges = (Judge(*one, held_out, n_judged=options.n_judged) for one in scorers.items())
    return LabellingContext(
        construct,
        len(verify),
        items,
        options,
        vocabulary,
        evidence,
        keywords,
        held_out,
        tuple(judges),
    )
