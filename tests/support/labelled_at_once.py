"""Labels made in one go and by keywords, as a single worker would make them."""

from __future__ import annotations

import numpy as np

from reclens.concepts.evidence.cases import Cases
from reclens.concepts.judging.judges import Embed
from reclens.concepts.labels.joining import Directions, Labelling, join_latents
from reclens.concepts.labels.labelling import prepare_labelling
from reclens.contracts import ConceptsOptions
from reclens.data.dataset import Items


def label_latents(
    construct: Cases,
    verify: Cases,
    items: Items,
    scale: np.ndarray,
    *,
    options: ConceptsOptions,
    embed: Embed | None = None,
    directions: Directions | None = None,
) -> Labelling:
    """Label every latent from ``construct`` cases and judge every label on ``verify`` cases."""
    context = prepare_labelling(construct, verify, items, scale, options=options, embed=embed)
    latents = list(context.label_by_keywords(range(context.n_latents)))
    return join_latents(context, latents, directions=directions)
