"""Ids of artifacts are names that other artifacts, releases and people hold: they never change."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from reclens.contracts import (
    JobSpec,
    PipelineSpec,
    ReleaseSpec,
    job_kinds,
)

GOLDEN: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[2] / "golden" / "artifact_ids.json").read_text()
)


@pytest.mark.parametrize("case", GOLDEN, ids=[case["title"] for case in GOLDEN])
def test_a_specification_keeps_the_id_it_had(case: dict[str, Any]) -> None:
    spec = job_kinds()[case["task"]].spec.parse(case["spec"])
    if isinstance(spec, PipelineSpec):
        stages = spec.plan()
        assert [stage.artifact for stage in stages] == case["artifacts"]
        assert ReleaseSpec.parse(stages[-1].spec).version() == case["release_version"]
    else:
        assert isinstance(spec, JobSpec)
        assert spec.artifact_ref() == case["artifact"]
        # As workers take it: with every default written out.
        assert type(spec).parse(spec.canonical()).artifact_ref() == case["artifact"]
