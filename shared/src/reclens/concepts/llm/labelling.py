"""Labels and judgements by a language model, latent by latent, several at once.

Either may come from it alone: it may name what keywords judge, or judge what keywords name.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from reclens.concepts.confidence import MIN_POSITIVE, Confidence, paper_cases
from reclens.concepts.grouping import LatentLabel
from reclens.concepts.held_out import VERIFY
from reclens.concepts.item_text import describe_items
from reclens.concepts.judging import PAPER, SHUFFLE
from reclens.concepts.keywords import KeywordLabel, described_label
from reclens.concepts.labelling import LabelledLatent, Workbench
from reclens.concepts.llm.account import Usage
from reclens.concepts.llm.asking import ask_judge, ask_label
from reclens.concepts.llm.chat import AnswerCache, LlmClient
from reclens.concepts.llm.questions import (
    LABEL_PROMPT,
    MAX_KEYWORDS,
    EvidenceItem,
    JudgeQuestion,
    LabelQuestion,
)
from reclens.concepts.measures import Confusion, auroc, ranks
from reclens.concepts.readers import Statement
from reclens.concepts.rows import judgement_of, keyword_statement, with_control
from reclens.concepts.terms import popularity_standing

FIRES_FROM = 6
"""Grade from which the model is taken to say that the latent fires (arXiv 2411.06112, code)."""

_ITEMS_A_CASE = 5
# A control label is looked for among the next few latents in a random order.
_N_CONTROLS = 4
# Stream of random numbers of the cases that a model is asked about.
_LLM_JUDGED = 4


@dataclass(frozen=True)
class _Work:
    """What is known of a latent before the model is asked."""

    latent: int
    label: KeywordLabel | None
    control: tuple[LatentLabel, KeywordLabel] | None


class LlmLabeller:
    """`Labeller` that asks a language model for labels, for judgements, or for both.

    A latent that the model abstains from, or answers invalidly twice, keeps its keyword label, and
    ``source`` says so.

    Args:
        workbench: what labelling takes.
        client: the model.
        cache: answers of earlier runs; a new one is kept before it is used.
        concurrency: latents worked on at once.
    """

    def __init__(
        self,
        workbench: Workbench,
        client: LlmClient,
        *,
        cache: AnswerCache | None = None,
        concurrency: int = 1,
    ) -> None:
        self._bench = workbench
        self._options = workbench.options.llm
        self._client = client
        self._cache = cache
        self._concurrency = concurrency
        self._standing = popularity_standing(workbench.items.popularity)
        self._item_texts = describe_items(workbench.items)
        self._columns = {term.text: i for i, term in enumerate(workbench.vocabulary.terms)}

    def label(self, latents: Sequence[int]) -> Iterator[LabelledLatent]:
        """Yield these latents in turn.

        Raises:
            LlmUnavailable, LlmRefused: from the client; what was answered so far is in the cache.
        """
        pool = ThreadPoolExecutor(self._concurrency, thread_name_prefix="llm")
        try:
            yield from pool.map(self._labelled, self._work(latents))
        finally:
            # Requests in flight are waited for: they are paid for, and their answers kept.
            pool.shutdown(wait=True, cancel_futures=True)

    def _work(self, latents: Sequence[int]) -> list[_Work]:
        """Keyword labels of these latents, and of those that lend theirs as a control."""
        bench = self._bench
        if "llm" not in bench.options.judges:
            labels = bench.keyword_labels(latents)
            return [_Work(one, label, None) for one, label in zip(latents, labels, strict=True)]
        order = bench.held_out.rng([SHUFFLE, _LLM_JUDGED]).permutation(bench.n_latents)
        place = np.argsort(order)
        next_ones = {
            one: np.roll(order, -int(place[one]) - 1)[:_N_CONTROLS].tolist() for one in latents
        }
        wanted = sorted({*latents, *(other for group in next_ones.values() for other in group)})
        labels = dict(zip(wanted, bench.keyword_labels(wanted), strict=True))
        return [
            _Work(one, labels[one], self._control(labels[one], next_ones[one], labels))
            for one in latents
        ]

    def _control(
        self,
        own: KeywordLabel | None,
        others: Sequence[int],
        labels: dict[int, KeywordLabel | None],
    ) -> tuple[LatentLabel, KeywordLabel] | None:
        for other in others:
            label = labels[other]
            same = own is not None and label is not None and _means(own) == _means(label)
            if label is not None and not same:
                return self._bench.keyword_row(other, label), label
        return None

    def _labelled(self, work: _Work) -> LabelledLatent:
        row = self._bench.keyword_row(work.latent, work.label)
        statement = None if work.label is None else keyword_statement(row, work.label)
        usage = Usage()
        if self._bench.options.source == "llm" and self._is_told(work.latent):
            row, statement, usage = self._named(work, row, statement)
        if statement is None:
            return LabelledLatent(row, usage=usage)
        others = []
        if "llm" in self._bench.options.judges:
            found, spent = self._judge(work.latent, row)
            usage += spent
            if found is not None:
                judgement = judgement_of("llm", found)
                if work.control is not None:
                    control, spent = self._judge(work.latent, work.control[0])
                    usage += spent
                    judgement = judgement if control is None else with_control(judgement, control)
                others.append(judgement)
        return replace(self._bench.judged(row, statement, others), usage=usage)

    def _is_told(self, latent: int) -> bool:
        return (
            self._bench.evidence.is_enough(latent) and len(self._bench.evidence.items[latent]) > 0
        )

    # --- names -----------------------------------------------------------------------------------

    def _named(
        self, work: _Work, row: LatentLabel, statement: Statement | None
    ) -> tuple[LatentLabel, Statement | None, Usage]:
        question = self._question(work)
        outcome = ask_label(self._client, question, self._options, cache=self._cache)
        answer = outcome.answer
        if answer.abstain:
            return row, statement, outcome.usage
        terms = tuple(self._columns[text] for text in answer.keywords if text in self._columns)
        label = None
        if terms:
            label = described_label(
                work.latent, terms, self._bench.evidence, self._bench.vocabulary
            )
        named = LatentLabel(
            work.latent,
            label=answer.name,
            description=answer.description,
            keywords=tuple(answer.keywords),
            support=label.support if label else None,
            lift=label.lift if label else None,
            evidence_items=row.evidence_items,
            source="llm",
            prompt_version=LABEL_PROMPT,
            model=self._options.model,
            evidence_hash=outcome.evidence_hash,
        )
        return named, Statement(f"{answer.name}. {answer.description}", label), outcome.usage

    def _question(self, work: _Work) -> LabelQuestion:
        evidence = self._bench.evidence
        items = evidence.items[work.latent]
        return LabelQuestion(
            keywords=self._offered(work),
            evidence=tuple(self._item(item) for item in items[: self._options.n_examples]),
            counter_examples=tuple(
                self._item(item)
                for item in evidence.lacking_items(work.latent, self._options.n_counter_examples)
            ),
        )

    def _offered(self, work: _Work) -> tuple[str, ...]:
        """The label's own terms, then the other significant ones by class-based TF-IDF."""
        own = () if work.label is None else work.label.terms
        statistics = self._bench.statistics
        inside = statistics.of(work.latent)
        kept = statistics.significant[inside] & (
            statistics.lift[inside] >= self._bench.options.min_lift
        )
        terms = statistics.terms[inside][kept]
        order = np.lexsort((terms, -statistics.ctfidf[inside][kept]))
        ranked = dict.fromkeys([*own, *terms[order].tolist()])
        return tuple(self._bench.vocabulary.terms[term].text for term in ranked)[:MAX_KEYWORDS]

    def _item(self, item: int) -> EvidenceItem:
        items = self._bench.items
        return EvidenceItem(
            title=items.titles[item] or items.ids[item],
            tags=tuple(items.tags[item]),
            year=items.years[item],
            note=self._standing[item].lower(),
        )

    # --- judgements ------------------------------------------------------------------------------

    def _judge(self, latent: int, row: LatentLabel) -> tuple[Confidence | None, Usage]:
        """What the model, told nothing but the row's label, says of cases of ``latent``."""
        held_out = self._bench.held_out
        values = held_out.values(VERIFY, [latent])
        if not MIN_POSITIVE <= int((values > 0).sum()) < len(values):
            return None, Usage()
        stream = [_LLM_JUDGED, latent]
        asked = held_out.sample(VERIFY, [latent], self._options.n_judged, stream)
        paper = paper_cases(values, held_out.rng([PAPER, *stream]))
        rows = np.unique(asked.rows if paper is None else np.append(asked.rows, paper.rows))
        rows = held_out.rng([SHUFFLE, *stream]).permutation(rows)
        question = JudgeQuestion(
            name=row.label or "",
            # What a keyword label's description says is how often it is right.
            description=row.description if row.source == "llm" else "",
            cases=tuple(self._case(top) for top in held_out.top_items(VERIFY, rows, _ITEMS_A_CASE)),
        )
        outcome = ask_judge(self._client, question, self._options, cache=self._cache)
        if outcome.grades is None:
            return None, outcome.usage
        grade = np.zeros(len(values))
        grade[rows] = outcome.grades
        says = grade >= FIRES_FROM
        found = Confidence(
            confusion=Confusion.of(says[asked.rows], asked.fires),
            threshold=float(FIRES_FROM),
            auroc=auroc(ranks(grade[asked.rows]), asked.fires),
            paper_p=(
                math.nan if paper is None else Confusion.of(says[paper.rows], paper.fires).accuracy
            ),
        )
        return found, outcome.usage

    def _case(self, top_items: np.ndarray) -> tuple[str, ...]:
        return tuple(self._item_texts[item] for item in top_items.tolist() if item >= 0)


def _means(label: KeywordLabel) -> tuple[tuple[int, ...], int | None]:
    return label.terms, label.item
