"""Edits of latents, written back into the recommender's forward pass.

``edits`` is what may be asked for and needs no torch, so that the gateway checks requests with
it; ``engine`` and ``attribution`` are the maths and are imported by their own names.
"""

from reclens.steering.edits import (
    MAX_CONDITIONS,
    MAX_EDITS,
    MAX_STRENGTH,
    Comparison,
    LatentCondition,
    LatentEdit,
    LatentGroup,
    Mode,
    Operation,
    Unit,
    check_latents,
    check_strength,
)

__all__ = [
    "MAX_CONDITIONS",
    "MAX_EDITS",
    "MAX_STRENGTH",
    "Comparison",
    "LatentCondition",
    "LatentEdit",
    "LatentGroup",
    "Mode",
    "Operation",
    "Unit",
    "check_latents",
    "check_strength",
]
