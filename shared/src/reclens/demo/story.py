"""Chooses whom to show and what to turn, and asks the gateway for both answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reclens.api.steering.v1 import steering_pb2 as pb
from reclens.client import SteeringClient, less, more, recommend_request
from reclens.data import Dataset
from reclens.errors import NotFound, Unavailable

STRENGTH = 0.4
"""Push of each edit, as a share of the representation's norm."""
TOP_K = 10
"""Length of the shown answers."""

_HISTORY_LENGTHS = range(40, 121)
_CANDIDATES = 100
_LEAST_ANSWER_SHARE = 0.1
_LEAST_HISTORY_SHARE = 0.2
_LEANING = range(5, 9)
_AT_MOST_OF_OTHER = 2

RULE = (
    f"Users looked at: the first {_CANDIDATES} by id with {_HISTORY_LENGTHS[0]} to "
    f"{_HISTORY_LENGTHS[-1]} interactions. Concepts: the two most trusted of those that are named "
    "by one genre of the data, are carried by at least two latents and make up at least "
    f"{_LEAST_ANSWER_SHARE:.0%} of these users' untouched top {TOP_K}s. Shown is the first of "
    f"these users whose untouched top {TOP_K} leans to one of the two ({_LEANING[0]} to "
    f"{_LEANING[-1]} items, and at most {_AT_MOST_OF_OTHER} of the other) although at least "
    f"{_LEAST_HISTORY_SHARE:.0%} of the history has the other. The edits ask for less of the one "
    "and more of the other. No steered answer was looked at to choose; the averages are over all "
    "users looked at."
)
"""How user and concepts are chosen, for the report."""


@dataclass(frozen=True)
class Choice:
    """Whom and what to show."""

    user_id: str
    """The user."""
    more_of: pb.Concept
    """Concept to turn up."""
    less_of: pb.Concept
    """Concept to turn down."""


@dataclass(frozen=True)
class Average:
    """What the same two edits do to all users that were looked at."""

    users: int
    """Users."""
    more_before: float
    """Items of an untouched answer that have the concept turned up, mean."""
    more_after: float
    """The same of the steered answer."""
    less_before: float
    """Items of an untouched answer that have the concept turned down, mean."""
    less_after: float
    """The same of the steered answer."""


@dataclass(frozen=True)
class Story:
    """The user's untouched and steered answers, with the reason."""

    choice: Choice
    """Whom and what."""
    explanation: pb.ExplainResponse
    """History, untouched answer, firing latents."""
    answer: pb.RecommendResponse
    """Steered and untouched answer, effect, versions."""
    average: Average
    """The same edits for everybody else."""


@dataclass(frozen=True)
class Candidate:
    """A user that the demo may show."""

    user_id: str
    """The user."""
    history: list[list[str]]
    """Tags of each item of the history."""
    answer: list[list[str]]
    """Tags of each item of the untouched answer."""


def tell(client: SteeringClient, dataset: Dataset, release: str) -> Story:
    """Choose by ``RULE``, explain and steer.

    Raises:
        NotFound: no user and concepts satisfy the rule.
    """
    candidates = _candidates(client, dataset, release)
    choice = choose(list(client.concepts(release=release)), candidates)
    edits = [more(choice.more_of.concept_id, STRENGTH), less(choice.less_of.concept_id, STRENGTH)]
    return Story(
        choice=choice,
        explanation=client.explain(user_id=choice.user_id, top_k=TOP_K, release=release),
        answer=client.recommend(
            user_id=choice.user_id,
            edits=edits,
            top_k=TOP_K,
            include_baseline=True,
            explain=True,
            release=release,
        ),
        average=_average(client, choice, candidates, edits, release),
    )


def choose(concepts: Sequence[pb.Concept], candidates: Sequence[Candidate]) -> Choice:
    """Apply ``RULE``.

    Raises:
        NotFound: no user and concepts satisfy it.
    """
    pair = _plain_concepts(concepts, candidates)[:2]
    for candidate in candidates if len(pair) == 2 else []:
        for up, down in (pair, pair[::-1]):
            known = carrying(up, candidate.history)
            if (
                carrying(down, candidate.answer) in _LEANING
                and carrying(up, candidate.answer) <= _AT_MOST_OF_OTHER
                and known >= _LEAST_HISTORY_SHARE * len(candidate.history)
            ):
                return Choice(candidate.user_id, up, down)
    raise NotFound(
        "no user and concepts of this release satisfy the demo's rule.",
        field="release",
        remedy="run the demo with its own pipeline.",
    )


def carrying(concept: pb.Concept, items: Sequence[Sequence[str]]) -> int:
    """How many items, given by their tags, have the concept's genre."""
    return sum(concept.label in tags for tags in items)


def _plain_concepts(
    concepts: Sequence[pb.Concept], candidates: Sequence[Candidate]
) -> list[pb.Concept]:
    """Concepts that a newcomer understands at once and meets often, most trusted first."""
    answers = [tags for candidate in candidates for tags in candidate.answer]
    plain = [
        concept
        for concept in concepts
        # A label that is itself a tag names one genre.
        if carrying(concept, answers) >= max(1, _LEAST_ANSWER_SHARE * len(answers))
        and len(concept.latents) >= 2
    ]
    return sorted(plain, key=lambda concept: (-concept.confidence, concept.concept_id))


def _candidates(client: SteeringClient, dataset: Dataset, release: str) -> list[Candidate]:
    counts = np.bincount(dataset.interactions.user_index, minlength=dataset.n_users)
    users = [user for user in range(dataset.n_users) if counts[user] in _HISTORY_LENGTHS]
    users = sorted(users, key=lambda user: _natural(dataset.users.ids[user]))[:_CANDIDATES]
    ids = [dataset.users.ids[user] for user in users]
    return [
        Candidate(
            user_id=user_id,
            history=[dataset.items.tags[item] for item in dataset.history(user)],
            answer=[list(item.tags) for item in answer.items],
        )
        for user, user_id, answer in zip(
            users, ids, _answers(client, ids, [], release), strict=True
        )
    ]


def _average(
    client: SteeringClient,
    choice: Choice,
    candidates: Sequence[Candidate],
    edits: list[pb.Edit],
    release: str,
) -> Average:
    steered = _answers(client, [one.user_id for one in candidates], edits, release)
    before = [one.answer for one in candidates]
    after = [[list(item.tags) for item in answer.items] for answer in steered]

    def mean(concept: pb.Concept, answers: Sequence[Sequence[Sequence[str]]]) -> float:
        return sum(carrying(concept, answer) for answer in answers) / len(answers)

    return Average(
        users=len(candidates),
        more_before=mean(choice.more_of, before),
        more_after=mean(choice.more_of, after),
        less_before=mean(choice.less_of, before),
        less_after=mean(choice.less_of, after),
    )


def _answers(
    client: SteeringClient, user_ids: Sequence[str], edits: list[pb.Edit], release: str
) -> list[pb.RecommendResponse]:
    outcomes = client.batch_recommend(
        recommend_request(user_id=user_id, edits=edits, top_k=TOP_K, release=release)
        for user_id in user_ids
    )
    for outcome in outcomes:
        if outcome.HasField("failure"):
            raise Unavailable(f"the gateway refused a request: {outcome.failure.message}")
    return [outcome.response for outcome in outcomes]


def _natural(user_id: str) -> tuple[int, str]:
    return (int(user_id) if user_id.isdecimal() else 1 << 62, user_id)
