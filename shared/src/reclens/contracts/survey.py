"""A survey of concepts among people: what it asked, and the truth that raters are not shown."""

from __future__ import annotations

from pydantic import Field

from reclens.contracts.artifacts import ArtifactRef
from reclens.contracts.base import Contract
from reclens.contracts.specs.activations import UserSplit


class KeyCase(Contract):
    """One case of a question."""

    case: int = Field(ge=1)
    """Its number within the question, in the order shown."""
    fires: bool
    """Whether the concept fires there."""
    activation: float = Field(ge=0)
    """Strongest activation of its latents, in units of their 99th percentile; 0 where silent."""
    user_id: str
    """User whose case it is."""


class KeyQuestion(Contract):
    """One concept of the survey."""

    question: int = Field(ge=1)
    """Its number, in the order shown."""
    concept_id: str
    """Id within the concepts artifact."""
    latents: tuple[int, ...]
    """Latents that carry it."""
    label: str
    """Label of the concept."""
    confidence: float = Field(ge=0, le=1)
    """The machine's balanced accuracy."""
    trusted: bool
    """Whether the machine trusts the label."""
    cases: tuple[KeyCase, ...]
    """Cases in the order shown."""


class SurveyKey(Contract):
    """``key.json``: what a survey's answers are held against. Raters must not see it."""

    key_version: int = 1
    """Version of this layout."""
    survey_id: str = Field(pattern=r"^[0-9a-f]{16}$")
    """Hash of what is shown; answers carry it."""
    concepts: ArtifactRef
    """Labels that are asked about."""
    split: UserSplit
    """Users that the cases come from."""
    seed: int
    """Seed of which cases are chosen, and of the order in which they are shown."""
    questions: tuple[KeyQuestion, ...] = Field(min_length=1)
    """Concepts in the order shown."""
