"""Questions about made-up latents."""

from __future__ import annotations

import pytest
from llm_clients import make_client, waiting

from reclens.concepts.llm.questions import EvidenceItem, JudgeQuestion, LabelQuestion

__all__ = ["make_client", "waiting"]


@pytest.fixture
def noir() -> LabelQuestion:
    """A latent of film noir."""
    return LabelQuestion(
        keywords=("Film-Noir", "1940s"),
        evidence=(
            EvidenceItem("Big Sleep, The", ("Film-Noir", "Mystery"), 1946),
            EvidenceItem("Laura", ("Film-Noir",), 1944, "little known"),
        ),
        counter_examples=(EvidenceItem("Toy Story", ("Animation",), 1995, "very popular"),),
    )


@pytest.fixture
def noir_cases() -> JudgeQuestion:
    """Two cases that its label fits, between two that it does not."""
    return JudgeQuestion(
        name="Film-Noir",
        description="Dark crime films.",
        cases=(
            ("Toy Story; Animation", "Aladdin; Animation"),
            ("Laura; Film-Noir", "Aladdin; Animation"),
            ("Big Sleep, The; Film-Noir",),
            ("Babe; Comedy",),
        ),
    )
