"""The rule that chooses user and concepts, on cases worked by hand."""

from __future__ import annotations

import pytest

from reclens.api.steering.v1 import steering_pb2 as pb
from reclens.errors import NotFound
from reclens.studies.demo.story import (
    Average,
    Candidate,
    by_effect,
    carrying,
    choose,
    plain_concepts,
)


def _concept(name: str, confidence: float, n_latents: int = 2) -> pb.Concept:
    return pb.Concept(
        concept_id=name.lower(), label=name, confidence=confidence, latents=range(n_latents)
    )


COMEDY, ACTION, DRAMA = _concept("Comedy", 0.8), _concept("Action", 0.7), _concept("Drama", 0.6)


def _user(name: str, answer: dict[str, int], history: dict[str, int]) -> Candidate:
    def items(counts: dict[str, int]) -> list[list[str]]:
        return [[tag] for tag, count in counts.items() for _ in range(count)]

    return Candidate(name, items(history), items(answer))


LEANING = _user("2", {"Action": 6, "Comedy": 2, "War": 2}, {"Comedy": 10, "Action": 40})


def test_the_first_user_who_leans_is_shown_with_what_the_answer_lacks_turned_up():
    balanced = _user("1", {"Action": 5, "Comedy": 5}, {"Comedy": 25, "Action": 25})
    other = _user("3", {"Comedy": 8, "Action": 0, "War": 2}, {"Comedy": 25, "Action": 25})
    choice = choose([(COMEDY, ACTION)], [balanced, other, LEANING])
    assert (choice.user_id, choice.more_of.label, choice.less_of.label) == ("2", "Comedy", "Action")


def test_a_user_whose_history_hardly_knows_the_other_concept_is_passed_over():
    stranger = _user("1", {"Action": 6, "Comedy": 1, "War": 3}, {"Comedy": 9, "Action": 41})
    assert choose([(COMEDY, ACTION)], [stranger, LEANING]).user_id == "2"


def test_an_answer_of_nothing_else_is_passed_over():
    extreme = _user("1", {"Action": 10}, {"Comedy": 25, "Action": 25})
    assert choose([(COMEDY, ACTION)], [extreme, LEANING]).user_id == "2"


def test_a_pair_that_suits_nobody_gives_way_to_the_next():
    choice = choose([(ACTION, DRAMA), (COMEDY, ACTION)], [LEANING])
    assert (choice.more_of.label, choice.less_of.label) == ("Comedy", "Action")


def test_a_pair_is_worth_what_its_weaker_side_does():
    def average(gain: float, loss: float) -> Average:
        return Average(100, 2.0, 2.0 + gain, 5.0, 5.0 - loss)

    effects = [
        (COMEDY, ACTION, average(-0.5, 4.0)),  # less action takes comedies along
        (DRAMA, ACTION, average(1.0, 1.5)),
        (ACTION, DRAMA, average(6.0, 0.5)),
    ]
    assert by_effect(effects) == [(DRAMA, ACTION), (ACTION, DRAMA), (COMEDY, ACTION)]


def test_rare_composed_and_single_latent_concepts_are_not_for_newcomers():
    unfit = [
        _concept("Western", 0.99),
        _concept("Comedy · 1990s", 0.98),
        _concept("Action", 0.97, n_latents=1),
    ]
    assert plain_concepts([*unfit, ACTION, COMEDY], [LEANING]) == [COMEDY, ACTION]


def test_without_a_pair_or_a_fitting_user_nothing_is_shown():
    with pytest.raises(NotFound):
        choose([], [LEANING])
    with pytest.raises(NotFound):
        choose([(COMEDY, ACTION)], [])


def test_carrying_counts_items_that_have_the_genre():
    assert carrying(COMEDY, [["Comedy", "War"], ["War"], [], ["Comedies"]]) == 1
