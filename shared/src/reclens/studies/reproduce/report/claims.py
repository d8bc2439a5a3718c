"""Published claims held against what was measured. Verdicts are computed, never written by hand."""

from __future__ import annotations

from reclens.studies.reproduce.experiment.results import Collected
from reclens.studies.reproduce.report import claims_of_behaviour as behaviour
from reclens.studies.reproduce.report import claims_of_latents as latents
from reclens.studies.reproduce.report.verdicts import Claim


def check_claims(collected: Collected) -> list[Claim]:
    """All claims that this data set and model can be held against."""
    return [
        *behaviour.base(collected),
        behaviour.kept(collected),
        behaviour.proves(collected),
        latents.alive(collected.main),
        latents.interpretable_fifth(collected),
        *latents.better_than_controls(collected),
        latents.monosemantic(collected),
        *latents.rises(collected.main),
        latents.one_item(collected.main),
    ]
