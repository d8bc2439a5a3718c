"""Matrix factorisation trained to rank what a user took above what the user did not.

Source: Rendle et al., BPR: Bayesian Personalized Ranking from Implicit Feedback, 2009
(arXiv 1205.2618).
"""

from __future__ import annotations

from typing import ClassVar

from jaxtyping import Float
from torch import Tensor, nn

from reclens.contracts import BprMfConfig
from reclens.data import Dataset
from reclens.probing import ProbeSite
from reclens.recommenders.base import Recommender, UserBatch
from reclens.recommenders.models.fold_in import UserVector
from reclens.recommenders.models.pairwise import PairwiseObjective


class BprMf(Recommender):
    """Scores by the inner product of a user vector and the item vectors."""

    site: ClassVar[ProbeSite] = ProbeSite("user", position="row")
    reads_history: ClassVar[bool] = False
    config: BprMfConfig

    def __init__(self, config: BprMfConfig, n_users: int, n_items: int) -> None:
        super().__init__(config, n_users, n_items)
        self.user_embedding = nn.Embedding(n_users, config.d_model)
        self.item_embedding = nn.Embedding(n_items, config.d_model)
        self.user = UserVector()
        nn.init.xavier_normal_(self.user_embedding.weight)
        nn.init.xavier_normal_(self.item_embedding.weight)

    @classmethod
    def objective(cls, config: BprMfConfig, dataset: Dataset) -> PairwiseObjective:
        return PairwiseObjective(dataset)

    def vectors(
        self,
    ) -> tuple[Float[Tensor, "n_users d_model"], Float[Tensor, "n_items d_model"]]:
        """The two embedding tables."""
        return self.user_embedding.weight, self.item_embedding.weight

    def item_weights(self) -> Float[Tensor, "n_items d_model"]:
        return self.item_embedding.weight

    def represent(self, batch: UserBatch) -> Float[Tensor, "batch d_model"]:
        return self.user(*self.vectors(), batch.user_index, batch.history)
