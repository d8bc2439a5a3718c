"""The report: its shape is a contract, its figures come from manifests and answers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from reclens.studies.demo.report import Figures, as_markdown, as_report, as_text
from reclens.studies.demo.story import Story


@pytest.fixture
def report(figures: Figures, story: Story) -> dict[str, Any]:
    return as_report(figures, story, total_seconds=42.1234)


def test_the_report_has_exactly_its_shape(report: dict[str, Any]):
    assert json.loads(json.dumps(report)) == {
        "dataset": {"users": 943, "items": 1682, "interactions": 100_000},
        "recommenders": {"sasrec": {"hr@10": 0.19, "ndcg@10": 0.099}},
        "autoencoder": {"fvu": 0.0625, "l0": 16.0, "dead_fraction": 0.015625, "random_fvu": 1.5},
        "concepts": {"alive": 1008, "labelled": 900, "trusted": 120},
        "steering": {
            "user": "12",
            "edits": [{"concept": "comedy", "add": 0.2}, {"concept": "action", "add": -0.2}],
            "baseline": ["Heat", "Speed", "True Lies"],
            "steered": ["True Lies", "Airplane|Zero Hour", "Heat"],
            "effect": {
                "overlap": 0.666667,
                "score_shift": -0.25,
                "relative_shift": 0.5,
                "edited_latents": 5,
            },
        },
        "seconds": {
            "dataset": 1.0,
            "recommender": 2.0,
            "activations": 3.0,
            "autoencoder": 4.0,
            "concepts": 5.0,
            "total": 42.123,
        },
    }


def test_the_page_states_figures_controls_and_the_rule(
    report: dict[str, Any], figures: Figures, story: Story
):
    page = as_markdown(report, figures, story)
    for expected in (
        "HR@10 0.190, NDCG@10 0.099",
        "explain 93.8% of the variance",
        "FVU: 0.0625; an untrained dictionary: 1.50",
        "Median confidence 0.60; with labels shuffled among the latents 0.50",
        "| 1 | Heat ▼ | True Lies ▲ ▼ | 3 |",
        "Comedy (▲) 1 → 2, Action (▼) 3 → 2",
        "Comedy 3.2 → 7.2, Action 3.5 → 1.2 of 3",
        "| 77 | (unlabelled) |  | 0.25 |",
        "the first 100 by id with 40 to 120 interactions. Concepts: of the 4 most trusted",
        "at least 10% of these users' untouched top 10s",
        "(5 to 8 items, and at most 2 of the other) although at least 20% of the history",
        "release demo 0123456789abcdef",
    ):
        assert expected in page
    for plot in ("reconstruction.png", "concept_confidence.png", "steering.png"):
        assert f"({plot})" in page


def test_a_pipe_in_a_title_does_not_break_the_table(
    report: dict[str, Any], figures: Figures, story: Story
):
    assert "Airplane\\|Zero Hour" in as_markdown(report, figures, story)


def test_the_story_for_a_terminal_shows_both_answers_side_by_side(story: Story):
    lines = as_text(story).splitlines()
    (row,) = [line for line in lines if "Speed" in line]
    assert row.split() == ["2", "Speed", "▼", "Airplane|Zero", "Hour", "▲", "40"]
