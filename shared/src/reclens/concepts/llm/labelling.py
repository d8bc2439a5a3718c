"""Labels and judgements by a language model, latent by latent, several at once.

Either may come from it alone: it may name what keywords judge, or judge what keywords name.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from threading import Lock
from typing import Any

import numpy as np
from scipy.stats import rankdata

from reclens.concepts.evidence.classification_metrics import auroc
from reclens.concepts.evidence.item_text import describe_items, popularity_standing
from reclens.concepts.evidence.keywords import KeywordLabel
from reclens.concepts.judging.confidence import MIN_POSITIVE, VERIFY, judgement_of, paper_cases
from reclens.concepts.judging.judges import PAPER, SHUFFLE, Statement
from reclens.concepts.labels.labelling import LabelledLatent, LabellingContext
from reclens.concepts.labels.llm_usage import Usage
from reclens.concepts.labels.rows import with_control
from reclens.concepts.llm.chat import AnswerCache, LlmClient, Outcome, ask_judge, ask_label
from reclens.concepts.llm.failures import AnswerCount
from reclens.concepts.llm.questions import (
    JUDGE_PROMPT,
    LABEL_PROMPT,
    MAX_KEYWORDS,
    EvidenceItem,
    JudgeQuestion,
    LabelQuestion,
)
from reclens.contracts.tables.concepts import Judgement, LatentLabel

FIRES_FROM = 6
"""Grade from which the model is taken to say that the latent fires (arXiv 2411.06112, code)."""

_ITEMS_A_CASE = 5
# A control label is looked for among the next few latents in a random order.
_N_CONTROLS = 4
# Stream of random numbers of the cases that a model is asked about.
_LLM_JUDGED = 4


class LlmLabeller:
    """`Labeller` that asks a language model for labels, for judgements, or for both.

    A latent that the model abstains from, or answers invalidly twice, keeps its keyword label, and
    ``source`` says so.

    Args:
        context: what labelling takes.
        client: the model.
        cache: answers of earlier runs; a new one is kept before it is used.
        concurrency: latents worked on at once.
    """

    def __init__(
        self,
        context: LabellingContext,
        client: LlmClient,
        *,
        cache: AnswerCache | None = None,
        concurrency: int = 1,
    ) -> None:
        self._context = context
        self._options = context.options.llm
        self._client = client
        self._cache = cache
        self._concurrency = concurrency
        self._standing = popularity_standing(context.items.popularity)
        self._item_texts = describe_items(context.items)
        self._named_once: dict[int, Future[LabelledLatent]] = {}
        self._lock = Lock()
        self._asked: dict[str, AnswerCount] = defaultdict(AnswerCount)

    def label(self, latents: Sequence[int]) -> Iterator[LabelledLatent]:
        """Yield these latents in turn.

        Raises:
            LlmUnavailable, LlmRefused: from the client; what was answered so far is in the cache.
        """
        pool = ThreadPoolExecutor(self._concurrency, thread_name_prefix="llm")
        try:
            yield from pool.map(self._labelled, latents)
        finally:
            # Requests in flight are waited for: they are paid for, and their answers kept.
            pool.shutdown(wait=True, cancel_futures=True)

    def _labelled(self, latent: int) -> LabelledLatent:
        named, usage = self._named(latent)
        if named.statement is None:
            return LabelledLatent(named.row, usage=usage)
        others = []
        if "llm" in self._context.options.judges:
            judgement, spent = self._judge(latent, named.row)
            usage += spent
            if judgement is not None:
                control, spent = self._control(latent, named.row)
                usage += spent
                if control is not None:
                    judgement = with_control(judgement, control)
                others.append(judgement)
        return replace(self._context.judged(named.row, named.statement, others), usage=usage)

    def _control(self, latent: int, row: LatentLabel) -> tuple[Judgement | None, Usage]:
        """What the model says of the same cases with another latent's label.

        The other is looked for in a random order of the same block of ``shard_latents`` latents,
        whose names are asked for by the same worker anyway.
        """
        size = self._context.options.shard_latents
        first = latent // size * size
        block = np.arange(first, min(first + size, self._context.n_latents))
        order = (
            self._context.held_out.rng([SHUFFLE, _LLM_JUDGED, first]).permutation(block).tolist()
        )
        place = order.index(latent)
        usage = Usage()
        for other in (order[place + 1 :] + order[:place])[:_N_CONTROLS]:
            named, spent = self._named(other)
            usage += spent
            if named.row.label is not None and named.row.label != row.label:
                found, spent = self._judge(latent, named.row)
                return found, usage + spent
        return None, usage

    def _note(self, prompt: str, outcome: Outcome[Any]) -> None:
        """Count a question, and give up where (nearly) all of its kind have no answer."""
        with self._lock:
            count = self._asked[prompt]
            count.add(outcome)
            if (problem := count.problem()) is not None:
                raise problem

    # --- names -----------------------------------------------------------------------------------

    def _named(self, latent: int) -> tuple[LabelledLatent, Usage]:
        """The label of a latent, and what it took this time: nothing where it is known already."""
        mine: Future[LabelledLatent] = Future()
        with self._lock:
            known = self._named_once.setdefault(latent, mine)
        if known is not mine:
            return known.result(), Usage()
        try:
            named = self._name(latent)
        except BaseException as error:
            mine.set_exception(error)
            raise
        mine.set_result(named)
        return named, named.usage

    def _name(self, latent: int) -> LabelledLatent:
        label = self._context.keywords.choose(latent)
        by_keywords = self._context.named_by_keywords(latent, label)
        evidence = self._context.evidence
        is_told = evidence.is_enough(latent) and len(evidence.items[latent])
        if self._context.options.source != "llm" or not is_told:
            return by_keywords
        question = self._question(latent, label)
        outcome = ask_label(self._client, question, self._options, cache=self._cache)
        answer = outcome.answer
        self._note(LABEL_PROMPT, outcome)
        if answer.abstain:
            return replace(by_keywords, usage=outcome.usage)
        columns = self._context.vocabulary.columns
        terms = tuple(columns[text] for text in answer.keywords if text in columns)
        rests_on = self._context.keywords.label_of_terms(latent, terms) if terms else None
        row = replace(
            by_keywords.row,
            label=answer.name,
            description=answer.description,
            keywords=tuple(answer.keywords),
            support=rests_on.support if rests_on else None,
            lift=rests_on.lift if rests_on else None,
            source="llm",
            prompt_version=LABEL_PROMPT,
            model=self._options.model,
            evidence_hash=outcome.evidence_hash,
        )
        statement = Statement(f"{answer.name}. {answer.description}", rests_on)
        return LabelledLatent(row, statement, usage=outcome.usage)

    def _question(self, latent: int, label: KeywordLabel | None) -> LabelQuestion:
        evidence = self._context.evidence
        lacking = evidence.lacking_items(latent, self._options.n_counter_examples)
        # The keyword label's own terms, then the others that compete, best first.
        own = () if label is None else label.terms
        ranked = dict.fromkeys([*own, *self._context.keywords.offered(latent).tolist()])
        keywords = (self._context.vocabulary.terms[term].text for term in ranked)
        return LabelQuestion(
            keywords=tuple(keywords)[:MAX_KEYWORDS],
            evidence=tuple(map(self._item, evidence.items[latent][: self._options.n_examples])),
            counter_examples=tuple(map(self._item, lacking)),
        )

    def _item(self, item: int) -> EvidenceItem:
        items = self._context.items
        return EvidenceItem(
            title=items.titles[item] or items.ids[item],
            tags=tuple(items.tags[item]),
            year=items.years[item],
            note=self._standing[item].lower(),
        )

    # --- judgements ------------------------------------------------------------------------------

    def _judge(self, latent: int, row: LatentLabel) -> tuple[Judgement | None, Usage]:
        """What the model, told nothing but the row's label, says of cases of ``latent``."""
        held_out = self._context.held_out
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
        self._note(JUDGE_PROMPT, outcome)
        if outcome.answer is None:
            return None, outcome.usage
        grade = np.zeros(len(values))
        grade[rows] = outcome.answer
        says = grade >= FIRES_FROM
        area = auroc(rankdata(grade[asked.rows]), asked.fires)
        return judgement_of("llm", says, asked, area, paper), outcome.usage

    def _case(self, top_items: np.ndarray) -> tuple[str, ...]:
        return tuple(self._item_texts[item] for item in top_items.tolist() if item >= 0)
