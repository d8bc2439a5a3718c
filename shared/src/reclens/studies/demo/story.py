"""Chooses whom to show and what to turn, and asks the gateway for both answers."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from reclens.api.steering.v1 import steering_pb2 as pb
from reclens.client import SteeringClient, less, more, recommend_request
from reclens.data import Dataset
from reclens.errors import NotFound, Unavailable

STRENGTH = 0.2
"""Push of each edit, in standard deviations of the user's own scores."""
TOP_K = 10
"""Length of the shown answers."""

# How user and concepts are chosen: the report tells it, in ``templates/rule.j2``.
HISTORY_LENGTHS = range(40, 121)
CANDIDATES = 100
JUDGES = 100
TRUSTED = 4
LEAST_ANSWER_SHARE = 0.1
LEAST_HISTORY_SHARE = 0.2
LEANING = range(5, 9)
AT_MOST_OF_OTHER = 2


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
    """Choose by the rule, explain and steer.

    Raises:
        NotFound: no user and concepts satisfy the rule.
    """
    users = _users(dataset)
    candidates = _candidates(client, dataset, release, users[:CANDIDATES])
    judges = _candidates(client, dataset, release, users[CANDIDATES:][:JUDGES])
    plain = plain_concepts(list(client.concepts(release=release)), candidates)[:TRUSTED]
    effects = [
        (up, down, _average(client, up, down, judges, release))
        for up, down in itertools.permutations(plain, 2)
    ]
    choice = choose(by_effect(effects), candidates)
    up, down = choice.more_of, choice.less_of
    return Story(
        choice=choice,
        explanation=client.explain(user_id=choice.user_id, top_k=TOP_K, release=release),
        answer=client.recommend(
            user_id=choice.user_id,
            edits=_edits(up, down),
            top_k=TOP_K,
            include_baseline=True,
            explain=True,
            release=release,
        ),
        average=_average(client, up, down, candidates, release),
    )


def by_effect(
    effects: Iterable[tuple[pb.Concept, pb.Concept, Average]],
) -> list[tuple[pb.Concept, pb.Concept]]:
    """Concepts to turn up and down, those first whose weaker side does most of what is asked."""

    def weaker(average: Average) -> float:
        return min(
            average.more_after - average.more_before, average.less_before - average.less_after
        )

    ordered = sorted(effects, key=lambda effect: -weaker(effect[2]))
    return [(up, down) for up, down, _ in ordered]


def choose(
    pairs: Iterable[tuple[pb.Concept, pb.Concept]], candidates: Sequence[Candidate]
) -> Choice:
    """The first user whom the first possible pair suits, by the rule of ``templates/rule.j2``.

    Args:
        pairs: concepts to turn up and down, best first.
        candidates: users that may be shown, in order.

    Raises:
        NotFound: no user and pair satisfy it.
    """
    for up, down in pairs:
        for candidate in candidates:
            known = carrying(up, candidate.history)
            if (
                carrying(down, candidate.answer) in LEANING
                and carrying(up, candidate.answer) <= AT_MOST_OF_OTHER
                and known >= LEAST_HISTORY_SHARE * len(candidate.history)
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


def plain_concepts(
    concepts: Sequence[pb.Concept], candidates: Sequence[Candidate]
) -> list[pb.Concept]:
    """Concepts that a newcomer understands at once and meets often, most trusted first."""
    answers = [tags for candidate in candidates for tags in candidate.answer]
    plain = [
        concept
        for concept in concepts
        # A label that is itself a tag names one genre.
        if carrying(concept, answers) >= max(1, LEAST_ANSWER_SHARE * len(answers))
        and len(concept.latents) >= 2
    ]
    return sorted(plain, key=lambda concept: (-concept.confidence, concept.concept_id))


def _users(dataset: Dataset) -> list[int]:
    counts = np.bincount(dataset.interactions.user_index, minlength=dataset.n_users)
    users = [user for user in range(dataset.n_users) if counts[user] in HISTORY_LENGTHS]
    return sorted(users, key=lambda user: _natural(dataset.users.ids[user]))


def _candidates(
    client: SteeringClient, dataset: Dataset, release: str, users: Sequence[int]
) -> list[Candidate]:
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


def _edits(up: pb.Concept, down: pb.Concept) -> list[pb.Edit]:
    return [more(up.concept_id, STRENGTH), less(down.concept_id, STRENGTH)]


def _average(
    client: SteeringClient,
    up: pb.Concept,
    down: pb.Concept,
    candidates: Sequence[Candidate],
    release: str,
) -> Average:
    ids = [one.user_id for one in candidates]
    steered = _answers(client, ids, _edits(up, down), release)
    before = [one.answer for one in candidates]
    after = [[list(item.tags) for item in answer.items] for answer in steered]

    def mean(concept: pb.Concept, answers: Sequence[Sequence[Sequence[str]]]) -> float:
        return sum(carrying(concept, answer) for answer in answers) / len(answers)

    return Average(
        users=len(candidates),
        more_before=mean(up, before),
        more_after=mean(up, after),
        less_before=mean(down, before),
        less_after=mean(down, after),
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
