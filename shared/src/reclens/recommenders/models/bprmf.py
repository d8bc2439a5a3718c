"""Matrix factorisation trained to rank what a user took above what the user did not.

Source: Rendle et al., BPR: Bayesian Personalized Ranking from Implicit Feedback, 2009
(arXiv 1205.2618).
"""

from __future__ import annotations

from torch import nn

from reclens.contracts import BprMfConfig
from reclens.recommenders.models.pairwise import PairwiseRecommender


class BprMf(PairwiseRecommender):
    """Its vectors are the two embedding tables themselves."""

    config: BprMfConfig

    def __init__(self, config: BprMfConfig, n_users: int, n_items: int) -> None:
        super().__init__(config, n_users, n_items)
        nn.init.xavier_normal_(self.user_embedding.weight)
        nn.init.xavier_normal_(self.item_embedding.weight)
